"""The first answers, and the command line that they wait for."""

from __future__ import annotations

import json

import pytest

from deployer_scoring.__main__ import _parsed_options, _plain_options
from deployer_scoring.server.http.early import answer


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        (b"GET /ping HTTP/1.1", 503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": 'loading "ä\\n" of C:\\x'}),
        (b"POST /invocations?a=1 HTTP/1.1", 503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": 'loading "ä\\n" of C:\\x'}),
        (b"GET /v2/health/live HTTP/1.1", 200, {"live": True}),
        (b"GET /v2/health/ready HTTP/1.1", 503, {"ready": False}),
        (b"nonsense", 503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": 'loading "ä\\n" of C:\\x'}),
    ],
)
def test_a_server_that_is_starting_says_so(line: bytes, status: int, said: object) -> None:
    head, _, body = answer(line, 'loading "ä\\n" of C:\\x').partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body) == said
    assert b"content-length: %d\r\n" % len(body) in head + b"\r\n"
    assert (b"retry-after: 1" in head) == (status == 503)


def test_the_answer_to_head_has_no_body() -> None:
    assert answer(b"HEAD /ping HTTP/1.1", "x").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "given",
    [
        "serve",
        "serve --port 0",
        "serve --host 0.0.0.0 --port 8080 --workers 2 --threads 3 --batching on",
        "serve --batching off --port 1",
        "serve --grpc-port 9000 --model-name iris",
    ],
)
def test_the_quick_way_of_reading_the_command_line_is_the_parser_s(given: str) -> None:
    names = ("host", "port", "grpc_port", "workers", "threads", "batching", "model_name")
    assert {**dict.fromkeys(names), **(_plain_options(given.split()) or {})} == _parsed_options(given.split())


@pytest.mark.parametrize(
    "given", ["", "predict", "--version", "serve --help", "serve --port x", "serve --port", "serve --batching x", "serve --port=1"]
)
def test_what_is_not_plain_is_left_to_the_parser(given: str) -> None:
    assert _plain_options(given.split()) is None
