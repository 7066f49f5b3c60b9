"""Signatures inferred from data, read and written: the very same as the real MLflow's, over a table of data of every shape."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.environments import flavors_python, older_mlflow_python

_ROOT = Path(__file__).parents[2]
# MLflow 2 merged what is undetermined in one order only: its signature says any where a later value is null.
_OLDER = {"model_input: column of dictionaries with gaps", "model_input: list: dictionaries with gaps"}

# MLflow writes names with levels as lists, and then refuses the very frame; here they are refused at once.
_ON_PURPOSE = {"model_input: a frame with levels of names"}


def compared(python: Path) -> dict[str, list[Any]]:
    """Both sides' words for each case."""
    script = Path(__file__).with_name("format_inference.py")
    variables = {**os.environ, "PYTHONPATH": str(_ROOT / "images"), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([str(python), str(script)], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


@pytest.mark.mlflow
@pytest.mark.parametrize(("python", "apart"), [(flavors_python, set()), (older_mlflow_python, _OLDER)], ids=["3.17", "2.22"])
def test_the_same_data_makes_the_same_signature(python: Callable[[], Path], apart: set[str]) -> None:
    found = compared(python())
    assert len(found) > 500
    differing = {case: sides for case, sides in found.items() if sides[0] != sides[1]}
    assert set(differing) == apart | _ON_PURPOSE, differing
