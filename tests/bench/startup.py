"""How long `deploy --help` and a completion of a deployment's name take, against Python doing nothing and against MLflow's command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.processes import medians
from tests.bench.tables import Table
from tests.environments import mlflow_python

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
