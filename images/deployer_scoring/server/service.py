"""What each path means: health, /invocations, and what the server says of itself; the other protocols have modules of their own."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Callable, Optional

from deployer_scoring.errors import EncodingError, InvalidInput, ModelFailure, ScoringError
from deployer_scoring.server.metrics import CONTENT_TYPE, Metrics, label
from deployer_scoring.server.settings import Settings
from deployer_scoring.server.web import JSON, Request, Response, failure
from deployer_scoring.version import __version__

if TYPE_CHECKING:
    from deployer_scoring.server.dispatch import Dispatcher
    from deployer_scoring.server.multi_model import Models
    from deployer_scoring.server.tracing import Exporter

_log = logging.getLogger(__name__)
_ERROR_CODES = {413: "REQUEST_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"}
_EVENT_STREAM, _JSON_LINES = "text/event-stream", "application/jsonlines"
_STREAMS = {_EVENT_STREAM: _EVENT_STREAM, _JSON_LINES: _JSON_LINES, "application/x-ndjson": _JSON_LINES}
_PROBES = frozenset({"/ping", "/health", "/v2/health/live", "/v2/health/ready", "/metrics"})
_BATCH_MEGABYTES = 100  # SageMaker's limit on concurrency times payload of a batch transform


class Unavailable(ScoringError):
    """The server can't answer yet, or no longer."""


