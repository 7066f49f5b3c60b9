"""Which workspace a URI means, and where what it leaves out comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployer.core.target import TargetUri
from deployer.errors import ConfigInvalid
from deployer_targets.azureml.address import AzureWorkspace, workspace_at

WORKSPACE = AzureWorkspace("sub-1", "group-1", "work-1")
IN_VARIABLES = {"AZUREML_ARM_SUBSCRIPTION": "sub-1", "AZUREML_ARM_RESOURCEGROUP": "group-1", "AZUREML_ARM_WORKSPACE_NAME": "work-1"}


@pytest.mark.parametrize(
    "uri",
    [
        "azureml:/sub-1/group-1/work-1",
        f"azureml:{WORKSPACE.id}",
        f"azureml://eastus.api.azureml.ms/mlflow/v1.0{WORKSPACE.id}",
        f"azureml://eastus.api.azureml.ms/mlflow/v2.0{WORKSPACE.id.replace('resourceGroups', 'resourcegroups')}?",
    ],
)
def test_forms_of_a_uri(uri: str) -> None:
    assert workspace_at(TargetUri.parse(uri), {}) == WORKSPACE


@pytest.mark.parametrize("uri", ["azureml:/sub-1", "azureml:/sub-1/group-1", "azureml:/a/b/c/d"])
def test_parts_of_a_uri_are_refused(uri: str) -> None:
    with pytest.raises(ConfigInvalid, match="its three parts"):
        workspace_at(TargetUri.parse(uri), IN_VARIABLES)


def test_variables_come_before_a_config_file_and_that_before_the_command_lines_defaults(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "azure").mkdir()
    (tmp_path / "azure" / "config").write_text("[defaults]\ngroup = group-3\nworkspace = work-3\n")
    profile = {"subscriptions": [{"id": "sub-2"}, {"id": "sub-3", "isDefault": True}]}
    (tmp_path / "azure" / "azureProfile.json").write_text(json.dumps(profile), encoding="utf-8-sig")  # as az writes it
    command_line = {"AZURE_CONFIG_DIR": str(tmp_path / "azure")}
    bare = TargetUri.parse("azureml")
    assert workspace_at(bare, command_line, below) == AzureWorkspace("sub-3", "group-3", "work-3")
    (tmp_path / "a" / ".azureml").mkdir()
    found = {"subscription_id": "sub-2", "resource_group": "group-2", "workspace_name": "work-2"}
    (tmp_path / "a" / ".azureml" / "config.json").write_text(json.dumps(found))
    assert workspace_at(bare, command_line, below) == AzureWorkspace("sub-2", "group-2", "work-2")
    (below / "config.json").write_text(json.dumps({"Scope": WORKSPACE.id}))
    assert workspace_at(bare, command_line, below) == WORKSPACE
    (below / "config.json").write_text('{"name": "a config file of something else"}')
    assert workspace_at(bare, command_line, below) == AzureWorkspace("sub-2", "group-2", "work-2")
    assert workspace_at(bare, {**command_line, **IN_VARIABLES}, below) == WORKSPACE


def test_no_workspace_at_all_is_told_with_what_names_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        workspace_at(TargetUri.parse("azureml"), {"AZURE_CONFIG_DIR": str(tmp_path)}, tmp_path)
    assert "azureml:/SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE" in refused.value.advice
