"""A script for azureml-mlflow's client, in an environment with the real MLflow, on the local Azure: its target alone is changed."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import deployer
from tests.azureml import AzureHere
from tests.environments import MLFLOW, environment
from tests.local_clouds import model_in

pytestmark = pytest.mark.mlflow

ROOT = Path(__file__).parents[3]

# Names, files and calls as Azure's "Progressive rollout of MLflow models to online endpoints" has them.
SCRIPT = """
import json, sys
import pandas as pd
from mlflow.deployments import get_deploy_client

target, models, first, second, folder = sys.argv[1:]
client = get_deploy_client(target)
rows = pd.DataFrame({"x": [1.0, 2.0]})

def config_file(name, content):
    path = f"{folder}/{name}.json"
    with open(path, "w") as file:
        file.write(json.dumps(content))
    return path

endpoint_name = "heart-classifier"
endpoint_config = config_file("endpoint", {"auth_mode": "key", "identity": {"type": "system_assigned"}, "tags": {"team": "growth"}})
endpoint = client.create_endpoint(name=endpoint_name, config={"endpoint-config-file": endpoint_config})
told = client.get_endpoint(endpoint=endpoint_name)

deploy_config = config_file("deployment", {
    "instance_type": "Standard_DS2_v2", "instance_count": 2, "environment_variables": {"COLOUR": "blue"},
    "request_settings": {"request_timeout_ms": 30000, "max_queue_wait_ms": 500}})
blue = client.create_deployment(
    name="default", endpoint=endpoint_name, model_uri=f"{models}/{first}", config={"deploy-config-file": deploy_config})
client.update_endpoint(endpoint=endpoint_name, config={"endpoint-config-file": config_file("traffic", {"traffic": {"default": 100}})})
by_traffic = client.predict(endpoint=endpoint_name, df=rows)

client.create_deployment(name="xgboost", endpoint=endpoint_name, model_uri=f"{models}/{second}", config={"deploy-config-file": deploy_config})
by_name = client.predict(endpoint=endpoint_name, deployment_name="xgboost", df=rows)
split = client.update_endpoint(
    endpoint=endpoint_name, config={"endpoint-config-file": config_file("traffic", {"traffic": {"default": 90, "xgboost": 10}})})
listed = [each["name"] for each in client.list_deployments(endpoint_name)]
everywhere = [(each["name"], each["endpoint"]) for each in client.list_deployments()]
client.update_endpoint(
    endpoint=endpoint_name, config={"endpoint-config-file": config_file("traffic", {"traffic": {"default": 0, "xgboost": 100}})})
client.delete_deployment("default", endpoint=endpoint_name)
updated = client.update_deployment("xgboost", f"{models}/{first}", endpoint=endpoint_name)
answer = client.predict("xgboost", rows, endpoint_name)
client.delete_endpoint(endpoint_name)
print(json.dumps({
    "name": endpoint["name"], "uri": told["properties"]["scoringUri"], "auth": told["properties"]["authMode"], "blue": blue["name"],
    "options": blue["options"], "by_traffic": by_traffic.iloc[:, 0].tolist(), "by_name": by_name.iloc[:, 0].tolist(), "split": split["traffic"],
    "listed": listed, "everywhere": everywhere, "answer": answer["predictions"], "left": client.list_endpoints()}))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """MLflow's interpreter, with this checkout and what it reaches Azure with beside it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return environment((*MLFLOW, *project["dependencies"], *project["optional-dependencies"]["azureml"], f"--editable={ROOT}"))


def run(here: AzureHere, *command: str | Path) -> str:
    """What a command of MLflow's environment wrote."""
    clean = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    variables: Mapping[str, str] = {**clean, **here.environment, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def models(folder: Path) -> Path:
    for name, factor in (("doubler", 2), ("tripler", 3)):
        model_in(folder / name, factor)
    return folder


def target_of(here: AzureHere, form: str) -> str:
    named = [here.environment[f"AZUREML_ARM_{part}"] for part in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")]
    return form.format(*named)


@pytest.mark.parametrize(
    "form",
    [
        "deployer-azureml:/{}/{}/{}",
        "deployer-azureml://local.api.azureml.ms/mlflow/v1.0/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}",
    ],
    ids=["ours", "tracking"],
)
def test_a_script_for_azuremls_client_goes_its_way(python: Path, here: AzureHere, tmp_path: Path, form: str) -> None:
    target = target_of(here, form)
    told: dict[str, Any] = json.loads(run(here, python, "-c", SCRIPT, target, str(models(tmp_path)), "doubler", "tripler", str(tmp_path)))
    assert told["name"] == "heart-classifier"
    assert told["uri"].startswith(here.manager)
    assert (told["auth"], told["blue"], told["options"]["instance_count"]) == ("Key", "default", 2)
    assert told["options"]["request_settings"]["request_timeout_ms"] == 30000
    assert (told["by_traffic"], told["by_name"], told["answer"]) == ([2.0, 4.0], [3.0, 6.0], [2.0, 4.0])
    assert told["split"] == {"default": 90, "xgboost": 10}
    assert told["listed"] == ["default", "xgboost"]
    assert told["everywhere"] == [["default", "heart-classifier"], ["xgboost", "heart-classifier"]]
    assert told["left"] == []


def test_mlflows_command_line_has_the_endpoints(python: Path, here: AzureHere, tmp_path: Path) -> None:
    def mlflow(verb: str, *words: str) -> str:
        return run(here, python.parent / "mlflow", "deployments", verb, "-t", "deployer-azureml", *words)

    where = ("--endpoint", "shared")
    deployer.get_deploy_client("azureml").create_endpoint("shared")  # MLflow's own create-endpoint takes no name: its command has another parameter
    mlflow("create", *where, "--name", "blue", "-m", str(models(tmp_path) / "doubler"))
    mlflow("update-endpoint", *where, "-C", 'traffic={"blue": 100}')
    (tmp_path / "x.json").write_text(json.dumps({"x": {"0": 1.0, "1": 2.0}}))
    assert json.loads(mlflow("predict", *where, "-I", str(tmp_path / "x.json"))) == {"predictions": [2.0, 4.0]}
    assert "shared" in mlflow("list-endpoints")
    assert "blue" in mlflow("list", *where)
    mlflow("delete-endpoint", *where)
