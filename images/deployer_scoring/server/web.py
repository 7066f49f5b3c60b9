"""The seam between HTTP and the service: a request and a response as values, and the ASGI application that carries them.

Any ASGI server runs it. The body's limit, request ids, the echo of SageMaker's custom attributes and the access log are here; what paths
mean is the service's.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Callable, Optional
from urllib.parse import parse_qsl

JSON = "application/json"
_ECHOED = "x-amzn-sagemaker-custom-attributes"
_ID_HEADERS = ("x-request-id", "x-amzn-sagemaker-inference-id")
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_QUIET = {"/ping", "/health", "/v2/health/live", "/v2/health/ready"}
_DISCARDED = 4  # times the limit is read and thrown away, so that a client that only writes still hears the 413

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """What came in. Header names are in lower case; the body is whole."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    id: str


@dataclass(frozen=True)
class Response:
    """What goes out: a body, or pieces one after another (then the body is the first of them)."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Optional[AsyncGenerator[bytes, None]] = None


def failure(status: int, error_code: str, message: str, **headers: str) -> Response:
    """An error's answer; an underscore in a header's name stands for a hyphen."""
    body = json.dumps({"error_code": error_code, "message": message}).encode()
    return Response(status, body, headers={name.replace("_", "-").lower(): value for name, value in headers.items()})


class TooLarge(Exception):
    """The request's body is over the limit."""


class Application:
    """The ASGI application around a handler of requests."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]], *, max_request_bytes: int) -> None:
        """Make it.

        Args:
            handle: Answers a request; it raises nothing.
            max_request_bytes: A larger body is answered with 413 and never kept.
        """
        self._handle = handle
        self._limit = max_request_bytes
        self.closing = False
        """Whether answers ask their client to close the connection."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = _request_id(headers)
        received, response = await self._respond(scope, headers, request_id, receive)
        echoed = {_ECHOED: headers[_ECHOED]} if _ECHOED in headers else {}
        close = {"connection": "close"} if self.closing or response.status == 413 else {}
        sent = await _send(response, {"x-request-id": request_id, **echoed, **close}, receive, send)
        if scope["path"] not in _QUIET:
            _log_access(scope, response.status, time.perf_counter() - started, (received, sent), request_id)

    async def _respond(self, scope: MutableMapping[str, Any], headers: Mapping[str, str], request_id: str, receive: Receive) -> tuple[int, Response]:
        try:
            body = await self._body(headers, receive)
        except TooLarge:
            message = f"the request is larger than the {self._limit} bytes that are taken (DEPLOYER_MAX_REQUEST_BYTES); send fewer rows"
            return 0, failure(413, "REQUEST_TOO_LARGE", message)
        except ConnectionError:
            return 0, failure(400, "BAD_REQUEST", "the client went away before its request was whole")
        query = dict(parse_qsl(str(scope["query_string"], "latin-1"), keep_blank_values=True))
        return len(body), await self._handle(Request(scope["method"], scope["path"], query, headers, body, request_id))

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._limit * _DISCARDED:
            raise TooLarge
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            more = message.get("more_body", False)
            size += len(message.get("body", b""))
            if size <= self._limit:
                chunks.append(message.get("body", b""))
            elif size > self._limit * _DISCARDED:
                break
            else:
                chunks.clear()
        if size > self._limit:
            raise TooLarge
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _send(response: Response, more_headers: Mapping[str, str], receive: Receive, send: Send) -> int:
    headers = {"content-type": response.content_type, **response.headers, **more_headers}
    if response.pieces is None:
        headers["content-length"] = str(len(response.body))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": raw})
    await send({"type": "http.response.body", "body": response.body, "more_body": response.pieces is not None})
    return len(response.body) + (0 if response.pieces is None else await _send_pieces(response.pieces, receive, send))


async def _send_pieces(pieces: AsyncGenerator[bytes, None], receive: Receive, send: Send) -> int:
    """Send them until the last, or until the client leaves: a model may stream without end."""
    sent, gone = 0, asyncio.ensure_future(_disconnected(receive))
    try:
        async for piece in pieces:
            if gone.done():
                break
            sent += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        gone.cancel()
        await pieces.aclose()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    return sent


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _request_id(headers: Mapping[str, str]) -> str:
    given = next((headers[name] for name in _ID_HEADERS if name in headers), "")
    return given if _ID.fullmatch(given) else uuid.uuid4().hex


def _log_access(scope: Mapping[str, Any], status: int, seconds: float, sizes: tuple[int, int], request_id: str) -> None:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    # The path as it came, not decoded: a line break in it must not make a second line here.
    raw_path: bytes = scope.get("raw_path", b"")
    path = str(raw_path, "ascii", "backslashreplace") or ascii(scope["path"])
    sys.stdout.write(f"{stamp} {scope['method']} {path} {status} {seconds * 1000:.1f}ms in={sizes[0]} out={sizes[1]} id={request_id}\n")
    sys.stdout.flush()
