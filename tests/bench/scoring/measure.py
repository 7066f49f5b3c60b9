"""The tables of the scoring server: goals against MLflow's server, start and memory, where the time goes, other models, fewer cores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from tests.bench.scoring import load, models, servers
from tests.bench.scoring.load import Figures
from tests.bench.scoring.models import Measured
from tests.bench.scoring.servers import Command, Server
from tests.bench.tables import Table

TURNS = 3
_BENTOML_BODY = json.dumps({"rows": [[5.1, 3.5, 1.4, 0.2]]}).encode()
_FLOOR = Path(__file__).with_name("floor.py")


def measure(**_: object) -> Iterator[Table]:
    """All of it; needs wrk, and root for the rows with fewer cores."""
    iris, python = models.iris(), models.python()
    ours, theirs = servers.deployer(iris.directory, python), servers.mlflow(iris.directory, python)
    yield from _against_peers(iris, python, [theirs, ours, servers.bentoml(iris.directory)])
    yield _start(ours, theirs)
    yield _memory(iris, python)
    yield _other_models(python)
    yield _open_loop(iris, [theirs, ours])
    if os.geteuid() == 0:
        yield _fewer_cores(iris, [theirs, ours])


def _against_peers(iris: Measured, python: Path, commands: Sequence[Command]) -> Iterator[Table]:
    """One row and a thousand, the servers side by side and asked in turns."""
    with ExitStack() as stack:
        mlflow, ours, bento = (stack.enter_context(servers.serving(command)) for command in commands)
        one = iris.split(1)
        asked = ((mlflow, one), (ours, one), (bento, _BENTOML_BODY))
        for server, body in asked:
            _warm(server, body)
        rows = []
        lone = {connections: _in_turns(asked, connections=connections) for connections in (1, 16, 64)}
        rows.append(_compared("1 row, 1 connection, p50 ms", lone[1], lambda f: f.p50, "8", lower=True))
        rows.append(_compared("1 row, 16 connections, requests/s", lone[16], lambda f: f.rate, "30"))
        rows.append(_compared("1 row, 64 connections, requests/s", lone[64], lambda f: f.rate, "100"))
        rows.append(_compared("1 row, 64 connections, p99 ms", lone[64], lambda f: f.p99, "50", lower=True))
        for name, body, media, goal in _thousands(iris):
            found = _in_turns(((mlflow, body), (ours, body)), media, connections=4)
            rows.append(_compared(f"1000 rows, {name}, 4 connections, rows/s", found, lambda f: f.rate * 1000, goal))
        yield Table(
            "Scoring: against MLflow's server with one worker",
            ("measure", "mlflow", "deployer", "times better", "goal", "bentoml", "failed"),
            tuple(rows),
            f"LogisticRegression on iris; medians of {TURNS} interleaved turns of 4 s by wrk; one worker each, bytecode compiled for all. "
            "BentoML is given arrays, which skips the frame, and batches; it has no form of a thousand rows that compares.",
        )
        yield _where_time_goes(iris, python, ours, lone[1]["deployer"])


def _thousands(iris: Measured) -> list[tuple[str, bytes, str, str]]:
    return [
        ("split", iris.split(1000), "application/json", "15"),
        ("records", iris.records(1000), "application/json", "15"),
        ("inputs", iris.inputs(1000), "application/json", "15"),
        ("CSV", iris.csv(1000), "text/csv", "8"),
    ]


def _where_time_goes(iris: Measured, python: Path, ours: Server, lone: Figures) -> Table:
    ping = load.repeated([load.closed(ours.url.replace("/invocations", "/ping"), b"", method="GET", seconds=2) for _ in range(TURNS)])
    own = json.loads(subprocess.run([str(python), str(_FLOOR), str(iris.directory), "1"], check=True, capture_output=True, text=True).stdout)
    rows = (
        ("a constant answer of the same server (/ping)", f"{ping.p50:.3f}"),
        ("the model's own predict on an array", f"{own['array']:.3f}"),
        ("the model's own predict on a DataFrame", f"{own['frame']:.3f}"),
        ("a request", f"{lone.p50:.3f}"),
        ("a request, times the model's own predict on an array (goal: at most 1.3)", f"{lone.p50 / own['array']:.2f}"),
    )
    return Table(
        "Scoring: where a lone request's time goes", ("what", "ms, p50"), rows, "1 row, 1 connection; predict measured in a process of its own."
    )


def _start(ours: Command, theirs: Command) -> Table:
    started: dict[str, list[Server]] = {"mlflow": [], "deployer": []}
    for _ in range(TURNS):
        for command in (theirs, ours):
            with servers.serving(command) as server:
                started[command.name].append(server)
    ready = {name: median(server.ready for server in all_) for name, all_ in started.items()}
    first = {name: median(server.first_answer for server in all_) for name, all_ in started.items()}
    again = _seconds_without(ours)
    rows = (
        ("start to the first /ping 200, s", f"{ready['mlflow']:.2f}", f"{ready['deployer']:.2f}", f"{ready['mlflow'] / ready['deployer']:.1f}", "5"),
        ("start to a first answer (503), ms", f"{first['mlflow'] * 1000:.0f}", f"{first['deployer'] * 1000:.0f}", "", "50 ms"),
        ("a worker was killed: until a prediction answers, ms", "", f"{again * 1000:.0f}", "", "50 ms"),
    )
    return Table(
        "Scoring: start", ("measure", "mlflow", "deployer", "times better", "goal"), rows, f"Medians of {TURNS} interleaved starts, warm page cache."
    )


def _seconds_without(ours: Command) -> float:
    """Seconds from a worker's death to the next prediction, at the median."""
    taken = []
    body = models.iris().split(1)
    with servers.serving(ours) as server:
        _warm(server, body)
        for _ in range(5):
            os.kill(server.processes()[-1], signal.SIGKILL)
            begin = time.perf_counter()
            while not _answers(server.url, body):
                time.sleep(0.001)
            taken.append(time.perf_counter() - begin)
            time.sleep(0.5)
    return median(taken)


