"""What each path means: health, versions, and /invocations, which hands the request to the model in its thread."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Optional

from deployer_scoring.errors import EncodingError, InvalidInput, ModelFailure
from deployer_scoring.server.waiting import Busy, TimedOut
from deployer_scoring.server.web import JSON, Request, Response, failure
from deployer_scoring.version import __version__

if TYPE_CHECKING:
    from deployer_scoring.server.dispatch import Dispatcher
    from deployer_scoring.server.metrics import Metrics
    from deployer_scoring.server.settings import Settings

_log = logging.getLogger(__name__)
_ERROR_CODES = {413: "REQUEST_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"}
_EVENT_STREAM, _JSON_LINES = "text/event-stream", "application/jsonlines"
_STREAMS = {_EVENT_STREAM: _EVENT_STREAM, _JSON_LINES: _JSON_LINES, "application/x-ndjson": _JSON_LINES}
_BATCH_MEGABYTES = 100  # SageMaker's limit on concurrency times payload of a batch transform


class Service:
    """The server's state, and the answer to every request in it. Belongs to the event loop."""

    def __init__(self, settings: Settings, *, metrics: Optional[Metrics] = None) -> None:
        """Make one that is loading.

        Args:
            settings: How to serve.
            metrics: What all workers have counted.
        """
        self._max_request_bytes = settings.max_request_bytes
        self.dispatcher: Optional[Dispatcher] = None
        """The model; None while it is loading."""
        self.loading = "the server is starting"
        """What is being done before the first answer, in words."""
        self.draining = False

    async def handle(self, request: Request) -> Response:
        """Answer a request; whatever goes wrong becomes an answer too."""
        try:
            return await self._route(request)
        except InvalidInput as error:
            return failure(error.status, _ERROR_CODES.get(error.status, error.error_code), str(error))
        except Busy as error:
            return failure(503, "TEMPORARILY_UNAVAILABLE", str(error), Retry_After="1")
        except TimedOut as error:
            return failure(504, "DEADLINE_EXCEEDED", str(error))
        except (ModelFailure, EncodingError) as error:
            _log.error("request %s: the model failed: %s\n%s", request.id, error, getattr(error, "stack", ""))
            return failure(500, "INTERNAL_ERROR", str(error))
        except Exception as error:
            _log.exception("request %s: a fault of the server", request.id)
            return failure(500, "INTERNAL_ERROR", f"a fault of the server: {type(error).__name__}: {error}")

    async def _route(self, request: Request) -> Response:
        get, path = request.method in {"GET", "HEAD"}, request.path
        if path == "/invocations":
            return await self._invocations(request) if request.method == "POST" else _not_allowed("POST")
        answer = {
            "/ping": self._ping,
            "/health": self._ping,
            "/v2/health/live": lambda: _json(200, {"live": True}),
            "/v2/health/ready": self._ready,
            "/version": self._version,
            "/execution-parameters": self._execution_parameters,
        }.get(path)
        if answer is None:
            return failure(404, "ENDPOINT_NOT_FOUND", f"there is no {path} here; predictions are at POST /invocations")
        return answer() if get else _not_allowed("GET, HEAD")

    def _ping(self) -> Response:
        return self._unavailable() or _json(200, {"status": "ready"})

    def _ready(self) -> Response:
        ready = self._unavailable() is None
        return _json(200 if ready else 503, {"ready": ready})

    def _unavailable(self) -> Optional[Response]:
        if self.draining:
            return failure(503, "TEMPORARILY_UNAVAILABLE", "the server is stopping", Retry_After="1")
        if self.dispatcher is None:
            return failure(503, "TEMPORARILY_UNAVAILABLE", self.loading, Retry_After="1")
        return None

    def _version(self) -> Response:
        saved_by = self.dispatcher.model.mlflow_version if self.dispatcher else None
        return _json(200, {"deployer_scoring": __version__, "python": platform.python_version(), "model_mlflow_version": saved_by})

    def _execution_parameters(self) -> Response:
        megabytes = max(1, self._max_request_bytes // (1024 * 1024))
        # One record a request: a JSON body fills a line of its own, and several of them joined would be no JSON.
        concurrent = max(1, min(4, _BATCH_MEGABYTES // megabytes))
        return _json(
            200, {"MaxConcurrentTransforms": concurrent, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": min(megabytes, _BATCH_MEGABYTES)}
        )

    async def _invocations(self, request: Request) -> Response:
        # A draining server still answers: the request was sent before its client could know.
        if self.dispatcher is None:
            return self._unavailable() or failure(503, "TEMPORARILY_UNAVAILABLE", self.loading)
        dispatcher, body, content_type = self.dispatcher, request.body, request.headers.get("content-type", "")
        if stream := _stream_wanted(request, dispatcher):
            return await self._streamed(stream, dispatcher.stream(body, content_type))
        return Response(200, await dispatcher.answer(body, content_type))

    async def _streamed(self, content_type: str, pieces: AsyncGenerator[bytes, None]) -> Response:
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
        _log.error("a stream broke off", exc_info=error.__cause__ or error)
        last = failure(500, "INTERNAL_ERROR", str(error)).body
        yield b"event: error\ndata: " + last + b"\n\n" if events else last + b"\n"
    finally:
        await pieces.aclose()


def _stream_wanted(request: Request, dispatcher: Dispatcher) -> Optional[str]:
    """The content type of the stream that a request asks for; None where it wants, or can only have, one answer."""
    asked = request.query.get("stream", "").lower() in {"true", "1"}
    accepted = (part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(","))
    content_type = next((_STREAMS[media] for media in accepted if media in _STREAMS), None)
    if asked and not dispatcher.streams:
        raise InvalidInput("this model does not stream; ask without stream=true")
    return (content_type or (_JSON_LINES if asked else None)) if dispatcher.streams else None


def _json(status: int, value: object) -> Response:
    return Response(status, json.dumps(value).encode(), JSON)


def _not_allowed(methods: str) -> Response:
    return failure(405, "METHOD_NOT_ALLOWED", f"this path answers to {methods}", Allow=methods)
