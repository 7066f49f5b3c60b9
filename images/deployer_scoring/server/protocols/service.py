"""What each path means: health, /invocations, and what the server says of itself; the other protocols have modules of their own."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Callable, Optional

from deployer_scoring.errors import InvalidInput
from deployer_scoring.server.http.messages import Request, Response, as_json, failure, not_allowed
from deployer_scoring.server.protocols import invocations
from deployer_scoring.server.protocols.catalog import Catalog, NotReady
from deployer_scoring.server.protocols.failures import judged
from deployer_scoring.server.telemetry.metrics import CONTENT_TYPE, Metrics, label
from deployer_scoring.version import __version__

if TYPE_CHECKING:
    from deployer_scoring.server.protocols.multi_model import MultiModel
    from deployer_scoring.server.telemetry.tracing import Exporter

_PROBES = frozenset({"/ping", "/health", "/v2/health/live", "/v2/health/ready", "/metrics"})
_BATCH_MEGABYTES = 100  # SageMaker's limit on concurrency times payload of a batch transform


class Service:
    """The answer to every request of a server. Belongs to the event loop."""

    def __init__(
        self, catalog: Catalog, *, metrics: Optional[Metrics] = None, exporter: Optional[Exporter] = None, multi_model: Optional[MultiModel] = None
    ) -> None:
        """Make it.

        Args:
            catalog: The models that are served.
            metrics: What /metrics reads.
            exporter: Takes the spans of requests.
            multi_model: Answers below /models, where the catalog has several.
        """
        self._catalog, self._exporter, self._multi_model = catalog, exporter, multi_model
        self._metrics = metrics or Metrics()
        self._described: dict[str, Response] = {}
        self._get: dict[str, Callable[[], Response]] = {
            "/ping": self._ping,
            "/health": self._ping,
            "/v2/health/live": lambda: as_json({"live": True}),
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
        from deployer_scoring.server.telemetry import tracing

        caller = tracing.parse(request.headers.get("traceparent", ""))
        if self._exporter is None or request.path in _PROBES:
            response = await self._answered(request)
            trace = None if caller is None else tracing.begun(caller)
        else:
            span = self._exporter.start(request.method, request.path, label(request.path), request.id, caller)
            response = await self._answered(request)
            span.end(response.status)
            trace = span.trace
        return response if trace is None else response._replace(headers={**response.headers, "traceresponse": str(trace)})

    async def _answered(self, request: Request) -> Response:
        try:
            if request.path == "/invocations":
                # A draining server still answers: the request was sent before its client could know.
                return await invocations.answer(request, self._catalog.only()) if request.method == "POST" else not_allowed("POST")
            return await self._route(request)
        except Exception as error:
            return _failed(error, request)

    async def _route(self, request: Request) -> Response:
        path = request.path
        if path in self._get:
            return self._get[path]() if request.method in {"GET", "HEAD"} else not_allowed("GET, HEAD")
        if path == "/v2" or path.startswith("/v2/"):
            from deployer_scoring.server.protocols import open_inference

            return await open_inference.answer(request, self._catalog)
        if path == "/v1/models" or path.startswith("/v1/models/"):
            from deployer_scoring.server.protocols import open_inference_v1

            return await open_inference_v1.answer(request, self._catalog)
        if self._multi_model is not None and (path == "/models" or path.startswith("/models/")):
            return await self._multi_model.answer(request)
        raise InvalidInput(f"there is no {path} here; predictions are at POST /invocations", status=404, error_code="ENDPOINT_NOT_FOUND")

    def _ping(self) -> Response:
        if (reason := self._catalog.unavailable()) is not None:
            raise NotReady(reason)
        return as_json({"status": "ready"})

    def _ready(self) -> Response:
        ready = self._catalog.unavailable() is None
        return as_json({"ready": ready}, 200 if ready else 503)

    def _version(self) -> Response:
        saved_by = self._catalog.model.model.mlflow_version if self._catalog.model else None
        return as_json({"deployer_scoring": __version__, "python": platform.python_version(), "model_mlflow_version": saved_by})

    def _execution_parameters(self) -> Response:
        megabytes = max(1, self._catalog.settings.max_request_bytes // (1024 * 1024))
        # One record a request: a JSON body fills a line of its own, and several of them joined would be no JSON.
        concurrent = max(1, min(4, _BATCH_MEGABYTES // megabytes))
        payload = min(megabytes, _BATCH_MEGABYTES)
        return as_json({"MaxConcurrentTransforms": concurrent, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": payload})

    def _openapi(self) -> Response:
        if "openapi" not in self._described:
            from deployer_scoring.server.protocols.openapi import document

            catalog = self._catalog
            model = None if catalog.several else catalog.only().model
            self._described["openapi"] = as_json(document(model, name=(catalog.names or ["model"])[0], multi_model=catalog.several))
        return self._described["openapi"]

    def _front(self) -> Response:
        """Whoever opens the server in a browser is led to the page, where there is one."""
        if self._catalog.several:
            return self._docs()
        return Response(307, headers={"location": "/docs"})

    def _docs(self) -> Response:
        if "docs" not in self._described:
            from deployer_scoring.server.protocols.page import page

            if self._catalog.several:
                raise InvalidInput("the page is for servers of one model; see /openapi.json", status=404, error_code="ENDPOINT_NOT_FOUND")
            self._described["docs"] = page(self._catalog.only().model, self._catalog.settings.model_name)
        return self._described["docs"]


def _failed(error: Exception, request: Request) -> Response:
    """What went wrong, in the form of the protocol that was spoken."""
    status, code, message = judged(error, request.id)
    after = {"retry-after": "1"} if status == 503 else {}
    if request.path.startswith(("/v1/", "/v2")):
        return as_json({"error": message}, status)._replace(headers=after)
    return failure(status, code, message)._replace(headers=after)
