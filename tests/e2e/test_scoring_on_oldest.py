"""The runtime's own unit tests on the oldest Python, numpy and pandas that models in registries were saved with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.scoring_process import serving
from tests.environments import oldest_python
from tests.models import saved_model

_ROOT = Path(__file__).parents[2]


def test_the_runtime_s_unit_tests_pass_on_the_oldest_that_it_supports() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
    script = _ROOT / "scripts" / "test_scoring_on_oldest"
    done = subprocess.run([sys.executable, str(script)], env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[100%]" in done.stdout


def test_the_server_runs_there_too() -> None:
    with serving(saved_model("streamer"), python=oldest_python()) as served:
        body = {"dataframe_split": {"columns": ["x"], "data": [[2]]}}
        assert served.ask(body).json() == {"predictions": [4.0]}
        assert served.client.post("/invocations?stream=true", json=body).text == '{"x":2.0,"doubled":4.0}\n"that was all"\n'
        served.process.terminate()
        assert served.ended() == 0


def test_the_source_is_valid_for_python_3_9() -> None:
    vermin = Path(sys.executable).with_name("vermin")
    source = _ROOT / "images" / "deployer_scoring"
    done = subprocess.run([str(vermin), "-t=3.9-", "--no-tips", "--violations", str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
