"""What is particular to endpoints on attached clusters of Kubernetes.

Documented: "Manage and increase quotas" (names, 60 endpoints and 100 deployments a cluster, 300 s), "CLI (v2) Azure Arc-enabled Kubernetes online
deployment YAML schema" (scale settings and their defaults), "Create and manage instance types" (resources). That neither mirrored traffic nor
AADToken is there is documented too ("Online endpoints and deployments for inference"); words are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer_localstack.azure.answers import AzureError
from deployer_localstack.azure.arm.clusters import AttachedCompute
from deployer_localstack.azure.arm.computes import found_by_id
from deployer_localstack.azure.arm.durations import seconds
from deployer_localstack.azure.arm.online import OnlineEndpoint
from deployer_localstack.azure.arm.quantities import ResourceAmounts
from deployer_localstack.azure.arm.store import Workspace

LONGEST_REQUEST = 300.0
_SHORTEST_NAMES, _LONGEST_NAMES = 6, 62
_ENDPOINTS, _DEPLOYMENTS = 60, 100
_LEAST_MEMORY = 1e6
_SCALING = {"minInstances": 1, "maxInstances": 1, "pollingInterval": "PT1S", "targetUtilizationPercentage": 70}


def compute_of(workspace: Workspace, present: OnlineEndpoint | None, properties: Mapping[str, Any]) -> str:
    """The compute that an endpoint is on, or is to be, in small letters; "" where it is managed.

    Raises:
        AzureError: it isn't there, has no room, can't do what is asked, or isn't the one that the endpoint is on.
    """
    identity = str(properties.get("compute") or "")
    compute = found_by_id(workspace, identity) if identity else None
    key = compute.name.lower() if compute else ""
    if present and present.compute != key:
        raise AzureError("BadRequest", "compute of an endpoint can't be changed.", target="compute")
    if compute is None:
        return ""
    if not present and sum(each.compute == key for each in workspace.endpoints.values()) >= _ENDPOINTS:
        raise AzureError("QuotaExceeded", f"Compute {compute.name} has {_ENDPOINTS} endpoints, and may have no more.")
    if str(properties.get("authMode")).lower() == "aadtoken":
        raise AzureError("BadRequest", "authMode AADToken: Kubernetes online endpoints have Key and AMLToken.", target="authMode")
    if any((properties.get("mirrorTraffic") or {}).values()):
        raise AzureError("BadRequest", "Kubernetes online endpoints mirror no traffic.", target="mirrorTraffic")
    return key


def refuse_deployment(workspace: Workspace, endpoint: OnlineEndpoint, name: str, properties: Mapping[str, Any], capacity: Any) -> None:
    """Return if a deployment may be put there.

    Raises:
        AzureError: it may not.
    """
    compute = workspace.computes[endpoint.compute]
    together = len(endpoint.name) + len(name)
    if not _SHORTEST_NAMES <= together <= _LONGEST_NAMES:
        message = f"The names of the endpoint and the deployment have {together} characters together: {_SHORTEST_NAMES} to {_LONGEST_NAMES}."
        raise AzureError("BadRequest", message, target="name")
    there = sum(len(each.deployments) for each in workspace.endpoints.values() if each.compute == endpoint.compute)
    if name.lower() not in endpoint.deployments and there >= _DEPLOYMENTS:
        raise AzureError("QuotaExceeded", f"Compute {compute.name} has {_DEPLOYMENTS} deployments, and may have no more.")
    _refuse_scaling(scaling_of(properties), capacity)
    _refuse_resources(compute, properties)


def scaling_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The scale settings of a deployment; by target utilization where it says none."""
    given = {key: value for key, value in (properties.get("scaleSettings") or {}).items() if value is not None}
    if given.get("scaleType") == "Default":
        return given
    return {"scaleType": "TargetUtilization", **_SCALING, **given}


def _refuse_scaling(scaling: Mapping[str, Any], capacity: Any) -> None:
    if scaling["scaleType"] == "Default":
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise AzureError("BadRequest", f"The instance count is {capacity!r}: 1 or more with scale type Default.", target="sku.capacity")
        return
    if scaling["scaleType"] != "TargetUtilization":
        raise AzureError("BadRequest", f"scaleType {scaling['scaleType']}: there are Default and TargetUtilization.", target="scaleSettings")
    least, most, share = (scaling[each] for each in ("minInstances", "maxInstances", "targetUtilizationPercentage"))
    if not all(isinstance(each, int) for each in (least, most, share)) or not (1 <= least <= most and 1 <= share <= 100):
        message = f"Scale settings from {least!r} to {most!r} instances at {share!r} percent: 1 or more, the least first, and 1 to 100 percent."
        raise AzureError("BadRequest", message, target="scaleSettings")
    seconds(scaling["pollingInterval"])


def _refuse_resources(compute: AttachedCompute, properties: Mapping[str, Any]) -> None:
    kind = str(properties.get("instanceType") or compute.default_instance_type)
    if kind not in compute.instance_types:
        message = f"Instance type {kind} is not one of compute {compute.name}: {', '.join(compute.instance_types)}."
        raise AzureError("BadArgument", message, target="instanceType")
    given = properties.get("containerResourceRequirements")
    if not given:
        return
    requests = ResourceAmounts.read(given.get("containerResourceRequests"), "resource requests")
    limits = ResourceAmounts.read(given.get("containerResourceLimits"), "resource limits")
    for name in ("cpu", "memory"):
        if getattr(requests, name) is None:
            raise AzureError("BadArgument", f"Resource requests need {name}.", target="containerResourceRequirements")
    if requests.memory is not None and requests.memory < _LEAST_MEMORY:
        raise AzureError("BadArgument", "Memory can't be less than 1 MB.", target="containerResourceRequirements")
    if wrong := requests.beyond(limits) if limits.gpu or limits.cpu or limits.memory else "":
        raise AzureError("BadArgument", f"Resource requests have more {wrong} than the limits.", target="containerResourceRequirements")
    most = compute.limits_of(kind)
    for which, asked in (("requests", requests), ("limits", limits)):
        if wrong := asked.beyond(most):
            raise AzureError(
                "BadArgument", f"Resource {which} have more {wrong} than instance type {kind} allows.", target="containerResourceRequirements"
            )
