"""Models of the light flavors, saved once and kept as tests/models.py keeps its own, and what each side answers with them.

light_models()             the directory with a model of each name in LIGHT
answers("ours", python)    {name: what answering.py says of it}
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.environments import FLAVORS, cache_directory, flavors_python, made_once

# Those that need mlflow to load stand last: from there on it is imported.
LIGHT = (
    "sklearn_skops",
    "sklearn_cloudpickle",
    "sklearn_pickle",
    "sklearn_boosting",
    "sklearn_probabilities",
    "sklearn_by_name",
    "sklearn_neighbours",
    "sklearn_quantiles",
    "sklearn_ufunc",
    "xgboost_booster",
    "xgboost_classifier",
    "lightgbm_booster",
    "lightgbm_regressor",
    "catboost_regressor",
    "sklearn_mixed",
    "xgboost_mixed",
    "lightgbm_mixed",
    "lightgbm_whole",
    "catboost_mixed",
    "onnx_trees",
    "onnx_ranks",
    "onnx_two_outputs",
    "python_class",
    "python_function",
    "python_script",
    "python_hinted",
    "python_by_reference",
    "python_more_mlflow",
    "statsmodels_ols",
)
_HERE = Path(__file__).parent
_MARK = "answers: "  # answering.py's


@cache
def light_models() -> Path:
    """The directory below which the models lie by their names. Don't write to it."""
    sources = [(_HERE / name).read_text() for name in ("saving.py", "data.py")]
    key = hashlib.sha256("\n".join([*sources, *LIGHT, *FLAVORS]).encode()).hexdigest()[:16]
    return made_once(cache_directory() / f"flavors-{key}", lambda directory: save(flavors_python(), directory, LIGHT))


def save(python: Path, directory: Path, names: Sequence[str], script: str = "saving.py") -> None:
    """Save models below a directory by the real MLflow of an interpreter.

    Raises:
        RuntimeError: It could not; the message is what it said.
    """
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": f"sqlite:///{directory}/mlflow.db"}
    command = [str(python), str(_HERE / script), str(directory), *names]
    done = subprocess.run(command, check=False, env=quiet, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"MLflow could not save {', '.join(names)}: {done.stderr[-3000:]}")


def answers(side: str, python: Path, directory: Path, names: Sequence[str], script: str = "answering.py") -> dict[str, Any]:
    """What answering.py says of each of the models as one of its sides, in a process of the given interpreter.

    Raises:
        RuntimeError: It failed; the message is what it said.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONDONT", "MLFLOW_"))}
    command = [str(python), str(_HERE / script), side, str(directory), *names]
    # One thread each: OpenMP's threads wait for each other in loops, which starves what else runs on the machine.
    variables = {**clean, "MLFLOW_DISABLE_TELEMETRY": "true", **({} if side == "forked" else {"OMP_NUM_THREADS": "1"})}
    done = subprocess.run(command, check=False, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{side} failed with {', '.join(names)}: {done.stderr[-3000:]}")
    said = next(line for line in reversed(done.stdout.splitlines()) if line.startswith(_MARK))  # libraries say goodbye after it
    found: dict[str, Any] = json.loads(said.removeprefix(_MARK))
    return found