def _memory(iris: Measured, python: Path) -> Table:
    rows = []
    for workers, goal in ((1, "0.36"), (4, "0.2")):
        found = {}
        for command in (servers.mlflow(iris.directory, python, workers=workers), servers.deployer(iris.directory, python, workers=workers)):
            with servers.serving(command) as server:
                load.closed(server.url, iris.split(1), connections=16, seconds=3)
                found[command.name] = server.pss()
        rows.append(
            (
                f"{workers} worker{'s' * (workers > 1)}",
                *(f"{found[n]:.0f}" for n in ("mlflow", "deployer")),
                f"{found['deployer'] / found['mlflow']:.2f}",
                goal,
            )
        )
    return Table("Scoring: memory", ("MiB of PSS, all processes, after load", "mlflow", "deployer", "ratio", "goal"), tuple(rows))


def _other_models(python: Path) -> Table:
    rows = []
    for name, model in (("xgboost, 200 columns", models.wide()), ("50 ms of work a request, batching by metadata", models.heavy())):
        body = model.split(1)
        with (
            servers.serving(servers.mlflow(model.directory, python)) as mlflow,
            servers.serving(servers.deployer(model.directory, python)) as ours,
        ):
            _warm(mlflow, body)
            _warm(ours, body)
            for connections in (1, 16):
                found = _in_turns(((mlflow, body), (ours, body)), connections=connections)
                rows.append(_compared(f"{name}: 1 row, {connections} connections, p50 ms", found, lambda f: f.p50, "", lower=True))
                rows.append(_compared(f"{name}: 1 row, {connections} connections, requests/s", found, lambda f: f.rate, ""))
    heads = ("measure", "mlflow", "deployer", "times better", "goal", "bentoml", "failed")
    return Table("Scoring: other models", heads, tuple(rows), "As above.")


def _open_loop(iris: Measured, commands: Sequence[Command]) -> Table:
    rows = []
    for command in commands:
        with servers.serving(command) as server:
            body = iris.split(1)
            _warm(server, body)
            rate = load.closed(server.url, body, connections=64, seconds=3).rate / 2
            found = load.opened(server.url, body, rate=rate)
            rows.append((command.name, f"{rate:,.0f}", f"{found.rate:,.0f}", f"{found.p50:.2f}", f"{found.p99:.2f}", str(found.failed)))
    heads = ("server", "arrive, requests/s", "answered, requests/s", "p50 ms", "p99 ms", "failed")
    note = "Requests arrive at a fixed rate whether or not earlier ones are answered; latency counts from when each was due."
    return Table("Scoring: open loop at half of saturation", heads, tuple(rows), note)


def _fewer_cores(iris: Measured, commands: Sequence[Command]) -> Table:
    rows = []
    for cores in (0.5, 1.0):
        found = {}
        for command in commands:
            with servers.serving(command, cores=cores) as server:
                _warm(server, iris.split(1))
                found[command.name] = load.closed(server.url, iris.split(1), connections=16, seconds=5)
        rows.append(_compared(f"{cores:g} cores: 1 row, 16 connections, requests/s", found, lambda f: f.rate, ""))
        rows.append(_compared(f"{cores:g} cores: 1 row, 16 connections, p99 ms", found, lambda f: f.p99, "", lower=True))
    heads = ("measure", "mlflow", "deployer", "times better", "goal", "bentoml", "failed")
    return Table("Scoring: held to fewer cores by a control group", heads, tuple(rows), "As a container's CPU limit does it.")


def _compared(measure_: str, found: dict[str, Figures], figure: Callable[[Figures], float], goal: str, *, lower: bool = False) -> tuple[str, ...]:
    theirs, ours = figure(found["mlflow"]), figure(found["deployer"])
    ratio = theirs / ours if lower else ours / theirs
    bento = _short(figure(found["bentoml"])) if "bentoml" in found else ""
    failed = sum(each.failed for each in found.values())
    return measure_, _short(theirs), _short(ours), f"{ratio:.1f}", goal, bento, str(failed)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _in_turns(asked: Sequence[tuple[Server, bytes]], media: str = "application/json", *, connections: int) -> dict[str, Figures]:
    """The figures of several servers that are up together and asked one after another, again and again: what disturbs one disturbs all."""
    turns: dict[str, list[Figures]] = {server.command.name: [] for server, _ in asked}
    for _ in range(TURNS):
        for server, body in asked:
            turns[server.command.name].append(load.closed(server.url, body, media, connections=connections))
    return {name: load.repeated(each) for name, each in turns.items()}


def _warm(server: Server, body: bytes) -> None:
    load.closed(server.url, body, connections=4, seconds=1)


def _answers(url: str, body: bytes) -> bool:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
