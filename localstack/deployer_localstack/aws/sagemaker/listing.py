"""Lists in pages as SageMaker gives them: filters, order, MaxResults (10 unless told otherwise), NextToken."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from deployer_localstack.aws.errors import validation
from deployer_localstack.aws.sagemaker.store import Endpoint, StoredResource

_PAGE = 10


def page(items: Iterable[StoredResource | Endpoint], asked: Mapping[str, Any], *, lag_seconds: float = 0.0) -> tuple[list[Any], str | None]:
    """The page that was asked for, and the token of the next one."""
    found = [item for item in items if _matches(item, asked, lag_seconds)]
    key = asked.get("SortBy", "CreationTime")
    # Equal times are told apart by name, so that pages neither repeat nor leave out.
    found.sort(key=lambda item: (_sort_key(item, key), item.name), reverse=asked.get("SortOrder", "Descending") == "Descending")
    start = _offset(asked.get("NextToken"))
    size = int(asked.get("MaxResults", _PAGE))
    rest = len(found) > start + size
    return found[start : start + size], _token(start + size) if rest else None


def _matches(item: StoredResource | Endpoint, asked: Mapping[str, Any], lag_seconds: float) -> bool:
    created = item.created.timestamp()
    modified = item.modified.timestamp() if isinstance(item, Endpoint) else created
    return (
        asked.get("NameContains", "").lower() in item.name.lower()
        and created <= _seconds(asked.get("CreationTimeBefore"), float("inf"))
        and created >= _seconds(asked.get("CreationTimeAfter"), 0.0)
        and modified <= _seconds(asked.get("LastModifiedTimeBefore"), float("inf"))
        and modified >= _seconds(asked.get("LastModifiedTimeAfter"), 0.0)
        and (not isinstance(item, Endpoint) or asked.get("StatusEquals", item.status) == item.status)
        and created + lag_seconds <= datetime.now(UTC).timestamp()
    )


def _seconds(value: Any, default: float) -> float:
    return default if value is None else float(value)


def _sort_key(item: StoredResource | Endpoint, key: str) -> Any:
    if key == "Name":
        return item.name.lower()
    if key == "Status" and isinstance(item, Endpoint):
        return item.status
    return item.created.timestamp()


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"page:{offset}".encode()).decode()


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        word, _, offset = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if word != "page":
            raise ValueError(word)
        return int(offset)
    except (ValueError, binascii.Error):
        raise validation("Invalid pagination token") from None
