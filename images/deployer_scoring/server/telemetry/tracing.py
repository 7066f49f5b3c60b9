"""The trace that a request belongs to (W3C Trace Context), and its span, where OpenTelemetry is there to take it.

A `traceparent` that comes in decides the trace id of the log's line and of the `traceresponse` that goes out: no dependency. Where the
model's environment has the OpenTelemetry SDK with an OTLP exporter and OTEL_EXPORTER_OTLP_ENDPOINT is set, each request that isn't a probe
is exported as a span too; OpenTelemetry's own variables (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER ...) hold.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

_log = logging.getLogger(__name__)
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True)
class Trace:
    """A span: of the caller where it was parsed, ours where it was begun."""

    trace_id: str
    """32 digits of hexadecimal."""
    span_id: str
    """16 of them."""
    flags: str = "01"

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def parse(traceparent: str) -> Optional[Trace]:
    """The caller's span; None for what isn't a valid traceparent, which is then as good as absent."""
    match = _TRACEPARENT.fullmatch(traceparent.strip())
    if match is None or (match[1] == "00" and match[5]):
        return None
    return Trace(match[2], match[3], match[4])


def begun(caller: Trace) -> Trace:
    """A new span in the caller's trace."""
    return Trace(caller.trace_id, _fresh_span_id(), caller.flags)


def _fresh_span_id() -> str:
    import secrets

    return secrets.token_hex(8)


class Exporter:
    """Spans to OpenTelemetry. One for each process: its sender is a thread, which a fork would lose."""

    def __init__(self, provider: Any) -> None:
        """Wrap a TracerProvider."""
        self._provider = provider
        self._tracer = provider.get_tracer("deployer_scoring")

    def start(self, method: str, path: str, route: str, request_id: str, caller: Optional[Trace]) -> Span:
        """Begin the span of a request, named for the kind of path that it has."""
        from opentelemetry import trace

        context = None
        if caller is not None:
            flags = trace.TraceFlags(int(caller.flags, 16))
            remote = trace.SpanContext(int(caller.trace_id, 16), int(caller.span_id, 16), is_remote=True, trace_flags=flags)
            context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        attributes = {"http.request.method": method, "http.route": route, "url.path": path, "deployer.request_id": request_id}
        return Span(self._tracer.start_span(f"{method} {route}", context, trace.SpanKind.SERVER, attributes))

    def close(self) -> None:
        """Send what wasn't sent yet."""
        self._provider.shutdown()


class Span:
    """A span that was begun and must be ended."""

    def __init__(self, span: Any) -> None:
        self._span = span
        found = span.get_span_context()
        self.trace = Trace(f"{found.trace_id:032x}", f"{found.span_id:016x}", f"{int(found.trace_flags):02x}")

    def end(self, status: int) -> None:
        """End it with the status of the answer."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(time.time_ns())


def exporter(environ: Mapping[str, str]) -> Optional[Exporter]:
    """What takes the spans; None where it isn't asked for, or OpenTelemetry isn't installed here. Call it after the fork."""
    asked = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not asked or environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        sender = _otlp(environ)
    except ImportError as error:
        _log.warning("no spans are exported: OTEL_EXPORTER_OTLP_ENDPOINT is set, but the model's environment has no %s", error.name)
        return None
    named = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": "deployer-scoring"}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(sender))
    return Exporter(provider)


def _otlp(environ: Mapping[str, str]) -> Any:
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc

        return grpc.OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http

    return http.OTLPSpanExporter()
