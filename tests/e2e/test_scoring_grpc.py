"""gRPC of the Open Inference Protocol over a socket: real clients, statuses, limits, the end; messages are tests/unit/scoring/wire's."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from deployer_scoring.server.rpc.health import MESSAGES as HEALTH
from deployer_scoring.wire.inference_messages import MESSAGES, InferRequest, InferResponse
from tests.docker import free_port
from tests.e2e.scoring_process import Served, serving
from tests.environments import inference_clients_python, mlflow_python
from tests.models import saved_model

IMAGES = Path(__file__).parents[2] / "images"
INFER = "/inference.GRPCInferenceService/ModelInfer"


class Calls:
    """A client of a server's gRPC port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)])

    def infer(self, *values: float, name: str = "doubler", **options: Any) -> list[float]:
        tensor = {"name": "x", "datatype": "FP64", "shape": [len(values)], "contents": {"fp64_contents": values}}
        answer = self.send(InferRequest(model_name=name, inputs=[tensor]).SerializeToString(), **options)
        return list(InferResponse.FromString(answer).outputs[0].contents.fp64_contents)

    def send(self, message: bytes, **options: Any) -> bytes:
        sent: bytes = self.channel.unary_unary(INFER)(message, **{"timeout": 30, **options})
        return sent

    def ready(self) -> bool:
        answer = self.channel.unary_unary("/inference.GRPCInferenceService/ServerReady")(b"", timeout=30, wait_for_ready=True)
        return bool(MESSAGES["ServerReadyResponse"].FromString(answer).ready)

    def watch(self) -> Any:
        form = HEALTH["HealthCheckResponse"].FromString
        return self.channel.unary_stream("/grpc.health.v1.Health/Watch", response_deserializer=form)(b"", timeout=30)

    def status(self, *values: float, **options: Any) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as raised:
            self.infer(*values, **options)
        return raised.value.code().name, raised.value.details()


@contextmanager
def answering(model: str, **variables: str) -> Iterator[tuple[Served, Calls]]:
    port = free_port()
    with serving(saved_model(model), DEPLOYER_GRPC_PORT=str(port), **variables) as served:
        calls = Calls(port)
        with calls.channel:
            assert calls.ready()
            yield served, calls


@pytest.fixture(scope="module")
def doubler() -> Iterator[tuple[Served, Calls]]:
    variables = {"DEPLOYER_MODEL_NAME": "doubler", "DEPLOYER_MODEL_VERSION": "3", "DEPLOYER_WORKERS": "2", "DEPLOYER_MAX_REQUEST_BYTES": "100000"}
    with answering("doubler", **variables) as found:
        yield found


def asked(doubler: tuple[Served, Calls], client: str) -> dict[str, Any]:
    """What a client made of the server's answers."""
    script = Path(__file__).with_name("inference_grpc_clients.py")
    command = [str(inference_clients_python()), str(script), f"127.0.0.1:{doubler[1].port}", str(IMAGES), client]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_kserve_s_client_is_served_by_the_messages_that_kserve_publishes(doubler: tuple[Served, Calls]) -> None:
    found = asked(doubler, "kserve")
    assert found.pop("said").startswith("INVALID_ARGUMENT ")
    assert found.pop("same")
    assert found == {"live": True, "ready": True, "model": True, "typed": ["seven", "doubler", "output-0", [3.0, 5.0]], "raw": [6.0, 8.0]}


def test_triton_s_client_is_served(doubler: tuple[Served, Calls]) -> None:
    assert asked(doubler, "triton") == {
        "live": True,
        "ready": True,
        "models": [True, True],
        "server": ["binary_tensor_data", "model_repository"],
        "metadata": [
            ["3"],
            "mlflow_doubler_loader",
            [{"name": "x", "datatype": "FP64", "shape": ["-1"]}],
            [{"name": "output-0", "datatype": "FP64", "shape": ["-1"]}],
        ],
        "answer": ["eight", [2.0, 4.0, 6.0]],
        "said": "StatusCode.NOT_FOUND there is no model another here; there is doubler",
    }


def test_health_and_reflection_are_the_standard_ones(doubler: tuple[Served, Calls]) -> None:
    found = asked(doubler, "standard")
    assert (found["states"], found["unknown"], found["watched"]) == ([1, 1], "NOT_FOUND", 3)
    assert found["services"] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
    ]
    assert found["described"]["ModelInfer"] == ["inference.ModelInferRequest", "inference.ModelInferResponse"]
    assert "no.such.Thing" in found["absent"]


def test_calls_are_logged_and_counted_under_the_id_that_they_bring(doubler: tuple[Served, Calls]) -> None:
    served, calls = doubler
    call = calls.channel.unary_unary(INFER).with_call
    message = InferRequest(model_name="doubler", inputs=[{"name": "x", "datatype": "FP64", "shape": [1]}], raw_input_contents=[bytes(8)])
    _, answered = call(message.SerializeToString(), metadata=[("x-request-id", "mine")])
    assert dict(answered.trailing_metadata())["x-request-id"] == "mine"
    assert f"POST {INFER} 200 " in served.said("id=mine")[0]
    assert f'deployer_requests_total{{path="{INFER}",status="200"}}' in served.client.get("/metrics").text


