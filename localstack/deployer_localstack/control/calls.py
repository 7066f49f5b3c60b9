"""One call of a cloud's API, in the words that faults and journal have for every cloud."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Call:
    """One API call.

    Attributes:
        service, operation: as the cloud's own SDK names them ("sagemaker", "CreateModel"); "" where it isn't known.
        parameters: what it asks, without bodies.
        body: the raw body, where the protocol puts the parameters in it; None where it's left in the stream.
        access_key: the caller's key id; "" when the request isn't signed.
        asked: the request as the API has read it, for its own answer.
    """

    service: str
    operation: str
    region: str
    access_key: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    signed: bool = True
    asked: Any = None

    @property
    def identity(self) -> str:
        """Equal for equal calls: the same operation with the same parameters."""
        text = json.dumps([self.service, self.operation, self.region, self.parameters], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
