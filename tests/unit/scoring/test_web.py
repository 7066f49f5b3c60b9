"""The ASGI application and the service behind it, without a socket: limits, headers, states. The real server is in tests/e2e."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployer_scoring.errors import LoadError, ScoringError
from deployer_scoring.model.locate import find_model
from deployer_scoring.model.mlmodel import MLModel, PythonFunction
from deployer_scoring.scorer import Scorer
from deployer_scoring.server.service import Service
from deployer_scoring.server.settings import Settings
from deployer_scoring.server.web import Application
from deployer_scoring.server.worker import Busy, Worker


class Echo:
    def predict(self, data: Any) -> Any:
        return data

    def predict_stream(self, data: Any) -> Any:
        yield from itertools.count() if data == "forever" else data


def asked(
    chunks: list[bytes],
    *,
    path: str = "/invocations",
    method: str = "POST",
    headers: dict[str, str] | None = None,
    limit: int = 100,
    leaves: bool = False,
    prepare: Callable[[Service, Application], None] = lambda *_: None,
) -> tuple[int, dict[str, str], bytes]:
    """One request through the whole application, in an event loop of its own."""

    async def run() -> tuple[int, dict[str, str], bytes]:
        service = Service(Worker(3), max_request_bytes=limit)
        service.scorer = Scorer(MLModel(Path(), PythonFunction("a", predict_stream_fn="predict_stream"), {}), Echo())
        application = Application(service.handle, max_request_bytes=limit)
        prepare(service, application)
        waiting, sent = list(chunks), []

        async def receive() -> dict[str, Any]:
            if waiting:
                return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}
            await asyncio.sleep(0 if leaves else 3600)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.encode(), value.encode()) for name, value in {"content-type": "application/json", **(headers or {})}.items()]
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": raw}
        await application(scope, receive, send)
        start, *bodies = sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], found, b"".join(each["body"] for each in bodies)

    return asyncio.run(run())


def test_a_body_in_chunks_is_put_together() -> None:
    status, headers, body = asked([b'{"inp', b'uts": ', b"[1]}"])
    assert (status, body) == (200, b'{"predictions":[1]}')
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize(("size", "status"), [(100, 400), (101, 413), (399, 413), (5000, 413)])
def test_a_body_over_the_limit_is_413_and_closes(size: int, status: int) -> None:
    found, headers, body = asked([b"x" * 50] * (size // 50) + [b"x" * (size % 50)])
    assert found == status
    assert (headers.get("connection") == "close") == (status == 413)
    assert json.loads(body)["error_code"] == ("REQUEST_TOO_LARGE" if status == 413 else "BAD_REQUEST")


def test_a_client_that_leaves_before_its_body_is_whole_costs_nothing() -> None:
    assert asked([], leaves=True)[0] == 400


def test_a_compressed_body_is_415() -> None:
    assert asked([b"x"], headers={"content-encoding": "gzip"})[0] == 415


def test_a_loading_server_says_what_it_does_and_a_draining_one_still_answers() -> None:
    def loading(service: Service, _: Application) -> None:
        service.scorer, service.loading = None, "loading the model"

    def draining(service: Service, application: Application) -> None:
        service.draining = application.closing = True

    status, headers, body = asked([b'{"inputs": 1}'], prepare=loading)
    assert (status, headers["retry-after"], json.loads(body)["message"]) == (503, "1", "loading the model")
    status, headers, _ = asked([b'{"inputs": 1}'], prepare=draining)
    assert (status, headers["connection"]) == (200, "close")
    assert asked([b""], path="/ping", method="GET", prepare=draining)[0] == 503
    assert asked([b""], path="/v2/health/live", method="GET", prepare=draining)[0] == 200


def test_a_stream_comes_in_pieces_without_a_length() -> None:
    status, headers, body = asked([b'{"inputs": [[1, 2]]}'], headers={"accept": "text/event-stream"})
    assert (status, headers["content-type"], body) == (200, "text/event-stream", b"data: 1\n\ndata: 2\n\n")
    assert "content-length" not in headers


def test_a_stream_without_end_stops_when_its_client_leaves() -> None:
    status, _, body = asked([b'{"inputs": "forever"}'], headers={"accept": "application/jsonlines"}, leaves=True)
    assert status == 200
    assert body.startswith(b"0\n")


def test_the_queue_turns_away_what_is_over_its_limit() -> None:
    async def run() -> list[Any]:
        worker = Worker(2)
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        first = loop.create_task(worker.run(lambda: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()))
        second = loop.create_task(worker.run(lambda: 2))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await worker.run(lambda: 3)
        gate.set()
        return [await first, await second, await worker.run(lambda: 4), worker.pending]

    assert asyncio.run(run()) == [True, 2, 4, 0]


def test_a_call_that_tries_to_end_the_process_is_an_error_like_others() -> None:
    def leave() -> None:
        raise SystemExit(3)

    async def run() -> int:
        worker = Worker(2)
        with pytest.raises(ScoringError, match="SystemExit: 3"):
            await worker.run(leave)
        return await worker.run(lambda: 1)

    assert asyncio.run(run()) == 1


def test_an_iterator_that_nobody_takes_from_is_left_and_the_thread_goes_on() -> None:
    async def run() -> list[int]:
        worker = Worker(2)
        pieces = worker.iterate(lambda: iter(range(1000)))
        taken = [await pieces.__anext__() for _ in range(3)]
        await pieces.aclose()
        return [*taken, await worker.run(lambda: 7), worker.pending]

    assert asyncio.run(run()) == [0, 1, 2, 7, 0]


@pytest.mark.parametrize(
    ("environ", "port", "expected"),
    [
        ({}, None, 8080),
        ({}, 9000, 9000),
        ({"DEPLOYER_PORT": "7000"}, None, 7000),
        ({"DEPLOYER_PORT": "7000"}, 9000, 9000),
        ({"SAGEMAKER_BIND_TO_PORT": "6000", "DEPLOYER_PORT": "7000"}, 9000, 6000),
        ({"DEPLOYER_PORT": "0"}, None, 0),
        ({}, 0, 0),
    ],
)
def test_the_port_is_the_platform_s_then_the_command_line_s_then_the_environment_s(environ: Any, port: Any, expected: int) -> None:
    assert Settings.of(environ, port=port).port == expected


@pytest.mark.parametrize(
    "environ",
    [
        {"DEPLOYER_PORT": "x"},
        {"DEPLOYER_MAX_REQUEST_BYTES": "-1"},
        {"DEPLOYER_MAX_QUEUE": "1.5"},
        {"DEPLOYER_DRAIN_SECONDS": "60"},
        {"DEPLOYER_DRAIN_SECONDS": "nan"},
        {"DEPLOYER_ENV": "never"},
    ],
)
def test_a_setting_that_is_wrong_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(ScoringError, match=next(iter(environ))):
        Settings.of(environ)


def put(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "MLmodel").write_text("")
    return directory


def test_the_model_is_looked_for_in_order_and_below(tmp_path: Path) -> None:
    own, sagemaker, azure = tmp_path / "own", tmp_path / "opt", tmp_path / "azure"
    environ = {"DEPLOYER_MODEL": str(own), "AZUREML_MODEL_DIR": str(azure)}
    with pytest.raises(LoadError, match=r"no MLmodel file was found at or below \$DEPLOYER_MODEL"):
        find_model(environ, sagemaker)
    found = put(azure / "folder" / "model")
    assert find_model(environ, sagemaker) == found
    found = put(sagemaker)
    assert find_model(environ, sagemaker) == found
    found = put(own / "inside")
    assert find_model(environ, sagemaker) == found


def test_two_models_side_by_side_are_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path / "a")
    put(tmp_path / "b")
    with pytest.raises(LoadError, match=r"several models below \$DEPLOYER_MODEL"):
        find_model({"DEPLOYER_MODEL": str(tmp_path)}, tmp_path / "absent")
