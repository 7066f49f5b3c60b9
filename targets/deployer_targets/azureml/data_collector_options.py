"""What Azure's data collector keeps of requests and answers in the workspace's store, under Azure's own names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOST_COLLECTIONS = 5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Collection(BaseModel):
    """One collection."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Whether it collects.")
    data: str | None = Field(default=None, description="The data asset that it is registered as: its ARM id; default: one of its own.")
    client_id: str | None = Field(default=None, description="Of the managed identity that writes to the store.")


class RequestLogging(BaseModel):
    """What is kept beside the payload."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    capture_headers: tuple[str, ...] = Field(default=(), description="Headers of requests and answers.")


class DataCollector(BaseModel):
    """Collections by their names: request and response are the payloads, any other is what the model's own code collects."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collections: Mapping[str, Collection] = Field(description="request, response, or what the model's code collects: enabled, data, client_id.")
    rolling_rate: Literal["minute", "hour", "day"] | None = Field(default=None, description="How often a new file is begun; Azure's default: hour.")
    sampling_rate: float = Field(default=1.0, ge=0, le=1, description="The part of the requests that is kept.")
    request_logging: RequestLogging | None = Field(default=None, description="capture_headers.")

    @field_validator("collections")
    @classmethod
    def _some(cls, collections: Mapping[str, Collection]) -> Mapping[str, Collection]:
        if not 1 <= len(collections) <= MOST_COLLECTIONS:
            raise ValueError(f"{len(collections)} collections: from 1 to {MOST_COLLECTIONS}, such as request and response")
        if wrong := [name for name in collections if not _NAME.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} can't name a collection: letters, digits, - and _")
        return collections
