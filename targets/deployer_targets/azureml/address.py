"""Which workspace a target's URI means, and where what it leaves out comes from."""

from __future__ import annotations

import configparser
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployer.core.target import TargetUri
from deployer.errors import ConfigInvalid

_FORM = "azureml:/SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE"
_WHOLE = re.compile(r"subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)/.*workspaces/(?P<name>[^/?]+)", re.IGNORECASE)
_PARTS = ("subscription", "group", "name")
_KEYS = ("subscription_id", "resource_group", "workspace_name")


@dataclass(frozen=True, slots=True)
class AzureWorkspace:
    """A workspace in a resource group of a subscription."""

    subscription: str
    group: str
    name: str

    @property
    def id(self) -> str:
        """As ARM names it."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"

    @property
    def uri(self) -> str:
        """As addresses of datastores begin."""
        return f"azureml://subscriptions/{self.subscription}/resourcegroups/{self.group}/workspaces/{self.name}"

    def __str__(self) -> str:
        return f"workspace {self.name}, resource group {self.group}"


def workspace_at(uri: TargetUri, environment: Mapping[str, str] = os.environ, directory: Path | None = None) -> AzureWorkspace:
    """The workspace that a URI names: ours, MLflow's tracking URI of a workspace, or a workspace's ARM id; what none names is configured.

    Looked for in this order: AZUREML_ARM_* variables, as Azure ML's jobs have them; config.json of the working directory or one above it, as
    Azure ML's SDK finds it; the defaults of the az CLI.

    Raises:
        ConfigInvalid: it isn't such a URI, or nothing says which workspace.
    """
    if match := _WHOLE.search(uri.path):
        return AzureWorkspace(**match.groupdict())
    named = [part for part in uri.path.split("/") if part]
    if len(named) == len(_PARTS):
        return AzureWorkspace(*named)
    if named:
        raise ConfigInvalid(f"{uri} is not an Azure ML target: it has {len(named)} of its three parts", advice=f"{_FORM}, or azureml alone")
    for found in _configured(environment, directory or Path.cwd()):
        if found.keys() >= set(_PARTS) and all(found.values()):
            return AzureWorkspace(**found)
    raise ConfigInvalid(
        "no Azure ML workspace is named",
        advice=f"-t {_FORM}; or a config.json from the workspace's page, az configure --defaults group=... workspace=..., or AZUREML_ARM_* variables",
    )


def _configured(environment: Mapping[str, str], directory: Path) -> Iterator[dict[str, str]]:
    variables = ("AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME")
    yield dict(zip(_PARTS, (environment.get(each, "") for each in variables), strict=True))
    yield _config_file(directory)
    yield _command_line(environment)


def _config_file(directory: Path) -> dict[str, str]:
    for folder in (directory, *directory.parents):
        for file in (folder / "config.json", folder / ".azureml" / "config.json"):
            found = _json(file)
            if found.get("workspace_name"):
                return {part: str(found.get(key) or "") for part, key in zip(_PARTS, _KEYS, strict=True)}
            if match := _WHOLE.search(str(found.get("Scope") or "")):
                return match.groupdict()
    return {}


def _command_line(environment: Mapping[str, str]) -> dict[str, str]:
    """What `az configure --defaults` and `az account set` left."""
    folder = Path(environment.get("AZURE_CONFIG_DIR") or Path.home() / ".azure")
    parser = configparser.ConfigParser()
    try:
        parser.read(folder / "config")
    except configparser.Error:
        return {}
    defaults = dict(parser["defaults"]) if parser.has_section("defaults") else {}
    accounts = _json(folder / "azureProfile.json").get("subscriptions") or []
    chosen = next((str(each.get("id") or "") for each in accounts if isinstance(each, dict) and each.get("isDefault")), "")
    return {"subscription": chosen, "group": defaults.get("group", ""), "name": defaults.get("workspace", "")}


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
