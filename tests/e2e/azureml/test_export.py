"""The files of an export: Azure ML's SDK loads them, and what it sends then is what a create sends."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

import deployer
import deployer_localstack as localstack
from deployer.core.state import DeploymentName
from deployer.errors import ConfigInvalid
from deployer_targets.azureml import bicep, bodies
from deployer_targets.azureml.config import AzureMlConfig
from tests.azureml import AzureHere, AzureMlPlace
from tests.docker import free_port
from tests.e2e.localstack.azure import sdk
from tests.e2e.localstack.conftest import eventually
from tests.environments import MLFLOW, azure_python, environment
from tests.local_clouds import model_in

NAME = DeploymentName("churn")
SCORER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/scorer"
MANAGED = {
    "instance_type": "Standard_F4s_v2",
    "instance_count": 2,
    "auth_mode": "aml_token",
    "request_settings": {"request_timeout_ms": 1500, "max_concurrent_requests_per_instance": 4},
    "liveness_probe": {"initial_delay": 3},
    "readiness_probe": {"initial_delay": 1, "failure_threshold": 7},
    "egress_public_network_access": "disabled",
    "app_insights_enabled": True,
    "tags": {"team": "risk: A"},
    "identity": {"type": "user_assigned", "user_assigned_identities": [{"resource_id": SCORER}]},
    "description": "who leaves",
    "properties": {"owner": "risk"},
    "model_mount_path": "/models",
    "data_collector": {"collections": {"request": {}, "response": {"enabled": False}}, "sampling_rate": 0.5},
}
CLUSTER = {
    "compute": "aks",
    "compute_target": "aks",
    "resources": {"requests": {"cpu": "500m", "memory": "500Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    "scale_settings": {"type": "target_utilization", "max_instances": 3, "polling_interval": 5},
}
SENT = (
    "OnlineEndpoints_CreateOrUpdate",
    "OnlineDeployments_CreateOrUpdate",
    "EnvironmentVersions_CreateOrUpdate",
    "ModelVersions_CreateOrUpdate",
    "DataVersions_CreateOrUpdate",
)


def sent(here: AzureHere) -> dict[str, Mapping[str, Any]]:
    """The first body of each kind, without what it has by default."""
    found: dict[str, Mapping[str, Any]] = {}
    for each in here.control.journal():
        if each["operation"] in SENT:
            found.setdefault(each["operation"], without_defaults(each["parameters"]["document"]))
    return found


def without_defaults(value: Any) -> Any:
    """A body without empty members and null ones, and without what isn't in files: our tags, asset ids' names, where the model's files are."""
    if isinstance(value, Mapping):
        inner = {key: without_defaults(each) for key, each in value.items() if not key.startswith("deployer-") and key not in NOT_IN_FILES}
        return {key: each for key, each in inner.items() if each not in (None, {}, [], False) and (key, each) not in DEFAULTS}
    if isinstance(value, str) and (match := DURATION.fullmatch(value)):
        return sum(float(each or 0) * unit for each, unit in zip(match.groups(), (3600, 60, 1), strict=True))
    if isinstance(value, str):
        value = re.sub(r"\bg[0-9a-f]{10}\b", "GENERATION", value)  # which isn't a create's: the files have no variables
        return value.replace("/deployer-churn", "/churn").replace("Enabled", "enabled").replace("Disabled", "disabled")
    return value


DURATION = re.compile(r"PT(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?")
NOT_IN_FILES = ("modelUri", "location")
DEFAULTS = [("osType", "Linux"), ("skuName", "Default"), ("stage", "None"), ("publicNetworkAccess", "enabled")]


@pytest.mark.parametrize("options", [{}, MANAGED, CLUSTER], ids=["defaults", "managed", "aks"])
def test_the_sdk_sends_of_the_files_what_a_create_sends(here: AzureHere, tmp_path: Path, options: dict[str, Any]) -> None:
    place = AzureMlPlace(here, tmp_path / "models")
    here.control.clear_journal()
    assert place.run(place.command("create", NAME, place.first.model, **options, env={"GREETING": "hello"})).done
    ours = sent(here)
    assert place.run(place.command("delete", NAME)).done

    model = str(place.first.model.path)
    exported = deployer.get_deploy_client("azureml").export(NAME, model, config={**options, "env": {"GREETING": "hello"}})
    assert exported == deployer.get_deploy_client("azureml").export(NAME, model, config={**options, "env": {"GREETING": "hello"}})
    assert "hello" not in "".join(exported.files.values())
    assert any("GREETING" in each for each in exported.needs)
    assert "--set environment_variables.GREETING=..." in exported.commands[3]
    for path, text in exported.files.items():
        (tmp_path / path).write_text(text)
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "request.json").write_text('{"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}')
    here.control.clear_journal()
    told = sdk.run("export", localstack.status(here.directory), str(tmp_path), str(tmp_path / "request.json"))
    assert told["state"] == "Succeeded"
    assert told["answer"] == {"predictions": [2.0, 4.0]}
    theirs = sent(here)
    assert theirs == ours


