"""The seam between HTTP and the service: a request and a response as values. Who carries them is connection.py; what paths mean, the service."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple, Optional

JSON = "application/json"
_NO_HEADERS: Mapping[str, str] = {}


class Request(NamedTuple):
    """What came in. Header names are in lower case; the body is whole, and no longer compressed."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    id: str


class Response(NamedTuple):
    """What goes out: a body, or pieces one after another (then the body is the first of them)."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = _NO_HEADERS
    pieces: Optional[AsyncGenerator[bytes, None]] = None


def failure(status: int, error_code: str, message: str, **headers: str) -> Response:
    """An error's answer; an underscore in a header's name stands for a hyphen."""
    body = json.dumps({"error_code": error_code, "message": message}).encode()
    return Response(status, body, headers={name.replace("_", "-").lower(): value for name, value in headers.items()})


def as_json(value: object, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(status, json.dumps(value).encode())


def not_allowed(methods: str) -> Response:
    """The answer to a method that a path doesn't have."""
    return failure(405, "METHOD_NOT_ALLOWED", f"this path answers to {methods}", Allow=methods)
