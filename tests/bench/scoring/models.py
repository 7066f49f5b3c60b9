"""The models that are measured, saved by the real MLflow, and requests for them.

iris    LogisticRegression on four doubles: the model of the goals; it flatters batching
wide    XGBoost on 200 columns, half doubles and half longs, of which an estimator takes all
heavy   a PythonModel that works for 50 ms whatever it is asked
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.environments import MLFLOW, cache_directory, environment, made_once
from tests.models import saved_model

_SCRIPT = Path(__file__).with_name("saving.py")
XGBOOST = (*MLFLOW, "xgboost-cpu", "httptools", "uvloop")


@dataclass(frozen=True, slots=True)
class Measured:
    """A model's directory and the columns it takes, by their types."""

    directory: Path
    columns: dict[str, str]

    def split(self, rows: int) -> bytes:
        return json.dumps({"dataframe_split": {"columns": list(self.columns), "data": self._rows(rows)}}).encode()

    def records(self, rows: int) -> bytes:
        return json.dumps({"dataframe_records": [dict(zip(self.columns, row, strict=True)) for row in self._rows(rows)]}).encode()

    def inputs(self, rows: int) -> bytes:
        return json.dumps(
            {"inputs": {name: list(values) for name, values in zip(self.columns, zip(*self._rows(rows), strict=True), strict=True)}}
        ).encode()

    def csv(self, rows: int) -> bytes:
        return "\n".join([",".join(self.columns), *(",".join(map(repr, row)) for row in self._rows(rows)), ""]).encode()

    def _rows(self, rows: int) -> list[list[float | int]]:
        drawn = random.Random(7)  # the same for every server
        return [
            [round(drawn.uniform(0.1, 7.9), 1) if kind == "double" else drawn.randrange(50) for kind in self.columns.values()] for _ in range(rows)
        ]


def python() -> Path:
    """The interpreter of the environment in which both MLflow's server and ours run."""
    return environment(XGBOOST)


def iris() -> Measured:
    return _measured(saved_model("sklearn"))


def wide() -> Measured:
    return _measured(_saved("wide"))


def heavy() -> Measured:
    return _measured(_saved("heavy"))


def _measured(directory: Path) -> Measured:
    import yaml

    signature = yaml.safe_load((directory / "MLmodel").read_text())["signature"]["inputs"]
    return Measured(directory, {column["name"]: column["type"] for column in json.loads(signature)})


def _saved(name: str) -> Path:
    key = hashlib.sha256("\n".join([_SCRIPT.read_text(), *XGBOOST]).encode()).hexdigest()[:16]
    saving = [str(python()), str(_SCRIPT)]
    return made_once(cache_directory() / f"bench-models-{key}", lambda directory: subprocess.run([*saving, str(directory)], check=True)) / name
