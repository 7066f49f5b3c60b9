"""The runtime on the oldest Python, numpy and pandas that it supports, and on the newest: its own unit tests, and its server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.models import check, predict
from deployer_scoring import OLDEST_PYTHON
from tests.e2e.scoring_process import serving
from tests.environments import newest_python, oldest_python
from tests.models import saved_model

_ROOT = Path(__file__).parents[2]
_PYTHONS = pytest.mark.parametrize(("which", "python"), [("oldest", oldest_python), ("newest", newest_python)], ids=["oldest", "newest"])


@_PYTHONS
def test_the_runtime_s_unit_tests_pass(which: str, python: Callable[[], Path]) -> None:
    version = subprocess.run([str(python()), "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith(f"Python {OLDEST_PYTHON}." if which == "oldest" else "Python 3.13.")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
    script = _ROOT / "scripts" / "test_scoring_on"
    done = subprocess.run([sys.executable, str(script), which], env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[100%]" in done.stdout


@_PYTHONS
def test_the_server_runs(which: str, python: Callable[[], Path]) -> None:
    with serving(saved_model("streamer"), python=python()) as served:
        body = {"dataframe_split": {"columns": ["x"], "data": [[2]]}}
        assert served.ask(body).json() == {"predictions": [4.0]}
        assert served.client.post("/invocations?stream=true", json=body).text == '{"x":2.0,"doubled":4.0}\n"that was all"\n'
        served.process.terminate()
        assert served.ended() == 0


_SAVE = """
import sys
from deployer_scoring.format.saving import save_model
from deployer_scoring.python_model import PythonModel
class Half(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] / 2
save_model(sys.argv[1], python_model=Half(), pip_requirements=["cloudpickle", "numpy==1.19.5", "pandas==1.2.5"])
"""


def test_a_model_of_the_oldest_is_scored_in_an_environment_made_for_it(tmp_path: Path) -> None:
    images = {**os.environ, "PYTHONPATH": str(_ROOT / "images")}
    subprocess.run([str(oldest_python()), "-c", _SAVE, str(tmp_path / "model")], check=True, env=images, cwd=tmp_path)
    assert f"python_version: {OLDEST_PYTHON}." in (tmp_path / "model" / "MLmodel").read_text()
    assert check(str(tmp_path / "model")).errors == ()
    (tmp_path / "input.csv").write_text("x\n3\n")
    predict(str(tmp_path / "model"), input_path=tmp_path / "input.csv", output_path=str(tmp_path / "out.jsonl"))
    assert (tmp_path / "out.jsonl").read_text() == '{"x": 1.5}\n'


def test_the_source_is_valid_for_the_oldest() -> None:
    vermin = Path(sys.executable).with_name("vermin")
    source = _ROOT / "images" / "deployer_scoring"
    asked = [str(vermin), f"-t={OLDEST_PYTHON}-", "--no-tips", "--violations", str(source)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
