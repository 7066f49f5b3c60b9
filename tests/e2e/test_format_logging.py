"""Models logged to a real MLflow server, registered, loaded again from there, and served without this package's core."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import deployer.models
import deployer.pyfunc
from tests.e2e.test_model_uris import server  # noqa: F401  the fixture: a tracking server and registry
from tests.environments import mlflow_python

FRAME = pd.DataFrame({"a": [1.0, 2.0]})


def adding() -> Any:
    """A model whose class goes into the pickle itself, as one from a script does: MLflow hasn't this module."""

    class Adding(deployer.pyfunc.PythonModel):
        def load_context(self, context: Any) -> None:
            with open(context.artifacts["n"]) as file:  # noqa: PTH123  needs no module
                self.n = float(file.read())

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input["a"] + self.n

    return Adding()


_ASK = """
import mlflow.pyfunc, pandas as pd
print(mlflow.pyfunc.load_model("models:/adding/1").predict(pd.DataFrame({"a": [1.0, 2.0]})).tolist())
"""


@pytest.fixture
def tracked(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: F811
    import mlflow

    for name, value in {"TRACKING_URI": server, "REGISTRY_URI": server, "DISABLE_TELEMETRY": "true"}.items():
        monkeypatch.setenv(f"MLFLOW_{name}", value)
    monkeypatch.setenv("DEPLOYER_CACHE", str(tmp_path / "cache"))
    mlflow.set_tracking_uri(server)
    mlflow.set_registry_uri(server)
    return server


def test_a_logged_model_is_registered_and_loads_from_its_uris_here_and_in_mlflow(tracked: str, tmp_path: Path) -> None:
    import mlflow

    (tmp_path / "n.txt").write_text("5")
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / "n.txt"))
        info = deployer.pyfunc.log_model(
            name="adding",
            python_model=adding(),
            artifacts={"n": f"runs:/{run.info.run_id}/n.txt"},
            input_example=FRAME,
            registered_model_name="adding",
            metadata={"team": "churn"},
        )
    assert (int(info.registered_model_version), info.run_id, info.metadata) == (1, run.info.run_id, {"team": "churn"})
    expected = [6.0, 7.0]
    for uri in (info.model_uri, "models:/adding/1", f"runs:/{run.info.run_id}/adding"):
        assert deployer.pyfunc.load_model(uri).predict(FRAME).tolist() == expected
    described = deployer.models.Model.load("models:/adding/1")
    assert (described.run_id, described.model_id, described.mlflow_version) == (run.info.run_id, info.model_id, mlflow.__version__)
    assert repr(described.signature.inputs) == "['a': double (required)]"

    done = subprocess.run([str(mlflow_python()), "-W", "ignore", "-c", _ASK], env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def test_the_older_name_of_the_place_works_too(tracked: str) -> None:
    info = deployer.pyfunc.log_model("doubling", python_model=lambda model_input: 2 * model_input)
    assert deployer.pyfunc.load_model(info.model_uri).predict([1]) == [1, 1]
