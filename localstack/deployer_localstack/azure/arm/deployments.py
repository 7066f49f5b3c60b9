"""Deployments of online endpoints: a container each, exchanged by the next one once that answers.

Documented: "Troubleshoot online endpoint deployment", "Manage and increase quotas", "CLI (v2) managed online deployment YAML schema"; words
assumed. That the old container serves on where an update fails is assumed, too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm import kubernetes, polling
from deployer_localstack.azure.arm.access import Access
from deployer_localstack.azure.arm.assets import DATA, ENVIRONMENTS, MODELS, Assets
from deployer_localstack.azure.arm.documents import page
from deployer_localstack.azure.arm.durations import seconds
from deployer_localstack.azure.arm.endpoints import found
from deployer_localstack.azure.arm.online import OnlineDeployment, OnlineEndpoint, deployment_document, refuse_name, refuse_under_way
from deployer_localstack.azure.arm.quotas import Quotas
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.arm.store import Version, Workspace
from deployer_localstack.azure.dataplane import AzureDataplane, ContainerPlan
from deployer_localstack.azure.operations import Operations
from deployer_localstack.azure.settings import AzureSettings

_ASSET = re.compile(r".*/workspaces/[^/]+/(?P<kind>models|environments|data)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)", re.IGNORECASE)
_MOST, _MOST_INSTANCES, _LONGEST_REQUEST = 20, 50, 180.0
# What Azure ML's own inference server has.
_USUAL = {
    "livenessRoute": {"port": 5001, "path": "/"},
    "readinessRoute": {"port": 5001, "path": "/"},
    "scoringRoute": {"port": 5001, "path": "/score"},
}
_PROBE = {"initialDelay": "PT10S", "period": "PT10S", "failureThreshold": 30}


class OnlineDeployments:
    """The operations on deployments."""

    def __init__(self, settings: AzureSettings, operations: Operations, dataplane: AzureDataplane, quotas: Quotas, access: Access) -> None:
        self._settings, self._running, self._dataplane = settings, operations, dataplane
        self._quotas, self._access = quotas, access
        self.operations: Mapping[str, Callable[[Workspace, ResourceRequest, int], JsonAnswer]] = {
            "OnlineDeployments_List": self._list,
            "OnlineDeployments_Get": self._get,
            "OnlineDeployments_CreateOrUpdate": self._put,
            "OnlineDeployments_Delete": self._delete,
            "OnlineDeployments_GetLogs": self._logs,
        }

    def _list(self, workspace: Workspace, asked: ResourceRequest, size: int) -> JsonAnswer:
        endpoint = found(workspace, asked)
        return page(asked, [deployment_document(workspace.address, endpoint, each) for each in endpoint.deployments.values()], size)

    def _get(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        endpoint = found(workspace, asked)
        return JsonAnswer(deployment_document(workspace.address, endpoint, _deployment(endpoint, asked)))

    def _put(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        endpoint, name = found(workspace, asked), asked.names["deployment"]
        present = endpoint.deployments.get(name.lower())
        refuse_under_way(*([endpoint] if endpoint.state == "Deleting" else []), *([present] if present else []))
        if not present and len(endpoint.deployments) >= _MOST:
            raise AzureError("QuotaExceeded", f"Endpoint {endpoint.name} has {_MOST} deployments, and may have no more.")
        _refuse(workspace, endpoint, name, asked)
        self._quotas.refuse_deployment(present.document if present else None, asked.document, managed=not endpoint.compute)
        plan = _plan(workspace, endpoint.name, name, asked.properties)
        deployment = present or OnlineDeployment(name, {})
        same = bool(present and present.serving) and _runs_the_same(deployment.served, asked.document)
        starts = self._settings.azure_containers and not same
        deployment.document, deployment.state = _filled(endpoint, asked.document), "Updating" if present else "Creating"
        endpoint.deployments[name.lower()] = deployment
        document, began = deployment_document(workspace.address, endpoint, deployment), time.monotonic()

        def bring_up() -> None:
            self._access.refuse(plan.image, model=plan.model is not None)
            fresh = self._dataplane.start(plan, deployment.log, self._running.closing) if starts else None
            self._running.wait(self._settings.azure_deployment_seconds, began)
            with workspace.lock:
                old, deployment.serving = (deployment.serving, fresh) if fresh else (None, deployment.serving)
                deployment.served = asked.document
                deployment.state = "Succeeded"
            if old:
                old.retire(self._settings.azure_drain_seconds)

        def failed() -> None:
            with workspace.lock:
                deployment.state = "Failed"

        operation = self._running.start(f"deployment {endpoint.name}/{name}", bring_up, failed)
        return polling.accepted(asked, operation, self._settings.azure_retry_after_seconds, document, 200 if present else 201)

    def _delete(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        endpoint = found(workspace, asked)
        key = asked.names["deployment"].lower()
        deployment = endpoint.deployments.get(key)
        if deployment is None:
            return JsonAnswer(status=204)
        refuse_under_way(deployment)
        if endpoint.traffic.get(key) or endpoint.mirrored.get(key):
            raise AzureError("BadRequest", f"Deployment {deployment.name} gets traffic of endpoint {endpoint.name}; set that to 0 first.")
        deployment.state, began = "Deleting", time.monotonic()

        def remove() -> None:
            with workspace.lock:
                serving, deployment.serving = deployment.serving, None
            if serving:
                serving.retire(self._settings.azure_drain_seconds)
            self._running.wait(self._settings.azure_deployment_seconds, began)
            with workspace.lock:
                endpoint.deployments.pop(key, None)

        def failed() -> None:
            deployment.state = "Failed"

        operation = self._running.start(f"deployment {endpoint.name}/{deployment.name}", remove, failed)
        return polling.accepted(asked, operation, self._settings.azure_retry_after_seconds, None, 202)

    def _logs(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        deployment = _deployment(found(workspace, asked), asked)
        if str(asked.document.get("containerType") or "").lower() == "storageinitializer":
            return JsonAnswer({"content": ""})
        return JsonAnswer({"content": deployment.log.tail(int(asked.document.get("tail") or 50))})


def _deployment(endpoint: OnlineEndpoint, asked: ResourceRequest) -> OnlineDeployment:
    deployment = endpoint.deployments.get(asked.names["deployment"].lower())
    if deployment is None:
        raise AzureError("ResourceNotFound", f"Deployment {asked.names['deployment']} of endpoint {endpoint.name} was not found.", 404)
    return deployment


def _refuse(workspace: Workspace, endpoint: OnlineEndpoint, name: str, asked: ResourceRequest) -> None:
    properties, capacity = asked.properties, (asked.document.get("sku") or {}).get("capacity", 1)
    refuse_name(name, "A deployment")
    kind, given = ("Kubernetes" if endpoint.compute else "Managed"), str(properties.get("endpointComputeType", "Managed"))
    if given.lower() != kind.lower():
        raise AzureError("BadRequest", f"endpointComputeType is {given}: endpoint {endpoint.name} is {kind}.", target="endpointComputeType")
    if properties.get("codeConfiguration"):
        message = "The local Azure runs own containers alone: an environment with an image and an inference configuration, no scoring script."
        raise AzureError("NotImplemented", message, 501, target="codeConfiguration")
    longest = kubernetes.LONGEST_REQUEST if endpoint.compute else _LONGEST_REQUEST
    timeout = seconds((properties.get("requestSettings") or {}).get("requestTimeout") or "PT5S")
    if not 0 < timeout <= longest:
        raise AzureError("BadRequest", f"requestTimeout is {timeout:g} s: up to {longest:g}.", target="requestSettings.requestTimeout")
    if endpoint.compute:
        kubernetes.refuse_deployment(workspace, endpoint, name, properties, capacity)
    else:
        _refuse_managed(properties, capacity)


def _refuse_managed(properties: Mapping[str, Any], capacity: Any) -> None:
    if not properties.get("instanceType"):
        raise AzureError("BadRequest", "instanceType is required.", target="instanceType")
    if not isinstance(capacity, int) or not 1 <= capacity <= _MOST_INSTANCES:
        raise AzureError("BadRequest", f"The instance count is {capacity!r}: from 1 to {_MOST_INSTANCES}.", target="sku.capacity")


def _plan(workspace: Workspace, endpoint: str, name: str, properties: Mapping[str, Any]) -> ContainerPlan:
    place, environment = _asset(workspace, ENVIRONMENTS, properties.get("environmentId"), "environmentId")
    if place is None or environment is None or not environment.properties.get("image"):
        raise AzureError("BadArgument", "The local Azure runs an environment with an image, and builds none.", target="environmentId")
    for each in ((properties.get("dataCollector") or {}).get("collections") or {}).values():
        _asset(workspace, DATA, each.get("dataId"), "dataCollector.collections.dataId")
    model_place, model = _asset(workspace, MODELS, properties.get("model"), "model")
    routes = {**_USUAL, **(environment.properties.get("inferenceConfig") or {})}
    return ContainerPlan(
        endpoint=endpoint,
        deployment=name,
        image=environment.properties["image"],
        model=(*model_place, model.properties["modelUri"]) if model_place and model else None,
        variables=dict(properties.get("environmentVariables") or {}),
        port=int(routes["scoringRoute"]["port"]),
        readiness=routes["readinessRoute"]["path"],
        scoring=routes["scoringRoute"]["path"],
        mount_path=str(properties.get("modelMountPath") or "").rstrip("/"),
        startup_seconds=max(_allowed(properties.get(each) or {}) for each in ("livenessProbe", "readinessProbe")),
    )


def _allowed(given: Mapping[str, Any]) -> float:
    """The seconds that a probe allows for the first answer."""
    probe = {**_PROBE, **{key: value for key, value in given.items() if value is not None}}
    return seconds(probe["initialDelay"]) + seconds(probe["period"]) * int(probe["failureThreshold"])


def _asset(workspace: Workspace, assets: Assets, identity: str | None, target: str) -> tuple[tuple[str, str] | None, Version | None]:
    if not identity:
        return None, None
    match = _ASSET.fullmatch(identity)
    version = assets.find(workspace, match["name"], match["version"]) if match else None
    if match is None or version is None:
        raise AzureError("ResourceNotFound", f"{identity} was not found.", 404, target=target)
    return (match["name"], match["version"]), version


def _filled(endpoint: OnlineEndpoint, document: Mapping[str, Any]) -> dict[str, Any]:
    """What is put, with what the service says for what is left out."""
    if not endpoint.compute:
        return dict(document)
    scaling = kubernetes.scaling_of(document["properties"])
    sku = document.get("sku") or {}
    count = sku.get("capacity") if scaling["scaleType"] == "Default" else scaling["minInstances"]
    return {**document, "sku": {"name": "Default", **sku, "capacity": count}, "properties": {**document["properties"], "scaleSettings": scaling}}


def _runs_the_same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a change needs no other container: an instance stands for all of them."""
    fields = ("model", "modelMountPath", "environmentId", "environmentVariables", "livenessProbe", "containerResourceRequirements", "instanceType")
    return all((before["properties"].get(field) or None) == (after["properties"].get(field) or None) for field in fields)
