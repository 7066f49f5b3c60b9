"""The files of azureml-mlflow's client, as our options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployer.errors import ConfigInvalid
from deployer.mlflow_plugin.azureml_files import deployment_options, endpoint_options


def file(folder: Path, content: Any, key: str = "deploy-config-file") -> dict[str, str]:
    path = folder / "config.json"
    path.write_text(json.dumps(content))
    return {key: str(path)}


def test_without_a_file_options_are_those_of_the_call() -> None:
    assert deployment_options(None) == {}
    assert deployment_options({"instance_count": "2"}) == {"instance_count": "2"}


def test_a_deployments_file_under_what_the_call_names(tmp_path: Path) -> None:
    content = {"$schema": "x", "type": "managed", "instance_type": "Standard_DS2_v2", "instance_count": 1, "environment_variables": {"A": "1"}}
    given = {**file(tmp_path, content), "instance_count": "3"}
    assert deployment_options(given) == {"instance_type": "Standard_DS2_v2", "instance_count": "3", "env": {"A": "1"}}


def test_an_endpoints_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = {"auth_mode": "key", "identity": {"type": "system_assigned"}, "traffic": {"blue": 100}, "location": "eastus", "async": True}
    assert endpoint_options(file(tmp_path, content, "endpoint-config-file")) == {"auth_mode": "key", "traffic": {"blue": 100}}
    assert "async, location of" in caplog.text


def test_yaml_is_read_and_what_is_retired_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "deployment.yml"
    path.write_text("instance_type: Standard_F4s_v2\nrequest_settings:\n  request_timeout_ms: 3000\n  max_queue_wait_ms: 500\n")
    found = deployment_options({"deploy-config-file": path})
    assert found == {"instance_type": "Standard_F4s_v2", "request_settings": {"request_timeout_ms": 3000}}
    assert "max_queue_wait_ms" in caplog.text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"model": "azureml:m:1"}, "model_uri"),
        ({"environment": "azureml:e:1"}, "image_url"),
        ({"endpoint_name": "churn"}, "endpoint"),
        ({"code_configuration": {}}, "script"),
        ({"computeType": "aci"}, "ACI"),
        ({"type": "kubernetes"}, "compute"),
        ([1], "mapping"),
    ],
)
def test_what_is_not_said_there_is_refused_in_words(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        deployment_options(file(tmp_path, content))
    assert says in str(refused.value)


def test_identity_and_what_describes_are_options(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = {"user_assigned_identities": [{"resource_id": "/subscriptions/s"}]}
    content = {"identity": {"type": "UserAssigned", **own}, "description": "churn", "properties": {"a": "b"}}
    found = endpoint_options(file(tmp_path, content, "endpoint-config-file"))
    assert found == {"identity": {"type": "user_assigned", **own}, "description": "churn"}
    assert "properties of" in caplog.text
    assert endpoint_options(file(tmp_path, {"identity": "SystemAssigned"}, "endpoint-config-file")) == {}
    assert deployment_options(file(tmp_path, {"description": "churn", "properties": {"a": "b"}})) == {"properties": {"a": "b"}}


def test_an_identity_of_no_kind_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="has identity mine"):
        endpoint_options(file(tmp_path, {"identity": {"type": "mine"}}, "endpoint-config-file"))
    with pytest.raises(ConfigInvalid, match="can't be read"):
        deployment_options({"deploy-config-file": str(tmp_path / "none.yml")})
