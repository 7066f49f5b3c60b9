"""Computes of a workspace: clusters of Kubernetes that are attached to it, where endpoints may run. No cluster is made, and none is asked.

Documented: "Attach a Kubernetes cluster to Azure Machine Learning workspace"; that a compute in use isn't detached, and words, are assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from deployer_localstack.azure.account import LOCATION, RESOURCE_GROUP, SUBSCRIPTION
from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm import polling
from deployer_localstack.azure.arm.clusters import AttachedCompute
from deployer_localstack.azure.arm.documents import page, resource, system_data, written
from deployer_localstack.azure.arm.quantities import ResourceAmounts
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.arm.store import Workspace
from deployer_localstack.azure.operations import Operations
from deployer_localstack.azure.settings import AzureSettings

# Azure/azure-rest-api-specs has no pattern; azure-ai-ml's schema says so for all computes.
_NAME = re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{0,22}[a-zA-Z0-9])")
_CLUSTER = re.compile(
    r"/subscriptions/[^/]+/resource[gG]roups/[^/]+/providers/Microsoft\.(?:ContainerService/managed|Kubernetes/connected)Clusters/[^/]+"
)


class Computes:
    """The operations on computes."""

    def __init__(self, settings: AzureSettings, operations: Operations) -> None:
        self._settings, self._running = settings, operations
        self.operations: Mapping[str, Callable[[Workspace, ResourceRequest, int], JsonAnswer]] = {
            "Compute_List": self._list,
            "Compute_Get": self._get,
            "Compute_CreateOrUpdate": self._put,
            "Compute_Delete": self._delete,
        }

    def attach(self, workspace: Workspace, name: str) -> None:
        """Have a cluster in a workspace, as from the start."""
        cluster = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.ContainerService/managedClusters/{name}"
        properties = {"computeType": "Kubernetes", "resourceId": cluster, "properties": {"namespace": "default"}}
        with workspace.lock:
            workspace.computes[name.lower()] = AttachedCompute(name, {"properties": properties})

    def _list(self, workspace: Workspace, asked: ResourceRequest, size: int) -> JsonAnswer:
        return page(asked, [_document(workspace, each) for each in workspace.computes.values()], size)

    def _get(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        return JsonAnswer(_document(workspace, _found(workspace, asked.names["compute"])))

    def _put(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        name, properties = asked.names["compute"], asked.properties
        if not _NAME.fullmatch(name):
            raise AzureError("BadRequest", f"{name}: a compute's name has 2 to 24 letters, digits and '-', a letter first and no '-' last.")
        if properties.get("computeType") != "Kubernetes":
            raise AzureError("NotImplemented", "The local Azure has attached clusters of Kubernetes alone.", 501, target="computeType")
        if not _CLUSTER.fullmatch(str(properties.get("resourceId") or "")):
            message = "resourceId is the id of a cluster, of Microsoft.ContainerService/managedClusters or Microsoft.Kubernetes/connectedClusters."
            raise AzureError("BadRequest", message, target="resourceId")
        for called, kind in ((properties.get("properties") or {}).get("instanceTypes") or {}).items():
            ResourceAmounts.read((kind.get("resources") or {}).get("limits"), f"instance type {called}")
        present = workspace.computes.get(name.lower())
        compute = workspace.computes[name.lower()] = present or AttachedCompute(name, {})
        compute.document = dict(asked.document)
        operation = self._running.start(f"compute {name}", lambda: None, lambda: None)
        return polling.accepted(asked, operation, self._settings.azure_retry_after_seconds, _document(workspace, compute), 200 if present else 201)

    def _delete(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        key = asked.names["compute"].lower()
        compute = workspace.computes.get(key)
        if asked.query.get("underlyingresourceaction", "").lower() not in ("detach", "delete"):
            raise AzureError("BadRequest", "underlyingResourceAction is Detach or Delete.", target="underlyingResourceAction")
        if compute is None:
            return JsonAnswer(status=204)
        if used := [each.name for each in workspace.endpoints.values() if each.compute == key]:
            raise AzureError("Conflict", f"Compute {compute.name} has endpoints: {', '.join(used)}. Delete them first.", 409)
        del workspace.computes[key]
        operation = self._running.start(f"compute {compute.name}", lambda: None, lambda: None)
        return polling.accepted(asked, operation, self._settings.azure_retry_after_seconds, None, 202)


def found_by_id(workspace: Workspace, identity: str) -> AttachedCompute:
    """The compute that an endpoint names: its id, in this workspace.

    Raises:
        AzureError: it isn't there.
    """
    begin, _, name = identity.rpartition("/computes/")
    if begin.lower() != workspace.address.id.lower() or not name:
        raise AzureError("BadRequest", f"{identity} is not the id of a compute of this workspace.", target="compute")
    return _found(workspace, name)


def _found(workspace: Workspace, name: str) -> AttachedCompute:
    compute = workspace.computes.get(name.lower())
    if compute is None:
        raise AzureError("ComputeNotFound", f"Compute {name} is not found in workspace {workspace.address.name}.", 404, target="compute")
    return compute


def _document(workspace: Workspace, compute: AttachedCompute) -> dict[str, Any]:
    given = compute.document
    of_cluster = {**(given["properties"].get("properties") or {}), "namespace": compute.namespace}
    told = {
        **given["properties"],
        "computeLocation": given["properties"].get("computeLocation") or LOCATION,
        "isAttachedCompute": True,
        "createdOn": written(compute.created),
        "modifiedOn": written(compute.created),
        "provisioningState": "Succeeded",
        "properties": {**of_cluster, "defaultInstanceType": compute.default_instance_type, "instanceTypes": compute.instance_types},
    }
    more = {"location": given.get("location") or LOCATION, "tags": given.get("tags") or {}}
    place = f"{workspace.address.id}/computes/{compute.name}"
    return resource(place, "/computes", compute.name, told, systemData=system_data(compute.created, compute.created), **more)
