"""What users of `deploy models serve`, `run-local` and the `local` target get, beside the bare server that these start and MLflow's verb."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from deployer_images.managers import interpreter_for
from tests.bench.processes import run
from tests.bench.scoring import load, models, servers
from tests.bench.scoring.load import Figures
from tests.bench.scoring.servers import Command
from tests.bench.tables import Table

DEPLOY = str(Path(sys.executable).with_name("deploy"))
TURNS = 5
ONE_WORKER = ("--env", "DEPLOYER_WORKERS=1")
BARE, MLFLOW, LOCAL = "the server alone", "mlflow models serve", "deploy create -t local"


@dataclass(frozen=True, slots=True)
class Asked:
    """A server that answers: which one, where, and the seconds from its command's start until it did."""

    name: str
    url: str
    ready: float


def measure(**_: object) -> Iterator[Table]:
    """Goal: 0.95 of the bare server, and a start that is no slower."""
    iris = models.iris()
    python = interpreter_for(iris.directory, "uv")
    commands = (
        replace(servers.deployer(iris.directory, python), name=BARE),
        _verb("deploy models serve", iris.directory, "models", "serve", "--port", "{port}"),
        _verb("deploy run-local", iris.directory, "run-local", "-t", "local", "--runtime", "process", "--port", "{port}", *ONE_WORKER),
    )
    with ExitStack() as stack:
        asked = [stack.enter_context(_served(command)) for command in commands]
        asked.append(stack.enter_context(_deployed(iris.directory)))
        asked.append(stack.enter_context(_served(replace(servers.mlflow(iris.directory, models.python()), name=MLFLOW))))
        body = iris.split(1)
        for each in asked:
            load.closed(each.url, body, connections=4, seconds=1)
        yield _compared(asked, {connections: _in_turns(asked, body, connections) for connections in (1, 64)})


def _verb(name: str, model: Path, *arguments: str) -> Command:
    return Command(name, (DEPLOY, *arguments, "-m", str(model)), {})


@contextmanager
def _served(command: Command) -> Iterator[Asked]:
    with servers.serving(command) as server:
        yield Asked(command.name, server.url, server.ready)


@contextmanager
def _deployed(model: Path) -> Iterator[Asked]:
    """A deployment on the local target, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="deployer-bench-") as room:
        environment: Mapping[str, str] = {**os.environ, "DEPLOYER_LOCAL_DIR": room}
        place = ("-t", "local", "-n", "bench")
        options = ("-C", "runtime=process", *ONE_WORKER, "-o", "json")
        made = run([DEPLOY, "create", *place, "-m", str(model), *options], environment)
        try:
            yield Asked(LOCAL, f"{_url(made.output)}/invocations", made.seconds)
        finally:
            run([DEPLOY, "delete", *place], environment)


def _url(said: str) -> str:
    return str(json.loads(said[said.index("{") :])["url"])


def _in_turns(asked: list[Asked], body: bytes, connections: int) -> dict[str, list[Figures]]:
    """All of them are up together and asked one after another, again and again: what disturbs one disturbs all."""
    found: dict[str, list[Figures]] = {each.name: [] for each in asked}
    for _ in range(TURNS):
        for each in asked:
            found[each.name].append(load.closed(each.url, body, connections=connections, seconds=3))
    return found


def _compared(asked: list[Asked], found: dict[int, dict[str, list[Figures]]]) -> Table:
    rows = []
    for each in asked:
        one, many = (load.repeated(found[connections][each.name]) for connections in (1, 64))
        ratios = [
            f"{median(mine.rate / other.rate for mine, other in zip(turns[each.name], turns[peer], strict=True) if other.rate):.{digits}f}"
            for turns in found.values()
            for peer, digits in ((BARE, 2), (MLFLOW, 1))
        ]
        figures = (f"{one.rate:,.0f}", f"{one.p50:.2f}", *ratios[:2], f"{many.rate:,.0f}", f"{many.p50:.2f}", *ratios[2:])
        rows.append((each.name, *figures, f"{each.ready:.1f}", str(one.failed + many.failed)))
    heads = ("requests/s", "p50 ms", "of the bare server", "times mlflow")
    return Table(
        "What the verbs give: iris, 1 row",
        ("verb", *(f"{connections}: {head}" for connections in found for head in heads), "start, s", "failed"),
        tuple(rows),
        f"At 1 and at 64 connections; medians of {TURNS} interleaved turns of 3 s by wrk, ratios of the same turn; one worker each, as processes. "
        "Goal: 0.95 of the bare server.",
    )
