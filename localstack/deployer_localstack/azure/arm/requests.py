"""What a request asks of Azure Resource Manager: which operation of Azure ML's published API, on what."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from deployer_localstack.azure.account import WorkspaceAddress
from deployer_localstack.azure.answers import AzureError

_PROVIDER = "microsoft.machinelearningservices"
_DEPLOYMENTS = "onlineendpoints/{endpoint}/deployments"

# Names as in Azure/azure-rest-api-specs, machinelearningservices.
_ROUTES: Mapping[tuple[str, str], str] = {
    ("GET", ""): "Workspaces_Get",
    ("GET", "providers/microsoft.authorization/permissions"): "Permissions_ListForResource",
    ("GET", "datastores"): "Datastores_List",
    ("GET", "datastores/{name}"): "Datastores_Get",
    ("POST", "datastores/{name}/listsecrets"): "Datastores_ListSecrets",
    **{
        route: f"{kind}{operation}"
        for path, kind in (("models", "Model"), ("environments", "Environment"), ("data", "Data"))
        for route, operation in {
            ("GET", path): "Containers_List",
            ("GET", path + "/{name}"): "Containers_Get",
            ("PUT", path + "/{name}"): "Containers_CreateOrUpdate",
            ("GET", path + "/{name}/versions"): "Versions_List",
            ("GET", path + "/{name}/versions/{version}"): "Versions_Get",
            ("PUT", path + "/{name}/versions/{version}"): "Versions_CreateOrUpdate",
            ("DELETE", path + "/{name}/versions/{version}"): "Versions_Delete",
        }.items()
    },
    ("GET", "computes"): "Compute_List",
    ("GET", "computes/{compute}"): "Compute_Get",
    ("PUT", "computes/{compute}"): "Compute_CreateOrUpdate",
    ("DELETE", "computes/{compute}"): "Compute_Delete",
    ("GET", "onlineendpoints"): "OnlineEndpoints_List",
    ("GET", "onlineendpoints/{endpoint}"): "OnlineEndpoints_Get",
    ("PUT", "onlineendpoints/{endpoint}"): "OnlineEndpoints_CreateOrUpdate",
    ("DELETE", "onlineendpoints/{endpoint}"): "OnlineEndpoints_Delete",
    ("POST", "onlineendpoints/{endpoint}/listkeys"): "OnlineEndpoints_ListKeys",
    ("POST", "onlineendpoints/{endpoint}/regeneratekeys"): "OnlineEndpoints_RegenerateKeys",
    ("POST", "onlineendpoints/{endpoint}/token"): "OnlineEndpoints_GetToken",
    ("GET", "onlineendpoints/{endpoint}/providers/microsoft.insights/metrics"): "Metrics_List",
    ("GET", _DEPLOYMENTS): "OnlineDeployments_List",
    ("GET", _DEPLOYMENTS + "/{deployment}"): "OnlineDeployments_Get",
    ("PUT", _DEPLOYMENTS + "/{deployment}"): "OnlineDeployments_CreateOrUpdate",
    ("DELETE", _DEPLOYMENTS + "/{deployment}"): "OnlineDeployments_Delete",
    ("POST", _DEPLOYMENTS + "/{deployment}/getlogs"): "OnlineDeployments_GetLogs",
}
_RESOURCES = "subscriptions/{subscription}/resourcegroups/{group}/providers"
_REGISTRY = "microsoft.containerregistry/registries/{registry}"
_GROUP = f"{_RESOURCES}/microsoft.containerinstance/containergroups"
_REGION = "subscriptions/{subscription}/providers/microsoft.machinelearningservices/locations/{location}"
# Of Azure/azure-rest-api-specs, authorization, containerinstance, containerregistry, machinelearningservices and msi.
_ELSEWHERE: Mapping[tuple[str, str], str] = {
    ("GET", "subscriptions/{subscription}/providers/microsoft.containerinstance/containergroups"): "ContainerGroups_List",
    ("GET", "subscriptions/{subscription}/providers/microsoft.containerinstance/locations/{location}/usages"): "Location_ListUsage",
    ("GET", _REGION + "/usages"): "Usages_List",
    ("GET", _REGION + "/vmsizes"): "VirtualMachineSizes_List",
    **{
        ("GET", f"{_RESOURCES}/{scope}/providers/microsoft.authorization/roleassignments"): "RoleAssignments_ListForScope"
        for scope in (_REGISTRY, "microsoft.storage/storageaccounts/{account}")
    },
    ("GET", f"{_RESOURCES}/{_REGISTRY}"): "Registries_Get",
    ("GET", _RESOURCES + "/microsoft.managedidentity/userassignedidentities/{identity}"): "UserAssignedIdentities_Get",
    ("GET", _GROUP): "ContainerGroups_ListByResourceGroup",
    **{
        (method, _GROUP + "/{containergroup}"): f"ContainerGroups_{operation}"
        for method, operation in (("GET", "Get"), ("PUT", "CreateOrUpdate"), ("PATCH", "Update"), ("DELETE", "Delete"))
    },
    **{("POST", _GROUP + "/{containergroup}/" + each): f"ContainerGroups_{each.title()}" for each in ("restart", "start", "stop")},
    ("GET", _GROUP + "/{containergroup}/containers/{container}/logs"): "Containers_ListLogs",
}
# How the addresses of operations read: seen in public logs of Azure ML.
_POLL = re.compile(r"/subscriptions/[^/]+/providers/[^/]+/locations/[^/]+/mfeoperations?(status|results)/([^/]+)", re.IGNORECASE)
STATUS, RESULT = "OperationStatus_Get", "OperationResult_Get"
_POLLS = {"status": STATUS, "results": RESULT}
_Routes = list[tuple[str, list[str], str]]
_SPLIT: _Routes = [(method, template.split("/"), operation) for (method, template), operation in _ROUTES.items()]
_SPLIT_ELSEWHERE: _Routes = [(method, template.split("/"), operation) for (method, template), operation in _ELSEWHERE.items()]


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """One request.

    Attributes:
        operation: "" where the local Azure has none for it.
        path: as it came, without the query.
        names: what the path names: name, version, endpoint, deployment.
        url: of the local Azure.
    """

    method: str
    operation: str
    path: str
    workspace: WorkspaceAddress | None
    names: Mapping[str, str]
    query: Mapping[str, str]
    url: str
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, Any]:
        """Of the resource that is put.

        Raises:
            AzureError: there are none.
        """
        found = self.document.get("properties")
        if not isinstance(found, dict):
            raise AzureError("InvalidRequestContent", "The request content was invalid: 'properties' is required.", target="properties")
        return dict(found)

    @property
    def api_version(self) -> str:
        return self.query.get("api-version", "")


def asked_of(method: str, raw_path: str, query: str, body: bytes, url: str) -> ResourceRequest:
    """What a request asks. Keywords in paths and parameters are equal without regard to case (ARM's resource provider contract)."""
    path = unquote(raw_path)
    parts = path.strip("/").split("/")
    lower = [part.lower() for part in parts]
    operation, names, workspace = "", dict[str, str](), None
    if lower[0::2][:4] == ["subscriptions", "resourcegroups", "providers", "workspaces"] and lower[5:6] == [_PROVIDER] and len(parts) > 7:
        workspace = WorkspaceAddress(parts[1], parts[3], parts[7])
        operation, names = _matched(_SPLIT, method, parts[8:], lower[8:])
    elif match := _POLL.fullmatch(path):
        operation, names = _POLLS[match[1].lower()], {"id": match[2]}
    else:
        operation, names = _matched(_SPLIT_ELSEWHERE, method, parts, lower)
    parameters = {key if key.startswith("$") else key.lower(): value for key, value in parse_qsl(query, keep_blank_values=True)}
    return ResourceRequest(method, operation, path, workspace, names, parameters, url, _document(body))


def _matched(routes: _Routes, method: str, parts: list[str], lower: list[str]) -> tuple[str, dict[str, str]]:
    for wanted, template, operation in routes:
        template_parts = [part for part in template if part]
        if wanted == method and len(template_parts) == len(parts) and all(a[0] == "{" or a == b for a, b in zip(template_parts, lower, strict=True)):
            named = zip(template_parts, parts, strict=True)
            return operation, {part.strip("{}"): value for part, value in named if part[0] == "{"}
    return "", {}


def _document(body: bytes) -> Mapping[str, Any]:
    if not body:
        return {}
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"": "not a JSON object"}
