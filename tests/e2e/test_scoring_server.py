"""The server's behaviour over a socket: start, health, limits, streams, stop."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.e2e.scoring_process import Served, serving
from tests.models import copied_model, saved_model


@pytest.fixture(scope="module")
def doubler() -> Iterator[Served]:
    with serving(saved_model("doubler"), DEPLOYER_MAX_REQUEST_BYTES="2000") as served:
        yield served


@pytest.fixture(scope="module")
def streamer() -> Iterator[Served]:
    with serving(saved_model("streamer")) as served:
        yield served


def rows(*values: float) -> dict[str, object]:
    return {"dataframe_split": {"columns": ["x"], "data": [[value] for value in values]}}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/ping", {"status": "ready"}),
        ("/health", {"status": "ready"}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/execution-parameters", {"MaxConcurrentTransforms": 4, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1}),
    ],
)
def test_a_ready_server_says_so_on_every_platform_s_path(doubler: Served, path: str, answer: object) -> None:
    response = doubler.client.get(path)
    assert (response.status_code, response.json()) == (200, answer)


def test_the_version_names_the_runtime_python_and_who_saved_the_model(doubler: Served) -> None:
    found = doubler.client.get("/version").json()
    assert found.keys() == {"deployer_scoring", "python", "model_mlflow_version"}
    assert found["model_mlflow_version"] == "3.17.2"


@pytest.mark.parametrize(
    ("body", "content_type", "answer"),
    [
        (json.dumps(rows(1, 2.5)), "application/json", {"predictions": [2.0, 5.0]}),
        ('{"dataframe_records": [{"x": 4}]}', "application/json", {"predictions": [8.0]}),
        ('{"instances": [1, 2]}', "application/json", {"predictions": [2.0, 4.0]}),
        ('{"inputs": {"x": [3]}}', "application/json; charset=utf-8", {"predictions": [6.0]}),
        ("x\n7\n", "text/csv", {"predictions": [14.0]}),
        ('{"columns": ["x"], "data": [[1]]}', "application/json", [2.0]),
        ('{"columns": ["x"], "data": [[1]]}', "application/json; format=pandas-split", [2.0]),
        ('[{"x": 1}]', "application/json; format=pandas-records", [2.0]),
    ],
)
def test_every_format_is_answered_in_its_own_form(doubler: Served, body: str, content_type: str, answer: object) -> None:
    response = doubler.client.post("/invocations", content=body, headers={"content-type": content_type})
    assert (response.status_code, response.json()) == (200, answer)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "content_type", "expected", "said"),
    [
        ("{", "application/json", (400, "BAD_REQUEST"), "not valid JSON"),
        ('{"rows": []}', "application/json", (400, "BAD_REQUEST"), "dataframe_split"),
        ('{"inputs": {"y": [1]}}', "application/json", (400, "INVALID_PARAMETER_VALUE"), "'x'"),
        ('{"inputs": {"x": ["text"]}}', "application/json", (400, "BAD_REQUEST"), "'x'"),
        ("[" * 100_000, "application/json", (413, "REQUEST_TOO_LARGE"), "2000 bytes"),
        ('{"inputs": ' + "[" * 1900, "application/json", (400, "BAD_REQUEST"), "JSON"),
        ("x", "application/xml", (415, "UNSUPPORTED_MEDIA_TYPE"), "text/csv"),
        ("x\n1", "text/csv; charset=klingon", (415, "UNSUPPORTED_MEDIA_TYPE"), "UTF-8"),
        ("x\n1,2\n", "text/csv", (400, "BAD_REQUEST"), "line 2: there are 2 fields, the header has 1"),
        ("x\n\xff".encode("latin-1"), "text/csv", (400, "BAD_REQUEST"), "UTF-8"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(doubler: Served, body: str | bytes, content_type: str, expected: tuple[int, str], said: str) -> None:
    response = doubler.client.post("/invocations", content=body, headers={"content-type": content_type})
    assert (response.status_code, response.json()["error_code"]) == expected, response.text
    assert said in response.json()["message"]


def test_a_path_that_is_not_there_and_a_method_that_is_wrong_are_told_the_way(doubler: Served) -> None:
    assert doubler.client.get("/predict").json()["error_code"] == "ENDPOINT_NOT_FOUND"
    wrong = doubler.client.get("/invocations")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert doubler.client.post("/ping").status_code == 405


def test_a_body_whose_length_is_not_announced_is_limited_too(doubler: Served) -> None:
    response = doubler.client.post("/invocations", content=iter([b"x" * 500] * 5), headers={"content-type": "text/csv"})
    assert response.status_code == 413


def test_a_huge_body_is_turned_away_before_it_is_sent(doubler: Served) -> None:
    with socket.create_connection(("127.0.0.1", int(doubler.url.rsplit(":", 1)[1])), timeout=10) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 99999999999\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_an_answer_does_not_wait_for_the_acknowledgement_of_its_head(doubler: Served) -> None:
    def seconds() -> float:
        started = time.perf_counter()
        assert doubler.ask(rows(1)).status_code == 200
        return time.perf_counter() - started

    assert min(seconds() for _ in range(20)) < 0.035  # the kernel's delayed acknowledgement takes 0.04


def test_custom_attributes_and_request_ids_come_back_and_are_logged(doubler: Served) -> None:
    response = doubler.ask(rows(1), **{"X-Amzn-SageMaker-Custom-Attributes": "trace=7", "X-Request-Id": "my-request-1"})
    assert response.headers["x-amzn-sagemaker-custom-attributes"] == "trace=7"
    assert response.headers["x-request-id"] == "my-request-1"
    again = doubler.ask(rows(1), **{"X-Amzn-SageMaker-Inference-Id": "inference-2"})
    assert again.headers["x-request-id"] == "inference-2"
    lines = doubler.said("id=my-request-1")
    assert len(lines) == 1
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z POST /invocations 200 \d+\.\dms in=\d+ out=21 id=my-request-1\n", lines[0])
    assert not any("/ping" in line for line in doubler.output)


def test_a_request_id_that_could_break_the_log_is_replaced(doubler: Served) -> None:
    assert re.fullmatch("[0-9a-f]{32}", doubler.ask(rows(1), **{"X-Request-Id": "a b"}).headers["x-request-id"])


def test_while_the_model_loads_the_server_is_alive_and_says_what_it_does() -> None:
    with serving(saved_model("slow"), ready=False) as served:
        seen = served.client.get("/ping")
        assert (seen.status_code, seen.headers["retry-after"]) == (503, "1")
        assert served.client.get("/v2/health/live").status_code == 200
        assert served.client.get("/v2/health/ready").status_code == 503
        while "loading the model" not in seen.json()["message"]:
            time.sleep(0.02)
            seen = served.client.get("/ping")
            assert seen.status_code == 503
        assert served.ask(rows(0)).status_code == 503
        served.wait_ready()
        assert served.ask(rows(0)).json() == {"predictions": [0.0]}


def test_a_request_that_is_half_sent_when_the_model_is_loaded_is_answered_by_it() -> None:
    with serving(saved_model("slow"), ready=False) as served:
        body = json.dumps(rows(0)).encode()
        with socket.create_connection(("127.0.0.1", int(served.url.rsplit(":", 1)[1])), timeout=20) as connection:
            connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
            served.wait_ready()
            connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert connection.recv(1000).endswith(b'{"predictions":[0.0]}')


def test_a_slow_predict_does_not_hold_up_ping_and_the_queue_is_bounded() -> None:
    with serving(saved_model("slow"), DEPLOYER_MAX_QUEUE="2", DEPLOYER_THREADS="1") as served, ThreadPoolExecutor(4) as threads:
        first = threads.submit(served.ask, rows(1.5))
        time.sleep(0.2)
        second = threads.submit(served.ask, rows(0))
        time.sleep(0.2)
        started = time.monotonic()
        assert served.client.get("/ping").status_code == 200
        assert time.monotonic() - started < 0.5
        third = served.ask(rows(0))
        assert (third.status_code, third.headers["retry-after"]) == (503, "1")
        assert third.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert first.result().json() == {"predictions": [3.0]}
        assert second.result().json() == {"predictions": [0.0]}


def test_a_model_that_raises_costs_its_own_request_alone_and_its_stack_stays_in_the_log() -> None:
    with serving(saved_model("slow")) as served:
        failed = served.ask(rows(-1))  # time.sleep refuses a negative number, but max(-1) is one
        assert (failed.status_code, failed.json()["error_code"]) == (500, "INTERNAL_ERROR")
        assert failed.json()["message"].startswith("ValueError: ")
        assert "Traceback" not in failed.text
        assert served.ask(rows(0)).status_code == 200
        assert served.said("Traceback", served.errors)


def test_a_model_that_can_not_be_loaded_ends_the_server_with_the_reason_as_its_last_line() -> None:
    with serving(saved_model("broken"), ready=False) as served:
        assert served.ended() == 1
        assert served.errors[-1] == "the model could not be loaded: ModuleNotFoundError: No module named 'a_module_that_is_not_there'\n"


def test_no_model_at_all_ends_the_server_with_where_it_looked(tmp_path: Path) -> None:
    with serving(tmp_path, ready=False) as served:
        assert served.ended() == 1
        assert served.errors[-1].startswith("the model could not be loaded: no MLmodel file was found at or below $DEPLOYER_MODEL")


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = pytest.raises(AssertionError, match=r"the port \d+ on 127.0.0.1 can't be had")
        with refused, serving(saved_model("doubler"), SAGEMAKER_BIND_TO_PORT=port):
            pass


def test_the_model_is_found_below_azure_s_directory(tmp_path: Path) -> None:
    copied_model("doubler", tmp_path / "models" / "churn" / "3")
    with serving(None, AZUREML_MODEL_DIR=str(tmp_path / "models" / "churn" / "3")) as served:
        assert served.ask(rows(1)).json() == {"predictions": [2.0]}


def sigterm(served: Served) -> None:
    os.kill(served.process.pid, signal.SIGTERM)


def sigint(served: Served) -> None:
    os.kill(served.process.pid, signal.SIGINT)


def ctrl_c(served: Served) -> None:
    """As a terminal sends it: to every process of the group."""
    os.killpg(served.process.pid, signal.SIGINT)


stopped = pytest.mark.parametrize("stop", [sigterm, sigint, ctrl_c])


@stopped
def test_a_signal_finishes_what_runs_and_exits_with_0(stop: Callable[[Served], None]) -> None:
    with serving(saved_model("slow")) as served, ThreadPoolExecutor(4) as threads:
        running = [threads.submit(served.ask, rows(value)) for value in (1.0, 0.5)]
        time.sleep(0.3)
        stop(served)
        time.sleep(0.1)
        assert served.client.get("/v2/health/live").status_code == 200
        assert served.client.get("/v2/health/ready").status_code == 503
        assert sorted(each.result().json()["predictions"][0] for each in running) == [1.0, 2.0]
        assert served.ended() == 0
        with pytest.raises(httpx.ConnectError):
            served.ask(rows(0))


@stopped
def test_no_request_of_a_steady_stream_is_lost_while_a_signal_arrives(stop: Callable[[Served], None]) -> None:
    with serving(saved_model("doubler"), DEPLOYER_DRAIN_SECONDS="3") as served:
        outcomes: list[int] = []
        heard = threading.Event()

        def stream() -> None:
            # A new connection each time: what a balancer does that has not heard yet.
            with httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False) as client:
                while not heard.is_set():
                    outcomes.append(client.post(f"{served.url}/invocations", json=rows(1)).status_code)

        with ThreadPoolExecutor(3) as threads:
            streams = [threads.submit(stream) for _ in range(3)]
            deadline = time.monotonic() + 20
            while len(outcomes) < 4 and time.monotonic() < deadline:
                time.sleep(0.05)
            stop(served)
            before = len(outcomes)
            time.sleep(0.6)
            heard.set()
            for each in streams:
                each.result()
        assert served.ended() == 0
        assert set(outcomes) == {200}
        assert 0 < before < len(outcomes)


def test_in_the_drain_readiness_fails_and_every_request_is_answered_and_asked_to_leave() -> None:
    infer = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}]}
    with serving(saved_model("doubler"), DEPLOYER_DRAIN_SECONDS="4", DEPLOYER_WORKERS="2") as served, ExitStack() as kept:
        # Connections that a balancer keeps open, opened before anybody knows.
        clients = [kept.enter_context(httpx.Client(base_url=served.url, trust_env=False)) for _ in range(8)]
        assert {client.get("/v2/health/live").headers.get("connection") for client in clients} == {None}
        served.process.terminate()
        began = time.monotonic()
        while served.client.get("/ping").status_code != 503:
            assert time.monotonic() - began < 2, "the signal is not heard"
        time.sleep(0.2)  # by the other worker
        for client in [*clients, *clients]:  # over the kept connection, and then over a new one
            for method, path, body, status in (
                ("POST", "/invocations", rows(1.5), 200),
                ("POST", "/v2/models/model/infer", infer, 200),
                ("GET", "/version", None, 200),
            ):
                answer = client.request(method, path, json=body)
                assert (answer.status_code, answer.headers["connection"]) == (status, "close"), path
        for path, status in (("/ping", 503), ("/health", 503), ("/v2/health/ready", 503), ("/v2/health/live", 200)):
            assert served.client.get(path).status_code == status
        assert time.monotonic() - began < 4, "too slow to tell"
        assert served.ended() == 0
        assert time.monotonic() - began >= 3.9
        with pytest.raises(httpx.ConnectError):
            served.ask(rows(0))


def test_what_was_begun_ends_with_the_grace_of_the_platform() -> None:
    with serving(saved_model("slow"), DEPLOYER_GRACE_SECONDS="6.5", DEPLOYER_DRAIN_SECONDS="0.2") as served, ThreadPoolExecutor(1) as threads:
        running = threads.submit(served.ask, rows(20))
        time.sleep(0.3)
        began = time.monotonic()
        served.process.terminate()
        served.ended()
        assert 1 < time.monotonic() - began < 5
        assert isinstance(running.exception(), httpx.TransportError)


@stopped
def test_a_signal_while_loading_ends_the_server_at_once(stop: Callable[[Served], None]) -> None:
    with serving(saved_model("slow"), ready=False) as served:
        stop(served)
        started = time.monotonic()
        assert served.ended() == 0
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("query", "accept", "content_type", "text"),
    [
        ("", "text/event-stream", "text/event-stream", 'data: {"x":2.0,"doubled":4.0}\n\ndata: "that was all"\n\n'),
        ("", "application/jsonlines", "application/jsonlines", '{"x":2.0,"doubled":4.0}\n"that was all"\n'),
        ("?stream=true", "*/*", "application/jsonlines", '{"x":2.0,"doubled":4.0}\n"that was all"\n'),
        ("", "*/*", "application/json", '{"predictions":[4.0]}'),
    ],
)
def test_a_model_that_streams_is_answered_in_the_form_asked_for(streamer: Served, query: str, accept: str, content_type: str, text: str) -> None:
    response = streamer.client.post(f"/invocations{query}", json=rows(2), headers={"accept": accept})
    assert (response.status_code, response.headers["content-type"], response.text) == (200, content_type, text)
    assert ("transfer-encoding" in response.headers) == (content_type != "application/json")


def test_a_stream_that_breaks_off_ends_with_the_error(streamer: Served) -> None:
    response = streamer.client.post("/invocations?stream=true", json=rows(-2))
    first, last = response.text.splitlines()
    assert json.loads(first) == {"x": -2.0, "doubled": -4.0}
    assert json.loads(last) == {"error_code": "INTERNAL_ERROR", "message": "ValueError: x is negative"}


def test_a_stream_is_refused_before_it_begins_where_the_request_is_wrong(streamer: Served, doubler: Served) -> None:
    assert streamer.client.post("/invocations?stream=true", json={"inputs": {"y": [1]}}).status_code == 400
    assert streamer.client.post("/invocations?stream=true", json=rows(1, 2)).json()["message"].startswith("a streamed answer is for one row")
    assert doubler.client.post("/invocations?stream=true", json=rows(1)).json()["message"].startswith("this model does not stream")


def test_a_client_that_leaves_a_stream_does_not_hold_up_the_next(streamer: Served) -> None:
    for _ in range(5):
        with streamer.client.stream("POST", "/invocations?stream=true", json=rows(2)) as response:
            next(response.iter_raw())
    assert streamer.ask(rows(1)).status_code == 200
