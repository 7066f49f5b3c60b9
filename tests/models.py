"""Models saved by the real MLflow, for every test that needs one.

    saved_model("sklearn")      LogisticRegression on iris: a signature of four named doubles, an input example, skops (MLflow's default)
    saved_model("pythonmodel")  a PythonModel with a code folder and an artifact, needs mlflow to load
    saved_model("optional")     a PythonModel whose signature has an optional column, one of each scalar type, and params
    saved_model("doubler")      doubles the column x; a loader module of its own: needs only pandas, loads in a blink
    saved_model("tripler")      the same with 3: what an update rolls to
    saved_model("broken")       fails while loading with ModuleNotFoundError: No module named 'a_module_that_is_not_there'
    saved_model("slow")         as doubler, but takes 2 s to load, and sleeps as many seconds as its column x says in each predict
    saved_model("streamer")     as doubler, and streams: predict_stream gives one piece a row
    saved_model("nested")       a PythonModel whose signature has arrays, objects and maps
    saved_model("tensor")       takes an unnamed tensor of (-1, 2, 2) float32 and gives its sums
    saved_model("typed")        a PythonModel whose signature comes from type hints (list[str])
    saved_model("chat")         a PythonModel that takes `messages` without a wrapper

All are saved together by one process, the first time that one is asked for (some 15 s), and kept in the cache directory under a digest
of tests/saving.py and the environment: read-only for tests; copy what you change (`copied_model`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.environments import MLFLOW, cache_directory, made_once, mlflow_python

NAMES = ("sklearn", "pythonmodel", "optional", "doubler", "tripler", "broken", "slow", "streamer", "nested", "tensor", "typed", "chat")
_SCRIPT = Path(__file__).with_name("saving.py")


def saved_model(name: str) -> Path:
    """The directory of a model saved by the real MLflow; one of `NAMES`. Don't write to it."""
    if name not in NAMES:
        raise ValueError(f"{name} is none of the test models: {', '.join(NAMES)}")
    python = mlflow_python()
    key = hashlib.sha256("\n".join([_SCRIPT.read_text(), *MLFLOW]).encode()).hexdigest()[:16]
    return made_once(cache_directory() / f"models-{key}", lambda directory: _save(python, directory)) / name


def failing_model(directory: Path) -> Path:
    """A copy of one below this directory that comes to serve, and fails each request."""
    copy = copied_model("streamer", directory)
    loader = copy / "code" / "streamer_loader.py"
    loader.write_text(loader.read_text().replace("return [2", "raise RuntimeError('out of luck'); return [2"))
    return copy


def _save(python: Path, directory: Path) -> None:
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": f"sqlite:///{directory}/mlflow.db"}
    done = subprocess.run([str(python), str(_SCRIPT), str(directory)], check=False, env=quiet, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"MLflow could not save the test models: {done.stderr}")


def copied_model(name: str, directory: Path) -> Path:
    """A copy of a saved model below a directory, for a test to change."""
    return Path(shutil.copytree(saved_model(name), directory / name))
