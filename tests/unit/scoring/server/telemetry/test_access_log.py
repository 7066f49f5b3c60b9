"""The access log's lines and the trace that they belong to."""

from __future__ import annotations

import json
import logging
import re
import sys

import pytest

from deployer_scoring.server.telemetry.access_log import AccessLog, Exchange, formatter
from deployer_scoring.server.telemetry.metrics import Metrics
from deployer_scoring.server.telemetry.tracing import Trace, begun, exporter, parse

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def exchange(path: str = "/invocations", target: str = "/invocations?a=1", request_id: str = "r1", traced: str | None = None) -> Exchange:
    return Exchange("POST", target, path, 200, 0.00123, 12, 34, request_id, traced)


def line(form: str, each: Exchange) -> str:
    lines: list[str] = []
    AccessLog(Metrics().recorder(0), form, lines.append).finished(each)
    assert len(lines) < 2
    return "".join(lines)


def test_a_line_of_text_says_who_what_and_how_long() -> None:
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(rf"{stamp} POST /invocations\?a=1 200 1\.2ms in=12 out=34 id=r1\n", line("text", exchange()))
    assert line("text", exchange(traced=TRACEPARENT)).endswith(f" id=r1 trace={TRACE}\n")


def test_a_line_of_json_is_an_object_whatever_the_request_held() -> None:
    found = json.loads(line("json", exchange(target='/"\\\n', request_id='"x\\', traced=TRACEPARENT)))
    assert found.pop("time").endswith("Z")
    assert found == {
        "method": "POST",
        "path": '/"\\\n',
        "status": 200,
        "duration_ms": 1.23,
        "bytes_in": 12,
        "bytes_out": 34,
        "request_id": '"x\\',
        "trace_id": TRACE,
        "span_id": "b7ad6b7169203331",
    }
    assert "trace_id" not in json.loads(line("json", exchange()))


@pytest.mark.parametrize("path", ["/ping", "/health", "/v2/health/live", "/v2/health/ready", "/metrics"])
def test_a_probe_is_counted_and_not_logged(path: str) -> None:
    lines: list[str] = []
    metrics = Metrics()
    AccessLog(metrics.recorder(0), "text", lines.append).finished(exchange(path))
    assert lines == []
    assert f'path="{path}",status="200"}} 1'.encode() in metrics.text()


def test_the_servers_own_messages_are_objects_where_the_log_is_json() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("deployer_scoring.x", logging.ERROR, "f.py", 1, "it said %s", ("no",), sys.exc_info())
    found = json.loads(formatter("json").format(record))
    assert (found["level"], found["logger"], found["message"]) == ("ERROR", "deployer_scoring.x", "it said no")
    assert "ValueError: no" in found["exception"]
    assert "\n" in formatter("text").format(record)


def test_a_traceparent_is_parsed_and_a_span_of_ours_stays_in_its_trace() -> None:
    caller = parse(TRACEPARENT)
    assert caller == Trace(TRACE, "b7ad6b7169203331", "01")
    ours = begun(caller)
    assert (ours.trace_id, ours.flags) == (TRACE, "01")
    assert ours.span_id != caller.span_id
    assert parse(str(ours)) == ours


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "00",
        TRACEPARENT.upper(),
        "ff" + TRACEPARENT[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        TRACEPARENT + "-more",
        TRACEPARENT + "\n00",
        TRACEPARENT[:-1],
    ],
)
def test_what_is_no_traceparent_is_as_good_as_absent(wrong: str) -> None:
    assert parse(wrong) is None


def test_a_later_version_of_the_header_may_have_more_parts() -> None:
    assert parse("cc" + TRACEPARENT[2:] + "-what-the-future-brings") == parse(TRACEPARENT)


@pytest.mark.parametrize(
    "environ",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}],
)
def test_no_spans_are_exported_unless_that_is_asked_for(environ: dict[str, str]) -> None:
    assert exporter(environ) is None


def test_an_environment_without_opentelemetry_s_exporter_says_so_and_serves(caplog: pytest.LogCaptureFixture) -> None:
    assert exporter({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) is None
    assert "the model's environment has no opentelemetry" in caplog.text
