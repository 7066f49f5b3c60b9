"""What is kept of each answered request: a line of the access log, and the counts of the metrics.

Two forms of a line, by DEPLOYER_LOG_FORMAT: `text`, for people, and `json`, an object a line, for what collects logs. In the second the
server's own messages are objects too.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Callable, NamedTuple, Optional

from deployer_scoring.printable import one_line, printable
from deployer_scoring.server.telemetry.metrics import Recorder

FORMS = ("text", "json")
_quoted = json.encoder.encode_basestring_ascii
_QUIET = frozenset({"/ping", "/health", "/v2/health/live", "/v2/health/ready", "/metrics"}) | {
    f"/inference.GRPCInferenceService/{method}" for method in ("ServerLive", "ServerReady", "ModelReady")
}
"""Paths that probes ask every few seconds: counted, but not logged."""


class Exchange(NamedTuple):
    """A request and its answer, as far as they are recorded."""

    method: str
    target: str
    """The request's path as it came, not decoded: a line break in it must not make a second line of the log."""
    path: str
    """The decoded path; empty where the request could not be read."""
    status: int
    seconds: float
    """From the request's first byte to the answer's last."""
    received: int
    """Bytes of the request's body."""
    sent: int
    """Bytes of the answer's body."""
    request_id: str
    """The one that the answer carries."""
    traced: Optional[str] = None
    """The answer's `traceresponse`, where it has one."""


class AccessLog:
    """The record of one process's requests. For the thread of the event loop."""

    def __init__(self, recorder: Recorder, form: str = "text", write: Optional[Callable[[str], object]] = None) -> None:
        """Make it.

        Args:
            recorder: Where requests are counted.
            form: `text` or `json`.
            write: Takes a line with its end; standard output, flushed, where none is given.
        """
        self._count = recorder.answered
        self._line = _json_line if form == "json" else _text_line
        self._write = write or _to_stdout
        self._second, self._stamp = -1, ""

    def finished(self, exchange: Exchange) -> None:
        """Record a request once its answer is handed over."""
        self._count(exchange.path, exchange.status, exchange.seconds)
        if exchange.path not in _QUIET:
            self._write(self._line(self._now(), exchange))

    def _now(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:  # the part of the stamp that holds for a second
            self._second, self._stamp = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((now - second) * 1000):03d}Z"


class JsonFormatter(logging.Formatter):
    """The server's own messages as objects, a line each."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": _stamp(record.created), "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class TextFormatter(logging.Formatter):
    """The same for people: what a client or a model put into a message makes no line of its own and moves no cursor."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def formatter(form: str) -> logging.Formatter:
    """How the server's own messages are written."""
    return JsonFormatter() if form == "json" else TextFormatter()


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"


def _text_line(now: str, exchange: Exchange) -> str:
    method, target, _, status, seconds, received, sent, request_id, traced = exchange
    trace = "" if traced is None else f" trace={traced[3:35]}"
    return f"{now} {method} {target} {status} {seconds * 1000:.1f}ms in={received} out={sent} id={request_id}{trace}\n"


def _json_line(now: str, exchange: Exchange) -> str:
    # Written by hand: json.dumps of a dictionary takes three times as long.
    method, target, _, status, seconds, received, sent, request_id, traced = exchange
    trace = "" if traced is None else f', "trace_id": "{traced[3:35]}", "span_id": "{traced[36:52]}"'
    return (
        f'{{"time": "{now}", "method": {_quoted(method)}, "path": {_quoted(target)}, "status": {status}, "duration_ms": {seconds * 1000:.3f}, '
        f'"bytes_in": {received}, "bytes_out": {sent}, "request_id": {_quoted(request_id)}{trace}}}\n'
    )


def _to_stdout(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