def test_a_message_that_is_too_large_is_refused_in_words_and_the_next_one_is_answered(doubler: tuple[Served, Calls]) -> None:
    _, calls = doubler
    code, said = calls.status(*[1.0] * 13_000)
    assert (code, "at most 100000 are taken" in said) == ("RESOURCE_EXHAUSTED", True)
    assert calls.status(*[1.0] * 1_000_000)[0] == "RESOURCE_EXHAUSTED"
    assert calls.infer(2) == [4]


def test_what_is_compressed_is_refused_whatever_its_size(doubler: tuple[Served, Calls]) -> None:
    _, calls = doubler
    assert calls.status(*[0.0] * 10_000, compression=grpc.Compression.Gzip)[0] == "UNIMPLEMENTED"
    assert calls.infer(2) == [4]


def test_a_worker_that_dies_is_replaced_on_the_port(doubler: tuple[Served, Calls]) -> None:
    served, calls = doubler
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
    for worker in map(int, children):
        os.kill(worker, signal.SIGKILL)
    assert served.said("is started again", served.errors, times=2)
    fresh = Calls(calls.port)  # what was on its way to a dead worker is lost, as over HTTP
    with fresh.channel:
        for _ in range(20):
            assert fresh.infer(4, wait_for_ready=True) == [8]


def test_the_limits_are_those_of_http() -> None:
    with answering("slow", DEPLOYER_REQUEST_TIMEOUT_SECONDS="1.5", DEPLOYER_MAX_QUEUE="2", DEPLOYER_BATCHING="off", DEPLOYER_THREADS="1") as found:
        served, calls = found
        assert calls.status(-1, name="") == ("INTERNAL", "ValueError: sleep length must be non-negative")
        with ThreadPoolExecutor(4) as pool:
            first, second = (pool.submit(calls.infer, 0.6) for _ in range(2))
            time.sleep(0.2)
            assert calls.status(0)[0] == "UNAVAILABLE"
            assert (first.result(), second.result()) == ([1.2], [1.2])
        code, said = calls.status(60)
        assert (code, "1.5" in said) == ("DEADLINE_EXCEEDED", True)
        assert calls.infer(0) == [0]  # of the process that took the killed one's place
        assert calls.status(1, timeout=0.2)[0] == "DEADLINE_EXCEEDED"
        assert served.logged(f"{INFER} 499 ")


def test_after_sigterm_health_says_so_requests_are_answered_and_what_was_begun_is_finished() -> None:
    with answering("slow", DEPLOYER_DRAIN_SECONDS="1") as (served, calls), ThreadPoolExecutor(1) as pool:
        states = calls.watch()
        assert next(states).status == 1
        begun = pool.submit(calls.infer, 2)
        time.sleep(0.2)
        served.process.terminate()
        assert next(states).status == 2
        other = Calls(calls.port)
        with other.channel:
            assert other.infer(0.1) == [0.2]
            assert not other.ready()
        assert begun.result() == [4]
        assert served.ended() == 0
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", calls.port)) != 0


def test_a_port_that_is_taken_is_said_by_another_server_too(doubler: tuple[Served, Calls]) -> None:
    command = ["serve", "--host", "127.0.0.1", "--port", "0", "--grpc-port", str(doubler[1].port)]
    done = _run(sys.executable, *command)
    assert (done.returncode, done.stderr) == (1, f"the port {doubler[1].port} on 127.0.0.1 can't be had: Address already in use\n")


def test_without_its_packages_grpc_is_refused_at_once() -> None:
    done = _run(str(mlflow_python()), "serve", "--host", "127.0.0.1", "--port", "0", "--grpc-port", str(free_port()))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the packages grpcio and protobuf are not here" in done.stderr


def test_a_server_that_was_not_asked_for_grpc_has_nothing_of_it() -> None:
    with serving(saved_model("doubler")) as served:
        children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
        maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in (served.process.pid, *children))
        assert "grpc" not in maps


def _run(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(IMAGES), "DEPLOYER_MODEL": str(saved_model("doubler"))}
    return subprocess.run([python, "-m", "deployer_scoring", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_server_with_keys_answers_who_has_one_over_both_protocols() -> None:
    old, new = "old-key-0123456789", "new-key-0123456789"
    with answering("doubler", DEPLOYER_MODEL_NAME="doubler", DEPLOYER_API_KEYS=f"{old},{new}") as (served, calls):
        body = {"inputs": {"x": [1.5]}}
        assert served.ask(body).status_code == 401
        assert served.client.get("/metrics").status_code == 401
        assert served.client.get("/ping").status_code == 200
        assert calls.status(1.5)[0] == calls.status(1.5, metadata=[("authorization", f"Bearer {old}x")])[0] == "UNAUTHENTICATED"
        for key in (old, new):
            assert served.client.post("/invocations", json=body, headers={"Authorization": f"Bearer {key}"}).json() == {"predictions": [3.0]}
            assert calls.infer(1.5, metadata=[("authorization", f"Bearer {key}")]) == [3.0]
        served.process.terminate()
        assert served.ended() == 0
        assert not [line for line in [*served.output, *served.errors] if "key-0123456789" in line]