def test_a_deployment_behind_an_endpoint_is_as_a_create_there_has_it(here: AzureHere, tmp_path: Path) -> None:
    """The endpoint is somebody's already, and isn't in the files."""
    model_in(tmp_path / "doubler", 2)
    client, model, options = deployer.get_deploy_client("azureml", {"timeout_seconds": 120}), str(tmp_path / "doubler"), {"tags": {"team": "risk"}}
    client.create_endpoint("churn")
    try:
        here.control.clear_journal()
        client.create_deployment("blue", model, config=options, endpoint="churn", packages="image")
        ours = {kind: body for kind, body in sent(here).items() if kind != "OnlineEndpoints_CreateOrUpdate"}
        client.delete_deployment("blue", endpoint="churn")
        exported = client.export("blue", model, config=options, endpoint="churn", packages="image")
        assert set(exported.files) == {"model.yml", "environment.yml", "deployment.yml"}
        assert exported.commands[-1] == "az ml online-endpoint update -n churn --traffic blue=SHARE"
        assert any("endpoint churn has to be there" in each for each in exported.needs)
        for path, text in exported.files.items():
            (tmp_path / path).write_text(text)
        shutil.copytree(model, tmp_path / "model")
        here.control.clear_journal()
        told = sdk.run("export_behind", localstack.status(here.directory), str(tmp_path))
        assert told == {"state": "Succeeded", "endpoint": "churn", "name": "blue"}
        assert sent(here) == ours
    finally:
        client.delete_endpoint("churn")


def test_files_for_an_endpoint_ask_nobody_for_it(here: AzureHere, tmp_path: Path) -> None:
    model_in(tmp_path, 2)
    client = deployer.get_deploy_client("azureml")
    found = read(client.export("blue", str(tmp_path), endpoint="nowhere", form="bicep", packages="image").files["main.bicep"])
    assert {name for name, each in found["resources"].items() if each["existing"]} == {"workspace", "model", "modelVersion", "endpoint"}
    assert found["parameters"].keys() == {"workspaceName", "location", "environmentVariables"}
    assert found["resources"]["endpoint"]["body"]["name"] == "nowhere"
    assert found["resources"]["deployment"]["body"]["name"] == "blue"
    assert found["resources"]["environment"]["body"]["name"] == "nowhere_blue"
    scripted = client.export("blue", str(tmp_path), endpoint="nowhere", form="scoring-script")
    assert "endpoint.yml" not in scripted.files and "endpoint_name: nowhere\n" in scripted.files["deployment.yml"]
    with pytest.raises(ConfigInvalid, match="endpoints"):
        deployer.get_deploy_client("kubernetes").export("blue", str(tmp_path), endpoint="nowhere")