class Service:
    """The server's state, and the answer to every request in it. Belongs to the event loop."""

    def __init__(
        self, settings: Settings, *, metrics: Optional[Metrics] = None, exporter: Optional[Exporter] = None, models: Optional[Models] = None
    ) -> None:
        """Make one that is loading.

        Args:
            settings: Limits and names that are told to clients.
            metrics: What /metrics reads.
            exporter: Takes the spans of requests.
            models: The models of a multi-model endpoint, which loads none at its start.
        """
        self._settings, self._exporter, self._models = settings, exporter, models
        self._metrics = metrics or Metrics()
        self.dispatcher: Optional[Dispatcher] = None
        self.loading = "the server is starting"
        """What is being done before the first answer, in words."""
        self.draining = False
        self._described: dict[str, Response] = {}
        self._get: dict[str, Callable[[], Response]] = {
            "/ping": self._ping,
            "/health": self._ping,
            "/v2/health/live": lambda: _json(200, {"live": True}),
            "/v2/health/ready": self._ready,
            "/version": self._version,
            "/execution-parameters": self._execution_parameters,
            "/metrics": lambda: Response(200, self._metrics.text(), CONTENT_TYPE),
            "/openapi.json": self._openapi,
            "/docs": self._docs,
            "/": self._front,
        }

    async def handle(self, request: Request) -> Response:
        """Answer a request; whatever goes wrong becomes an answer too."""
        if self._exporter is not None or "traceparent" in request.headers:
            return await self._traced(request)
        return await self._answered(request)

    async def _traced(self, request: Request) -> Response:
        """Answer within the trace that the request names, or one that begins here where spans are exported."""
        from deployer_scoring.server import tracing

        caller = tracing.parse(request.headers.get("traceparent", ""))
        if self._exporter is None or request.path in _PROBES:
            response = await self._answered(request)
            trace = None if caller is None else tracing.begun(caller)
        else:
            span = self._exporter.start(request, label(request.path), caller)
            response = await self._answered(request)
            span.end(response.status)
            trace = span.trace
        return response if trace is None else response._replace(headers={**response.headers, "traceresponse": str(trace)})

    async def _answered(self, request: Request) -> Response:
        try:
            if request.path == "/invocations":
                return await self._invocations(request) if request.method == "POST" else not_allowed("POST")
            return await self._route(request)
        except Exception as error:
            return _failed(error, request)

    async def _route(self, request: Request) -> Response:
        path = request.path
        if path in self._get:
            return self._get[path]() if request.method in {"GET", "HEAD"} else not_allowed("GET, HEAD")
        if path == "/v2" or path.startswith("/v2/"):
            from deployer_scoring.server import inference_protocol

            return await inference_protocol.answer(request, self)
        if self._models is not None and (path == "/models" or path.startswith("/models/")):
            return await self._models.answer(request, self)
        raise InvalidInput(f"there is no {path} here; predictions are at POST /invocations", status=404, error_code="ENDPOINT_NOT_FOUND")

    # What the other protocols ask.

    @property
    def settings(self) -> Settings:
        """How the server was told to serve."""
        return self._settings

    @property
    def names(self) -> list[str]:
        """The names of the models that are served."""
        return [self._settings.model_name or "model"] if self._models is None else self._models.names

    def unavailable(self) -> Optional[str]:
        """Why no new request should come; None where they are answered."""
        if self.draining:
            return "the server is stopping"
        return self.loading if self.dispatcher is None and self._models is None else None

    def model_named(self, name: str, version: Optional[str] = None) -> Dispatcher:
        """The model of a name; where the server was told none, its one model has any.

        Raises:
            InvalidInput: There is no such model, or not in that version (404).
            Unavailable: It is loading.
        """
        known = (name in self.names) if self._models is not None else (self._settings.model_name or name) == name
        if not known or (version or self._settings.model_version) != self._settings.model_version:
            wanted = name if version is None else f"{name} in version {version}"
            there = ", ".join(self.names) or "none"
            raise InvalidInput(f"there is no model {wanted} here; there is {there}", status=404, error_code="RESOURCE_DOES_NOT_EXIST")
        found = self.dispatcher if self._models is None else self._models[name]
        if found is None:
            raise Unavailable(self.loading)
        return found

    async def predicted(self, request: Request, dispatcher: Dispatcher) -> Response:
        """The answer to a request of MLflow's scoring protocol: whole, or in pieces where that is asked for."""
        content_type = request.headers.get("content-type", "")
        if dispatcher.streams or "stream" in request.query:
            stream = _stream_wanted(request, streams=dispatcher.streams)
            if stream is not None:
                return await _streamed(stream, dispatcher.stream(request.body, content_type))
        return Response(200, await dispatcher.answer(request.body, content_type))

    # The answers.

    async def _invocations(self, request: Request) -> Response:
        # A draining server still answers: the request was sent before its client could know.
        if self.dispatcher is None:
            if self._models is not None:
                raise InvalidInput("this server has several models: POST to /models/NAME/invoke", status=404, error_code="ENDPOINT_NOT_FOUND")
            raise Unavailable(self.unavailable() or self.loading)
        return await self.predicted(request, self.dispatcher)

    def _ping(self) -> Response:
        if (reason := self.unavailable()) is not None:
            raise Unavailable(reason)
        return _json(200, {"status": "ready"})

    def _ready(self) -> Response:
        ready = self.unavailable() is None
        return _json(200 if ready else 503, {"ready": ready})

    def _version(self) -> Response:
        saved_by = self.dispatcher.model.mlflow_version if self.dispatcher else None
        return _json(200, {"deployer_scoring": __version__, "python": platform.python_version(), "model_mlflow_version": saved_by})

    def _execution_parameters(self) -> Response:
        megabytes = max(1, self._settings.max_request_bytes // (1024 * 1024))
        # One record a request: a JSON body fills a line of its own, and several of them joined would be no JSON.
        concurrent = max(1, min(4, _BATCH_MEGABYTES // megabytes))
        return _json(
            200, {"MaxConcurrentTransforms": concurrent, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": min(megabytes, _BATCH_MEGABYTES)}
        )

    def _openapi(self) -> Response:
        if "openapi" not in self._described:
            from deployer_scoring.server.openapi import document

            if self.dispatcher is None and self._models is None:
                raise Unavailable(self.loading)
            model = self.dispatcher.model if self.dispatcher else None
            self._described["openapi"] = _json(200, document(model, name=(self.names or ["model"])[0], multi_model=self._models is not None))
        return self._described["openapi"]

    def _front(self) -> Response:
        """Whoever opens the server in a browser is led to the page, where there is one."""
        if self._models is not None:
            return self._docs()
        return Response(307, headers={"location": "/docs"})

    def _docs(self) -> Response:
        if "docs" not in self._described:
            from deployer_scoring.server.page import page

            if self._models is not None:
                raise InvalidInput("the page is for servers of one model; see /openapi.json", status=404, error_code="ENDPOINT_NOT_FOUND")
            if self.dispatcher is None:
                raise Unavailable(self.loading)
            self._described["docs"] = page(self.dispatcher.model, self._settings.model_name)
        return self._described["docs"]


def not_allowed(methods: str) -> Response:
    """The answer to a method that a path doesn't have."""
    return failure(405, "METHOD_NOT_ALLOWED", f"this path answers to {methods}", Allow=methods)


def _failed(error: Exception, request: Request) -> Response:
    """What went wrong, in the form of the protocol that was spoken."""
    status, code, message = _judged(error, request)
    after = {"retry-after": "1"} if status == 503 else {}
    if request.path.startswith("/v2"):
        return _json(status, {"error": message})._replace(headers=after)
    return failure(status, code, message)._replace(headers=after)


def _judged(error: Exception, request: Request) -> tuple[int, str, str]:
    """The status, error code and message of what went wrong; what isn't the client's fault is logged."""
    from deployer_scoring.server.waiting import Busy, TimedOut

    if isinstance(error, InvalidInput):
        return error.status, _ERROR_CODES.get(error.status, error.error_code), str(error)
    if isinstance(error, (Busy, Unavailable)):
        return 503, "TEMPORARILY_UNAVAILABLE", str(error)
    if isinstance(error, TimedOut):
        return 504, "DEADLINE_EXCEEDED", str(error)
    if isinstance(error, (ModelFailure, EncodingError)):
        _log.error("request %s: the model failed: %s", request.id, getattr(error, "stack", "") or error)
        return 500, "INTERNAL_ERROR", str(error)
    _log.error("request %s: a fault of the server", request.id, exc_info=error)
    return 500, "INTERNAL_ERROR", f"a fault of the server: {type(error).__name__}: {error}"


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


def _json(status: int, value: object) -> Response:
    return Response(status, json.dumps(value).encode(), JSON)
