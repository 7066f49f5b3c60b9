"""MLflow's scoring protocol: the body of a POST to /invocations, answered whole, or in pieces where that is asked for."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Optional

from deployer_scoring.errors import InvalidInput
from deployer_scoring.server.http.messages import Request, Response, failure

if TYPE_CHECKING:
    from deployer_scoring.server.predict.dispatch import Dispatcher

_log = logging.getLogger(__name__)
_EVENT_STREAM, _JSON_LINES = "text/event-stream", "application/jsonlines"
_STREAMS = {_EVENT_STREAM: _EVENT_STREAM, _JSON_LINES: _JSON_LINES, "application/x-ndjson": _JSON_LINES}


async def answer(request: Request, dispatcher: Dispatcher) -> Response:
    """Answer a request to a model.

    Raises:
        InvalidInput: A stream is asked of a model that doesn't stream.
        ScoringError: As Dispatcher.answer.
    """
    content_type = request.headers.get("content-type", "")
    if dispatcher.streams or "stream" in request.query:
        stream = _stream_wanted(request, streams=dispatcher.streams)
        if stream is not None:
            return await _streamed(stream, dispatcher.stream(request.body, content_type))
    return Response(200, await dispatcher.answer(request.body, content_type))


async def _streamed(content_type: str, pieces: AsyncGenerator[bytes, None]) -> Response:
    """The answer in pieces. The first is awaited here, so that what fails before it still gets a status of its own."""
    written = _written(content_type, pieces)
    try:
        first = await written.__anext__()
    except StopAsyncIteration:
        first = b""
    return Response(200, first, content_type, {"cache-control": "no-cache"}, written)


async def _written(content_type: str, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The pieces as events or lines. What fails after the first can't change the status any more: it becomes the last piece."""
    events, begun = content_type == _EVENT_STREAM, False
    try:
        async for piece in pieces:
            yield b"data: " + piece + b"\n\n" if events else piece + b"\n"
            begun = True
    except Exception as error:
        if not begun:
            raise
        _log.error("a stream broke off: %s", getattr(error, "stack", "") or error)
        last = failure(500, "INTERNAL_ERROR", str(error)).body
        yield b"event: error\ndata: " + last + b"\n\n" if events else last + b"\n"
    finally:
        await pieces.aclose()


def _stream_wanted(request: Request, *, streams: bool) -> Optional[str]:
    """The content type of the stream that a request asks for; None where it wants one answer."""
    asked = request.query.get("stream", "").lower() in {"true", "1"}
    if asked and not streams:
        raise InvalidInput("this model does not stream; ask without stream=true")
    accepted = (part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(","))
    content_type = next((_STREAMS[media] for media in accepted if media in _STREAMS), None)
    return (content_type or (_JSON_LINES if asked else None)) if streams else None
