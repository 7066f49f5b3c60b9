"""gRPC of the Open Inference Protocol beside MLServer's, its last release: the same MLflow model, the same messages, in one run."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployer_scoring.wire.inference_messages import InferRequest
from tests.bench.scoring import load, models, servers
from tests.bench.scoring.load import Figures
from tests.bench.scoring.models import Measured
from tests.bench.scoring.servers import Command, Server
from tests.bench.tables import Table
from tests.docker import free_port
from tests.environments import environment

TURNS = 3
_MLSERVER = ("mlserver==1.7.1", "mlserver-mlflow==1.7.1", "mlflow==3.17.2", "scikit-learn", "uvloop")
_OURS = (*models.XGBOOST, "grpcio", "protobuf")
_CALLING = Path(__file__).with_name("calling.py")


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that is up, and where it answers gRPC."""

    server: Server
    grpc_port: int


def measure(**_: object) -> Iterator[Table]:
    iris = models.iris()
    with tempfile.TemporaryDirectory() as folder:
        ports = free_port(), free_port()
        theirs, ours = _mlserver(iris.directory, Path(folder), ports[0]), _deployer(iris.directory, ports[1])
        with servers.serving(theirs) as mlserver, servers.serving(ours) as deployer:
            peers = (Peer(mlserver, ports[0]), Peer(deployer, ports[1]))
            rows = [
                _row("gRPC, 1 row, 1 call at a time, calls/s", _called(peers, _message(iris, 1), 1)),
                _row("gRPC, 1 row, 16 calls at a time, calls/s", _called(peers, _message(iris, 1), 16)),
                _row("gRPC, 1000 rows, typed, 4 calls at a time, rows/s", _called(peers, _message(iris, 1000), 4), 1000),
                _row("gRPC, 1000 rows, raw, 4 calls at a time, rows/s", _called(peers, _message(iris, 1000, raw=True), 4), 1000),
                _row("HTTP, 1 row, 16 connections, requests/s", _asked(peers, _body(iris))),
            ]
    yield Table(
        "Scoring: the Open Inference Protocol, against MLServer",
        ("measure", "mlserver 1.7.1", "deployer", "times better", "failed"),
        tuple(rows),
        f"LogisticRegression on iris as MLflow saved it; medians of {TURNS} interleaved turns of 4 s; one process each (MLServer without parallel "
        "workers, its fastest form for such a model). The client of gRPC is Python's, on the same cores, so the ratios are lower bounds.",
    )


def _deployer(model: Path, port: int) -> Command:
    found = servers.deployer(model, environment(_OURS))
    return Command(found.name, (*found.arguments, "--grpc-port", str(port), "--model-name", "iris"), found.variables, path="/v2/models/iris/infer")


def _mlserver(model: Path, folder: Path, port: int) -> Command:
    python = environment(_MLSERVER)
    settings = {"name": "iris", "implementation": "mlserver_mlflow.MLflowRuntime", "parameters": {"uri": str(model)}}
    (folder / "model-settings.json").write_text(json.dumps(settings))
    variables = {"MLSERVER_GRPC_PORT": str(port), "MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_METRICS_PORT": str(free_port())}
    start = (
        "sh",
        "-c",
        f'MLSERVER_HTTP_PORT="$0" exec {python.with_name("mlserver")} start {folder}',
        "{port}",
    )
    return Command("mlserver", start, {**variables, "MLSERVER_HOST": "127.0.0.1"}, health="/v2/health/ready", path="/v2/models/iris/infer")


def _message(iris: Measured, rows: int, *, raw: bool = False) -> bytes:
    columns = json.loads(iris.inputs(rows))["inputs"]
    inputs = [{"name": name, "datatype": "FP64", "shape": [rows, 1]} for name in columns]
    if raw:
        contents = [struct.pack(f"<{rows}d", *values) for values in columns.values()]
        return InferRequest(model_name="iris", inputs=inputs, raw_input_contents=contents).SerializeToString()  # type: ignore[no-any-return]
    for tensor, values in zip(inputs, columns.values(), strict=True):
        tensor["contents"] = {"fp64_contents": values}
    return InferRequest(model_name="iris", inputs=inputs).SerializeToString()  # type: ignore[no-any-return]


def _body(iris: Measured) -> bytes:
    columns = json.loads(iris.inputs(1))["inputs"]
    return json.dumps({"inputs": [{"name": name, "datatype": "FP64", "shape": [1, 1], "data": values} for name, values in columns.items()]}).encode()


def _called(peers: Sequence[Peer], message: bytes, at_a_time: int) -> dict[str, Figures]:
    def once(peer: Peer, seconds: float = 4) -> Figures:
        command = [sys.executable, str(_CALLING), str(peer.grpc_port), str(at_a_time), str(seconds)]
        return Figures(**json.loads(subprocess.run(command, input=message, check=True, capture_output=True).stdout))

    for peer in peers:
        once(peer, 1)
    turns = [[once(peer) for peer in peers] for _ in range(TURNS)]
    return {peer.server.command.name: load.repeated([turn[at] for turn in turns]) for at, peer in enumerate(peers)}


def _asked(peers: Sequence[Peer], body: bytes) -> dict[str, Figures]:
    turns = [[load.closed(peer.server.url, body, connections=16) for peer in peers] for _ in range(TURNS)]
    return {peer.server.command.name: load.repeated([turn[at] for turn in turns]) for at, peer in enumerate(peers)}


def _row(measure_: str, found: dict[str, Figures], rows: int = 1) -> tuple[str, ...]:
    theirs, ours = found["mlserver"], found["deployer"]
    failed = str(theirs.failed + ours.failed)
    return measure_, f"{theirs.rate * rows:,.0f}", f"{ours.rate * rows:,.0f}", f"{ours.rate / theirs.rate:.1f}", failed
