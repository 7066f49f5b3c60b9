"""What is sent to Azure for a container group. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployer_targets.azureml.aci.groups import CONTAINER
from deployer_targets.azureml.bodies import LIVE, PORT, READY
from deployer_targets.azureml.config import AzureMlConfig, ProbeSettings

CPU, MEMORY = 1.0, 2.0


def group(
    config: AzureMlConfig,
    *,
    location: str,
    image: str,
    variables: Mapping[str, str],
    keys: Sequence[str],
    tags: Mapping[str, str],
    login: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The whole group: what were left out would revert."""
    identities = [config.pull_identity] if config.pull_identity else []
    return {
        "location": location,
        "tags": dict(tags),
        **({"identity": {"type": "UserAssigned", "userAssignedIdentities": {each: {} for each in identities}}} if identities else {}),
        "properties": {
            "osType": "Linux",
            "restartPolicy": "Always",
            "containers": [{"name": CONTAINER, "properties": _container(config, image, variables, keys)}],
            "ipAddress": _address(config),
            **({"subnetIds": [{"id": config.subnet_id}]} if config.subnet_id else {}),
            **({"imageRegistryCredentials": [dict(login)]} if login else {}),
        },
    }


def _container(config: AzureMlConfig, image: str, variables: Mapping[str, str], keys: Sequence[str]) -> dict[str, Any]:
    secret = {**variables, "DEPLOYER_API_KEYS": ",".join(keys)}
    return {
        "image": image,
        "ports": [{"port": PORT, "protocol": "TCP"}],
        "environmentVariables": [{"name": name, "secureValue": value} for name, value in sorted(secret.items())],
        "resources": {"requests": {"cpu": config.cpu or CPU, "memoryInGB": config.memory or MEMORY}},
        "livenessProbe": _probe(config.liveness_probe, LIVE),
        "readinessProbe": _probe(config.readiness_probe, READY),
    }


def _address(config: AzureMlConfig) -> dict[str, Any]:
    label = {"dnsNameLabel": config.dns_name_label} if config.dns_name_label else {}
    return {"type": "Private" if config.subnet_id else "Public", "ports": [{"port": PORT, "protocol": "TCP"}], **label}


def _probe(settings: ProbeSettings, path: str) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": PORT, "scheme": "http"},
        "initialDelaySeconds": settings.initial_delay,
        "periodSeconds": settings.period,
        "timeoutSeconds": settings.timeout,
        "successThreshold": settings.success_threshold,
        "failureThreshold": settings.failure_threshold,
    }
