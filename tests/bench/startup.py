"""How long `deploy --help` and a completion of a deployment's name take, against Python doing nothing and against MLflow's command; and what
bytecode spares at a container's start."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.processes import medians, run
from tests.bench.tables import Table
from tests.environments import mlflow_python

_RUNS = 5
_TAB = ("COMP_WORDS=deploy get -t local -n ", "COMP_CWORD=5", "_DEPLOY_COMPLETE=bash_complete")


def measure(**_: object) -> Iterator[Table]:
    """Goal: under ten times `python -c pass` (150 ms where that takes 15); a completion under 200 ms."""
    found = medians(
        {
            "python -c pass": [sys.executable, "-c", "pass"],
            "deploy --help": [str(Path(sys.executable).with_name("deploy")), "--help"],
            "completion of a name": ["env", *_TAB, str(Path(sys.executable).with_name("deploy"))],
            "mlflow --help": [str(mlflow_python().with_name("mlflow")), "--help"],
        },
        runs=7,
    )
    floor = found["python -c pass"]
    rows = tuple((name, f"{seconds * 1000:.0f}", f"{seconds / floor:.1f}") for name, seconds in found.items())
    yield Table(
        "Start-up: wall time",
        ("command", "ms", "times python -c pass"),
        rows,
        "Medians of 7 interleaved runs. Goal: help at most 10 times, a completion under 200 ms.",
    )
    yield _imports()


def _imports() -> Table:
    """What a container does first, with a layer of bytecode and without: where it lacks one, nothing is kept for the next start."""
    python, what = str(mlflow_python()), ("-c", "import pandas, sklearn.linear_model")
    with tempfile.TemporaryDirectory() as nothing:
        commands = {"with bytecode": [python, *what], "without": [python, "-B", "-X", f"pycache_prefix={nothing}", *what]}
        turns = [{name: run(command).cpu for name, command in commands.items()} for _ in range(_RUNS + 1)][1:]
    found = {name: median(turn[name] for turn in turns) for name in commands}
    rows = tuple((name, f"{seconds:.2f}", f"{seconds / found['with bytecode']:.1f}") for name, seconds in found.items())
    note = f"import pandas, sklearn.linear_model; medians of {_RUNS} interleaved runs."
    return Table("Start of a container: bytecode", ("imports", "seconds of a processor", "times"), rows, note)
