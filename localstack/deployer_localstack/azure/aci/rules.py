"""What a container group may be.

Documented: "Resource availability & quota limits for ACI", "Introduction to container groups", "Update containers in Azure Container Instances"
(what needs a deletion first), "Deploy container instances into an Azure virtual network"; words as in public reports where there are some
(what can't be updated, DNS name labels, images), else assumed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from deployer_localstack.azure.answers import AzureError

MOST_CPU, MOST_MEMORY, MOST_GROUPS = 31.0, 240.0, 100
_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){0,62}")
_LABEL = re.compile(r"[a-z](?:[a-z0-9-]{3,61}[a-z0-9])")
_MOST_CONTAINERS, _MOST_PORTS = 60, 5


def refuse_group(name: str, properties: Mapping[str, Any], labels: Collection[str]) -> None:
    """Return if such a group may be put.

    Args:
        labels: the DNS name labels of other groups.

    Raises:
        AzureError: it may not.
    """
    if not _NAME.fullmatch(name):
        message = f"The container group name '{name}' is invalid: 1 to 63 small letters, digits and hyphens, none of them first, last or twice."
        raise AzureError("InvalidContainerGroupName", message)
    containers = properties.get("containers") or []
    if not 1 <= len(containers) <= _MOST_CONTAINERS:
        raise AzureError("ContainersNotSpecified", f"A container group has 1 to {_MOST_CONTAINERS} containers; '{name}' has {len(containers)}.")
    if str(properties.get("osType")) != "Linux":
        raise AzureError("NotImplemented", "The local Azure has Linux containers alone.", 501, target="osType")
    if (properties.get("restartPolicy") or "Always") != "Always":
        raise AzureError("NotImplemented", "The local Azure has restartPolicy Always alone.", 501, target="restartPolicy")
    if any(properties.get(each) for each in ("volumes", "initContainers")):
        raise AzureError("NotImplemented", "The local Azure has neither volumes nor init containers.", 501)
    _refuse_resources(name, containers)
    _refuse_address(name, properties, labels)


def refuse_update(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Return if a group may be changed so in place.

    Raises:
        AzureError: it has to be deleted first.
    """
    if _fixed(before) != _fixed(after):
        message = (
            f"The updates on container group '{name}' are invalid. If you are going to update the os type, restart policy, network profile, CPU, "
            "memory or GPU resources for a container group, you must delete it first and then create a new one."
        )
        raise AzureError("InvalidContainerGroupUpdate", message)


def _fixed(properties: Mapping[str, Any]) -> tuple[Any, ...]:
    subnets = [str(each.get("id")).lower() for each in properties.get("subnetIds") or ()]
    address = properties.get("ipAddress") or {}
    ports = sorted(int(each["port"]) for each in address.get("ports") or ())
    requests = sorted((each["name"], *_requested(each)) for each in properties["containers"])
    return (properties.get("osType"), properties.get("restartPolicy") or "Always", subnets, address.get("type"), ports, requests)


def _requested(container: Mapping[str, Any]) -> tuple[float, float]:
    requests = ((container.get("properties") or {}).get("resources") or {}).get("requests") or {}
    try:
        return float(requests["cpu"]), float(requests["memoryInGB"])
    except (KeyError, TypeError, ValueError):
        raise AzureError("InvalidRequestContent", f"Container '{container.get('name')}' needs resources.requests.cpu and memoryInGB.") from None


def _refuse_resources(name: str, containers: list[Mapping[str, Any]]) -> None:
    for each in containers:
        properties = each.get("properties") or {}
        if not each.get("name") or not properties.get("image"):
            raise AzureError("InvalidRequestContent", f"Each container of '{name}' needs a name and an image.")
        for part in ("requests", "limits"):
            if ((properties.get("resources") or {}).get(part) or {}).get("gpu"):
                raise AzureError("GpuNotSupported", "GPU resources were retired on 14 July 2025.", target="resources.requests.gpu")
        for variable in properties.get("environmentVariables") or ():
            if (variable.get("value") is None) == (variable.get("secureValue") is None):
                message = f"Environment variable '{variable.get('name')}' of container '{each['name']}' has either a value or a secureValue."
                raise AzureError("InvalidEnvironmentVariable", message)
    cpu, memory = (sum(values) for values in zip(*map(_requested, containers), strict=True))
    if cpu > MOST_CPU or memory > MOST_MEMORY or cpu <= 0 or memory <= 0:
        message = (
            f"The requested resource is not available in the location 'eastus' at this moment: CPU {cpu:g} of {MOST_CPU:g}, memory {memory:g} of "
            f"{MOST_MEMORY:g} GB in container group '{name}'."
        )
        raise AzureError("ServiceUnavailable" if cpu > 0 and memory > 0 else "InvalidResourceRequest", message, 400)


def _refuse_address(name: str, properties: Mapping[str, Any], labels: Collection[str]) -> None:
    address, subnets = properties.get("ipAddress") or {}, properties.get("subnetIds") or []
    if not address:
        return
    private = str(address.get("type")) == "Private"
    if private != bool(subnets):
        raise AzureError(
            "InvalidIpAddress", f"IP address type of '{name}': Private in a subnet, and only there; Public elsewhere.", target="ipAddress"
        )
    label = str(address.get("dnsNameLabel") or "")
    if label and subnets:
        message = f"The DNS name label in container group '{name}' can't be set in a virtual network."
        raise AzureError("DnsNameLabelNotSupportedInVnet", message, target="dnsNameLabel")
    if label and not _LABEL.fullmatch(label):
        message = (
            f"The DNS name label '{label}' in container group '{name}' is invalid. It can contain only lowercase letters, numbers and hyphens. The "
            "first character must be a letter. The last character must be a letter or number. The value must be between 5 and 63 characters long."
        )
        raise AzureError("InvalidDnsNameLabel", message, target="dnsNameLabel")
    if label in labels:
        message = f"The DNS name label '{label}' in container group '{name}' not available. Try using a different label."
        raise AzureError("DnsNameLabelNotAvailable", message, 409, target="dnsNameLabel")
    ports = [int(each.get("port") or 0) for each in address.get("ports") or ()]
    if not 1 <= len(ports) <= _MOST_PORTS:
        raise AzureError("InvalidPorts", f"An IP address has 1 to {_MOST_PORTS} ports; '{name}' has {len(ports)}.", target="ipAddress.ports")
    if missing := sorted(set(ports) - set(_ports(properties))):
        raise AzureError("InvalidPorts", f"No container of '{name}' has port {missing[0]}, which its IP address exposes.", target="ipAddress.ports")


def _ports(properties: Mapping[str, Any]) -> Iterator[int]:
    for each in properties["containers"]:
        yield from (int(port["port"]) for port in each["properties"].get("ports") or ())
