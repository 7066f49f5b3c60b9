"""The real MLflow, in an environment of its own with this product installed, finds the targets by its own means."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deployer.core.state import DeploymentName
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.names import StateDirectories
from tests.environments import MLFLOW, environment
from tests.models import saved_model

pytestmark = pytest.mark.mlflow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python() -> Path:
    """MLflow's interpreter, with this checkout installed beside it."""
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return environment((*MLFLOW, *ours, "boto3", f"--editable={ROOT}"))


@pytest.fixture
def variables(tmp_path: Path, python: Path) -> Iterator[Mapping[str, str]]:
    """The environment of MLflow's processes: a local cloud of the test's own, which is empty again in the end."""
    clean = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    variables = {**clean, "DEPLOYER_LOCAL_DIR": str(tmp_path / "cloud"), "DEPLOYER_RUNTIME": "process", "MLFLOW_DISABLE_TELEMETRY": "true"}
    yield variables
    cloud = LocalCloud(StateDirectories.of(variables))
    for name in cloud.names():
        cloud.claim(DeploymentName(name)).stop(name)


@pytest.fixture
def mlflow(python: Path, variables: Mapping[str, str]) -> Mlflow:
    return Mlflow(python, variables)


class Mlflow:
    """Its command line."""

    def __init__(self, python: Path, variables: Mapping[str, str]) -> None:
        self.command, self.variables = str(python.parent / "mlflow"), variables

    def deployments(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`mlflow deployments …`: what it wrote, and how it ended."""
        return subprocess.run([self.command, "deployments", *arguments], env=self.variables, capture_output=True, text=True, check=False, timeout=180)


def test_mlflows_command_line_deploys_asks_and_deletes(mlflow: Mlflow, tmp_path: Path) -> None:
    target, model = ("-t", "deployer-local"), str(saved_model("doubler"))
    created = mlflow.deployments("create", *target, "--name", "door", "-m", model)
    assert created.returncode == 0, created.stderr
    assert "python_function deployment door is created" in created.stdout
    told = created.stderr.splitlines()
    assert any(line.startswith("Model   ") for line in told), told
    assert [line for line in told if line.startswith(("  ✓ ", "  ok  "))], told
    assert created.stdout.strip() == "python_function deployment door is created"
    assert "\x1b" not in created.stderr

    (tmp_path / "x.json").write_text(json.dumps({"x": {"0": 1.5, "1": 4.0}}))
    asked = mlflow.deployments("predict", *target, "--name", "door", "-I", str(tmp_path / "x.json"))
    assert json.loads(asked.stdout) == {"predictions": [3.0, 8.0]}

    listed = mlflow.deployments("list", *target)
    assert "'name': 'door'" in listed.stdout
    shown = mlflow.deployments("get", *target, "--name", "door")
    assert "status: ready" in shown.stdout

    again = mlflow.deployments("create", *target, "--name", "door", "-m", str(saved_model("tripler")))
    assert again.returncode == 3
    assert "Error: [deployment-exists] door exists already" in again.stderr
    assert "Traceback" not in again.stderr
    assert again.stderr.count("door exists already") == again.stderr.count("What to do: ") == 1

    assert "Deployment door is deleted" in mlflow.deployments("delete", *target, "--name", "door").stdout
    assert "door" not in mlflow.deployments("list", *target).stdout


def test_mlflows_client_answers_as_mlflow_clients_do(python: Path, variables: Mapping[str, str]) -> None:
    program = f"""
import json, pickle
import pandas as pd
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException

client = get_deploy_client("deployer-local")
made = client.create_deployment("door", {str(saved_model("doubler"))!r}, config={{"max_restarts": "1"}})
answer = client.predict("door", pd.DataFrame({{"x": [1.0, 2.0]}}))
updated = client.update_deployment("door", {str(saved_model("tripler"))!r})
then = client.predict("door", pd.DataFrame({{"x": [1.0]}}))
try:
    client.get_deployment("nobody")
except MlflowException as error:
    absent = error.error_code
try:
    client.create_deployment("other", {str(saved_model("doubler"))!r}, config={{"max_restart": 1}})
except MlflowException as error:
    wrong = str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.error_code, again.exit_code) == (wrong, error.error_code, 2), again
    assert (error.code, error.why, error.advice) == (again.code, again.why, again.advice) and error.advice in wrong, vars(error)
client.delete_deployment("door")
client.delete_deployment("door")
print(json.dumps([made["name"], made["options"]["max_restarts"], answer.get_predictions()[0].tolist(), then["predictions"], absent, wrong,
                  [each["name"] for each in client.list_deployments()]]))
"""
    done = subprocess.run([str(python), "-c", program], env=variables, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    name, restarts, first, second, absent, wrong, left = json.loads(done.stdout)
    assert (name, restarts, first, second, left) == ("door", 1, [2.0, 4.0], [3.0], [])
    assert absent == "RESOURCE_DOES_NOT_EXIST"
    assert "max_restart is not an option of local; did you mean max_restarts?" in wrong


@pytest.mark.parametrize(
    ("target", "option"),
    [
        ("deployer-local", "max_restarts"),
        ("deployer-sagemaker:/us-west-2", "instance_type"),
        ("deployer-kubernetes:/prod/ml", "replicas"),
    ],
)
def test_mlflow_takes_the_plugin_and_prints_its_options(mlflow: Mlflow, target: str, option: str) -> None:
    helped = mlflow.deployments("help", "-t", target)
    assert helped.returncode == 0, helped.stderr
    assert option in helped.stdout


def test_mlflow_runs_a_model_here_until_it_is_ended(mlflow: Mlflow) -> None:
    command = [mlflow.command, "deployments", "run-local", "-t", "deployer-local", "--name", "door", "-m", str(saved_model("doubler"))]
    with subprocess.Popen(command, env=mlflow.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        ready = next(line for line in running.stdout if line.startswith("ready on "))
        url = ready.split()[2]
        with urllib.request.urlopen(f"{url}/ping", timeout=5) as answer:
            assert answer.status == 200
        running.send_signal(signal.SIGTERM)
        running.stdout.read()
        assert running.wait(30) == 0
    deadline = time.monotonic() + 10
    while Path(mlflow.variables["DEPLOYER_LOCAL_DIR"], "run").exists() and list(Path(mlflow.variables["DEPLOYER_LOCAL_DIR"], "run").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_module_shows_mlflow_one_client(python: Path) -> None:
    program = """
import importlib, inspect, json
from mlflow.deployments import BaseDeploymentClient
names = ["deployer.mlflow_plugin.local", "deployer.mlflow_plugin.sagemaker", "deployer.mlflow_plugin.azureml"]
classes = [inspect.getmembers(importlib.import_module(name), inspect.isclass) for name in names]
print(json.dumps([[n for n, c in each if issubclass(c, BaseDeploymentClient) and c is not BaseDeploymentClient] for each in classes]))
"""
    done = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    assert json.loads(done.stdout) == [["MLflowClient"], ["MLflowClient"], ["AzureMLflowClient"]]
    assert sys.executable != str(python)
