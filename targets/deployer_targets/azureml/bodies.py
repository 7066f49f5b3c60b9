"""What is sent to Azure for a deployment's options. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.core.state import digest_of, short
from deployer_targets.azureml.config import AzureMlConfig, ProbeSettings, RequestSettings

PORT = 8080
LIVE, READY, SCORING = "/v2/health/live", "/v2/health/ready", "/invocations"
"""The first answers while the model loads: a probe that waited for that would kill what loads slowly."""

_AUTH = {"key": "Key", "aml_token": "AMLToken", "aad_token": "AADToken"}
_NETWORK = {"enabled": "Enabled", "disabled": "Disabled"}


def environment(image: str) -> dict[str, Any]:
    """The properties of an environment: an image, and where its server answers."""
    routes = {"livenessRoute": LIVE, "readinessRoute": READY, "scoringRoute": SCORING}
    return {"image": image, "osType": "Linux", "inferenceConfig": {route: {"port": PORT, "path": path} for route, path in routes.items()}}


def environment_version(image: str) -> str:
    return short(digest_of(environment(image)))


def endpoint(location: str, config: AzureMlConfig, tags: Mapping[str, str]) -> dict[str, Any]:
    """A new endpoint, without traffic."""
    return {
        "location": location,
        "identity": {"type": "SystemAssigned"},
        "tags": dict(tags),
        "properties": {"authMode": _AUTH[config.auth_mode], "publicNetworkAccess": network_access(config), "traffic": {}},
    }


def network_access(config: AzureMlConfig) -> str:
    return _NETWORK[config.public_network_access]


def deployment(location: str, model: str, environment_id: str, config: AzureMlConfig, variables: Mapping[str, str]) -> dict[str, Any]:
    """A deployment. `model` and `environment_id` are ARM ids of versions."""
    egress = {"egressPublicNetworkAccess": _NETWORK[config.egress_public_network_access]} if config.egress_public_network_access else {}
    return {
        "location": location,
        "sku": {"name": "Default", "capacity": config.instance_count},
        "properties": {
            "endpointComputeType": "Managed",
            "model": model,
            "environmentId": environment_id,
            "environmentVariables": dict(variables),
            "instanceType": config.instance_type,
            "requestSettings": _requests(config.request_settings),
            "livenessProbe": _probe(config.liveness_probe),
            "readinessProbe": _probe(config.readiness_probe),
            "scaleSettings": {"scaleType": "Default"},
            "appInsightsEnabled": config.app_insights_enabled,
            **egress,
        },
    }


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
