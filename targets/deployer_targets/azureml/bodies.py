"""What is sent to Azure for a deployment's options. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.core.state import digest_of, short
from deployer_targets.azureml.config import DEFAULT_INSTANCE_TYPE, AzureMlConfig, ProbeSettings, RequestSettings
from deployer_targets.azureml.data_collector_options import DataCollector
from deployer_targets.azureml.identity_options import EndpointIdentity
from deployer_targets.azureml.kubernetes_options import ResourceRequirements

PORT = 8080
LIVE, READY, SCORING = "/v2/health/live", "/v2/health/ready", "/invocations"
"""The first answers while the model loads: a probe that waited for that would kill what loads slowly."""

_AUTH = {"key": "Key", "aml_token": "AMLToken", "aad_token": "AADToken"}
_NETWORK = {"enabled": "Enabled", "disabled": "Disabled"}


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many instances a deployment has.

    Attributes:
        count: how many; where Azure scales by itself, the least.
        settings: as Azure has them.
    """

    count: int
    settings: Mapping[str, Any]

    @property
    def fixed(self) -> bool:
        return self.settings.get("scaleType") == "Default"


def scaling(config: AzureMlConfig) -> Scaling:
    wanted = config.scale_settings
    if wanted.type == "default":
        return Scaling(config.instance_count, {"scaleType": "Default"})
    settings = {
        "scaleType": "TargetUtilization",
        "minInstances": wanted.min_instances,
        "maxInstances": wanted.max_instances,
        "targetUtilizationPercentage": wanted.target_utilization_percentage,
        "pollingInterval": _duration(wanted.polling_interval),
    }
    return Scaling(wanted.min_instances, settings)


def environment(image: str) -> dict[str, Any]:
    """The properties of an environment: an image, and where its server answers."""
    routes = {"livenessRoute": LIVE, "readinessRoute": READY, "scoringRoute": SCORING}
    return {"image": image, "osType": "Linux", "inferenceConfig": {route: {"port": PORT, "path": path} for route, path in routes.items()}}


def environment_version(image: str) -> str:
    return short(digest_of(environment(image)))


def endpoint(location: str, config: AzureMlConfig, tags: Mapping[str, str], compute: str) -> dict[str, Any]:
    """A new endpoint, without traffic. `compute` is the ARM id of the cluster that it is on, or ""."""
    on_cluster = {"compute": compute} if compute else {}
    return {
        "location": location,
        "identity": identity(config.identity),
        "tags": dict(tags),
        "properties": {"authMode": _AUTH[config.auth_mode], **of_endpoint(config), "traffic": {}, **on_cluster},
    }


def of_endpoint(config: AzureMlConfig) -> dict[str, Any]:
    """The properties of an endpoint that change in place."""
    return {"publicNetworkAccess": _NETWORK[config.public_network_access], "description": config.description}


def identity(wanted: EndpointIdentity) -> dict[str, Any]:
    if wanted.type == "system_assigned":
        return {"type": "SystemAssigned"}
    return {"type": "UserAssigned", "userAssignedIdentities": {each.resource_id: {} for each in wanted.user_assigned_identities}}


def deployment(location: str, model: str, environment_id: str, config: AzureMlConfig, variables: Mapping[str, str]) -> dict[str, Any]:
    """A deployment. `model` and `environment_id` are ARM ids of versions."""
    size, wanted = _size(config), scaling(config)
    return {
        "location": location,
        "sku": {"name": "Default", "capacity": wanted.count},
        "properties": {
            **size,
            "model": model,
            "environmentId": environment_id,
            "environmentVariables": dict(variables),
            "requestSettings": _requests(config.request_settings),
            "livenessProbe": _probe(config.liveness_probe),
            "readinessProbe": _probe(config.readiness_probe),
            "scaleSettings": dict(wanted.settings),
            "appInsightsEnabled": config.app_insights_enabled,
            **({"properties": dict(config.properties)} if config.properties else {}),
            **({"modelMountPath": config.model_mount_path} if config.model_mount_path else {}),
            **({"dataCollector": _collector(config.data_collector)} if config.data_collector else {}),
        },
    }


def _size(config: AzureMlConfig) -> dict[str, Any]:
    """What a deployment runs on."""
    if config.compute == "aks":
        kind = {"instanceType": config.instance_type} if config.instance_type else {}
        required = {"containerResourceRequirements": _resources(config.resources)} if config.resources else {}
        return {"endpointComputeType": "Kubernetes", **kind, **required}
    egress = {"egressPublicNetworkAccess": _NETWORK[config.egress_public_network_access]} if config.egress_public_network_access else {}
    return {"endpointComputeType": "Managed", "instanceType": config.instance_type or DEFAULT_INSTANCE_TYPE, **egress}


def _resources(given: ResourceRequirements) -> dict[str, Any]:
    limits = given.limits.model_dump(exclude_none=True) if given.limits else {}
    return {
        "containerResourceRequests": given.requests.model_dump(),
        **({"containerResourceLimits": {name: str(value) for name, value in limits.items()}} if limits else {}),
    }


def _collector(wanted: DataCollector) -> dict[str, Any]:
    collections = {
        name: {
            "dataCollectionMode": "Enabled" if each.enabled else "Disabled",
            "samplingRate": wanted.sampling_rate,
            **({"dataId": each.data} if each.data else {}),
            **({"clientId": each.client_id} if each.client_id else {}),
        }
        for name, each in wanted.collections.items()
    }
    rolling = {"rollingRate": wanted.rolling_rate.title()} if wanted.rolling_rate else {}
    headers = {"requestLogging": {"captureHeaders": list(wanted.request_logging.capture_headers)}} if wanted.request_logging else {}
    return {"collections": collections, **rolling, **headers}


def _requests(settings: RequestSettings) -> dict[str, Any]:
    return {
        "requestTimeout": _duration(settings.request_timeout_ms / 1000),
        "maxConcurrentRequestsPerInstance": settings.max_concurrent_requests_per_instance,
    }


def _probe(settings: ProbeSettings) -> dict[str, Any]:
    return {
        "initialDelay": _duration(settings.initial_delay),
        "period": _duration(settings.period),
        "timeout": _duration(settings.timeout),
        "successThreshold": settings.success_threshold,
        "failureThreshold": settings.failure_threshold,
    }


def _duration(seconds: float) -> str:
    """As ISO 8601 writes it."""
    return f"PT{seconds:g}S"
