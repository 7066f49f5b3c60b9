"""Models and environments: containers by name, with versions that stay as they were registered, and may be archived."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm.documents import now, page, resource, system_data
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.arm.store import Asset, Version, Workspace

# Azure/azure-rest-api-specs, machinelearningservices: the parameter's pattern.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_.]{0,254}")
_CHANGEABLE = frozenset({"description", "tags", "properties", "isArchived", "stage"})


class Assets:
    """The operations on assets of one kind.

    Its rules: assumed, but for the shapes, which are those of the published API and were seen with azure-ai-ml 1.35.
    """

    def __init__(self, kind: str, path: str, refuse: Callable[[Mapping[str, Any]], None], added: Mapping[str, Any]) -> None:
        """Make them.

        Args:
            kind: of the operations' names: "Model".
            path: of their ids: "models".
            refuse: raises AzureError for properties that a new version can't have.
            added: what the service adds to a version's properties.
        """
        self._path, self._refuse, self._added = path, refuse, added
        self.operations: Mapping[str, Callable[[Workspace, ResourceRequest, int], JsonAnswer]] = {
            f"{kind}Containers_List": self._list_containers,
            f"{kind}Containers_Get": self._get_container,
            f"{kind}Containers_CreateOrUpdate": self._put_container,
            f"{kind}Versions_List": self._list,
            f"{kind}Versions_Get": self._get,
            f"{kind}Versions_CreateOrUpdate": self._put,
            f"{kind}Versions_Delete": self._delete,
        }

    def find(self, workspace: Workspace, name: str, version: str) -> Version | None:
        """A version that is there, archived or not."""
        asset = workspace.assets(self._path).get(name)
        return asset.versions.get(version) if asset else None

    def _put(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        name, version, given = asked.names["name"], asked.names["version"], asked.properties
        if not _NAME.fullmatch(name) or not _NAME.fullmatch(version):
            raise AzureError("UserError", f"{name}:{version} is not a name and version: letters, digits, '-', '_' and '.', up to 255.", target="name")
        present = self.find(workspace, name, version)
        if present is None:
            self._refuse(given)
            asset = workspace.assets(self._path).setdefault(name, Asset())
            made = asset.versions[version] = Version(
                {"isArchived": False, "isAnonymous": False, "tags": {}, "properties": {}, **self._added, **given}
            )
            return JsonAnswer(self._document(workspace, name, version, made), 201)
        fixed = {key: value for key, value in given.items() if key not in _CHANGEABLE and value is not None}
        if changed := sorted(key for key, value in fixed.items() if present.properties.get(key) != value):
            message = f"{self._path} {name}:{version} exists already; {', '.join(changed)} can't be changed. Register another version."
            raise AzureError("Conflict", message, 409)
        present.properties |= {key: value for key, value in given.items() if key in _CHANGEABLE}
        present.modified = now()
        return JsonAnswer(self._document(workspace, name, version, present))

    def _get(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        name, version = asked.names["name"], asked.names["version"]
        return JsonAnswer(self._document(workspace, name, version, self._present(workspace, name, version)))

    def _delete(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        asset = workspace.assets(self._path).get(asked.names["name"])
        gone = asset.versions.pop(asked.names["version"], None) if asset else None
        return JsonAnswer(status=204 if gone is None else 200)

    def _list(self, workspace: Workspace, asked: ResourceRequest, size: int) -> JsonAnswer:
        name = asked.names["name"]
        versions = [(version, each) for version, each in self._asset(workspace, name).versions.items() if _listed(each.properties, asked)]
        if asked.query.get("$orderBy", asked.query.get("$orderby", "")).lower() != "createdtime asc":
            versions.reverse()
        return page(asked, [self._document(workspace, name, version, each) for version, each in versions], size)

    def _list_containers(self, workspace: Workspace, asked: ResourceRequest, size: int) -> JsonAnswer:
        found = [(name, asset) for name, asset in workspace.assets(self._path).items() if _listed(asset.properties, asked)]
        return page(asked, [self._container(workspace, name, asset) for name, asset in reversed(found)], size)

    def _get_container(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        name = asked.names["name"]
        return JsonAnswer(self._container(workspace, name, self._asset(workspace, name)))

    def _put_container(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        name = asked.names["name"]
        asset = workspace.assets(self._path).setdefault(name, Asset())
        asset.properties |= {key: value for key, value in asked.properties.items() if key in _CHANGEABLE}
        return JsonAnswer(self._container(workspace, name, asset))

    def _asset(self, workspace: Workspace, name: str) -> Asset:
        found = workspace.assets(self._path).get(name)
        if found is None:
            raise AzureError("UserError", f"Not found: {self._path} container {name} in workspace {workspace.address.name}.", 404)
        return found

    def _present(self, workspace: Workspace, name: str, version: str) -> Version:
        found = self.find(workspace, name, version)
        if found is None:
            raise AzureError("UserError", f"Not found: {self._path} {name}:{version} in workspace {workspace.address.name}.", 404)
        return found

    def _container(self, workspace: Workspace, name: str, asset: Asset) -> dict[str, Any]:
        latest = next(reversed(asset.versions), None)
        told = {"isArchived": False, "tags": {}, "properties": {}, **asset.properties, "latestVersion": latest, "nextVersion": asset.next_version}
        place = f"{workspace.address.id}/{self._path}/{name}"
        return resource(place, f"/{self._path}", name, told, systemData=system_data(asset.created, asset.created))

    def _document(self, workspace: Workspace, name: str, version: str, found: Version) -> dict[str, Any]:
        place = f"{workspace.address.id}/{self._path}/{name}/versions/{version}"
        told = {**found.properties, "provisioningState": "Succeeded"}
        return resource(place, f"/{self._path}/versions", version, told, systemData=system_data(found.created, found.modified))


def _listed(properties: Mapping[str, Any], asked: ResourceRequest) -> bool:
    view = asked.query.get("listviewtype", "ActiveOnly").lower()
    return view == "all" or bool(properties.get("isArchived")) == (view == "archivedonly")


def _refuse_model(properties: Mapping[str, Any]) -> None:
    if not properties.get("modelUri"):
        raise AzureError("UserError", "modelUri is required.", target="modelUri")


def _refuse_environment(properties: Mapping[str, Any]) -> None:
    if bool(properties.get("image")) == bool(properties.get("build")):
        raise AzureError("UserError", "An environment has either an image or a build context.", target="image")


def _refuse_data(properties: Mapping[str, Any]) -> None:
    if not properties.get("dataUri"):
        raise AzureError("UserError", "dataUri is required.", target="dataUri")


MODELS = Assets("Model", "models", _refuse_model, {"flavors": {}, "modelType": "custom_model"})
ENVIRONMENTS = Assets("Environment", "environments", _refuse_environment, {"environmentType": "UserCreated", "osType": "Linux"})
DATA = Assets("Data", "data", _refuse_data, {"dataType": "uri_folder"})