def read(text: str) -> Any:
    """The resources and parameters of a Bicep file, by its grammar."""
    python = environment(("tree-sitter==0.26.1", "tree-sitter-bicep==1.1.0"))
    done = subprocess.run([python, Path(__file__).with_name("bicep_tree.py")], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("options", [{}, MANAGED, CLUSTER], ids=["defaults", "managed", "aks"])
def test_bicep_has_the_bodies_of_a_create(here: AzureHere, tmp_path: Path, options: dict[str, Any]) -> None:
    place = AzureMlPlace(here, tmp_path / "models")
    model, given = str(place.first.model.path), {**options, "env": {"GREETING": "hello"}}
    exported = deployer.get_deploy_client("azureml").export(NAME, model, config=given, form="bicep")
    plain = deployer.get_deploy_client("azureml").export(NAME, model, config=given)
    assert exported.files["model.yml"] == plain.files["model.yml"]
    found = read(exported.files["main.bicep"])
    made, config = found["resources"], AzureMlConfig.parse(options, target="azureml")
    collected = ["data0", "data0Version", "data1", "data1Version"] if "data_collector" in options else []
    assert {name: each["existing"] for name, each in made.items()} == {
        **dict.fromkeys(collected, False),
        **dict.fromkeys(("workspace", "model", "modelVersion"), True),
        **dict.fromkeys(("environment", "environmentVersion", "endpoint", "deployment"), False),
    }
    assert found["parameters"] == {"workspaceName": "string", "location": "string", "traffic": "object", "environmentVariables": "object"}
    called = made["deployment"]["body"].pop("name")
    assert f"name: {called}\n" in plain.files["deployment.yml"]

    compute = (
        {"compute": {"=": "resourceId('Microsoft.MachineLearningServices/workspaces/computes', workspaceName, 'aks')"}}
        if "compute" in options
        else {}
    )
    endpoint = bodies.endpoint("", config, config.tags, "")
    endpoint |= {"location": {"=": "location"}, "parent": {"=": "workspace"}, "name": NAME}
    endpoint["properties"] |= {"traffic": {"=": "traffic"}, **compute}
    assert made["endpoint"]["body"] == endpoint
    deployment = bodies.deployment("", "", "", config, {})
    deployment |= {"location": {"=": "location"}, "parent": {"=": "endpoint"}}
    deployment["properties"] |= {"model": {"=": "modelVersion.id"}, "environmentId": {"=": "environmentVersion.id"}}
    deployment["properties"] |= {"environmentVariables": {"=": "environmentVariables"}}
    for number, each in enumerate((deployment["properties"].get("dataCollector") or {}).get("collections", {}).values()):
        each |= {"samplingRate": {"=": "json('0.5')"}, "dataId": {"=": f"data{number}Version.id"}}
    assert made["deployment"]["body"] == deployment
    if collected:
        folder = f"azureml://datastores/workspaceblobstore/paths/modelDataCollector/{NAME}/{called}/request"
        assert made["data0"]["body"]["name"] == f"{NAME}-{called}-request"
        assert made["data0Version"]["body"] == {"parent": {"=": "data0"}, "name": "1", "properties": {"dataType": "uri_folder", "dataUri": folder}}
    assert bodies.environment(made["environmentVersion"]["body"]["properties"]["image"]) == made["environmentVersion"]["body"]["properties"]


def test_any_text_is_written_as_bicep_has_it() -> None:
    awkward = {"it's": "${x} \\ $ {a}\n\t", "plain": ["a'", 5, True], "nothing": {}, "none": []}
    assert read(f"resource a 'b@c' = {bicep.written(awkward)}\n")["resources"]["a"]["body"] == awkward


def test_the_scoring_script_serves_in_azures_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cloud: no workspace is asked."""
    model = tmp_path / "export" / "model"
    (model / "code").mkdir(parents=True)
    (model / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: doubling\n    code: code\n    python_version: 3.11.9\n")
    (model / "requirements.txt").write_text("pandas\n")
    (model / "code" / "doubling.py").write_text(DOUBLING)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://127.0.0.1:1")
    client = deployer.get_deploy_client("azureml:/s/g/w")
    exported = client.export("churn", str(model), form="scoring-script")
    assert exported == client.export("churn", str(model), form="scoring-script")
    for path, text in exported.files.items():
        (tmp_path / "export" / path).parent.mkdir(exist_ok=True)
        (tmp_path / "export" / path).write_text(text)
    assert "azureml-inference-server-http" in exported.files["conda.yaml"]
    assert "- mlflow\n" in exported.files["conda.yaml"]
    python = environment(("azureml-inference-server-http==1.5.1", *MLFLOW))
    loaded = subprocess.run([azure_python(), "-c", LOADED, str(tmp_path / "export")], capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.split() == ["score.py", "churn", "python=3.11.9"]

    port, health = free_port(), free_port()
    options = ["--model_dir", str(tmp_path / "export"), "--port", str(port), "--health_port", str(health)]
    command = [python.with_name("azmlinfsrv"), "--entry_script", tmp_path / "export" / "code" / "score.py", *options]
    environ = {"PATH": f"{python.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, env=environ, cwd=tmp_path, stdout=log, stderr=log) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: server.poll() is not None or answers(url))
            assert server.poll() is None, (tmp_path / "log").read_text()
            body = '{"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}'
            good = requests.post(f"{url}/score", data=body, headers={"Content-Type": "application/json"})
            assert (good.status_code, good.json()) == (200, {"predictions": [2, 4]})
            assert good.headers["Content-Type"].startswith("application/json")
            assert requests.post(f"{url}/score", data="x\n3\n", headers={"Content-Type": "text/csv"}).json() == {"predictions": [6]}
            assert requests.post(f"{url}/score", data="{}", headers={"Content-Type": "application/json"}).status_code == 400
            assert requests.get(f"{url}/score").status_code == 405
        finally:
            server.terminate()


DOUBLING = """
class Doubling:
    def predict(self, inputs):
        return [2 * int(each) for each in inputs["x"]]


def _load_pyfunc(path):
    return Doubling()
"""
LOADED = """
import sys
from azure.ai.ml import load_environment, load_online_deployment
deployment = load_online_deployment(sys.argv[1] + "/deployment.yml")
environment = load_environment(sys.argv[1] + "/environment.yml")
print(deployment.code_configuration.scoring_script, environment.name, environment.conda_file["dependencies"][0])
"""


def answers(url: str) -> bool:
    try:
        return requests.get(url).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("form", ["plain", "bicep", "scoring-script"])
def test_a_container_group_has_no_files(here: AzureHere, tmp_path: Path, form: str) -> None:
    place = AzureMlPlace(here, tmp_path / "models")
    with pytest.raises(ConfigInvalid, match="export is for compute managed and aks"):
        deployer.get_deploy_client("azureml").export(NAME, str(place.first.model.path), config={"compute": "aci"}, form=form)
