"""What a name is: an online endpoint, or a container group. The endpoint is looked at first; where there is none, whether there is a group."""

from __future__ import annotations

from typing import Any

from deployer.core.state import DeploymentName, Observed
from deployer.errors import PermissionDenied
from deployer_targets.azureml.aci import groups
from deployer_targets.azureml.aci import observe as aci
from deployer_targets.azureml.aci.groups import ContainerGroup
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.observe import observe

Seen = Observed[Any]


def seen(name: DeploymentName, cloud: AzureMlCloud) -> Seen | None:
    """All of ours under this name; None where nothing is.

    Raises:
        NotOurs: what is there is somebody else's.
    """
    found = observe(name, cloud)
    if cloud.endpoint or (found is not None and found.view is not None and found.view.endpoint is not None):
        return found
    group = group_of(name, cloud)
    left = found is not None and any(record.options.get("compute") == "aci" for record in found.records.values())
    return aci.observe(name, group, cloud) if group is not None or left or cloud.config.compute == "aci" else found


def group_of(name: DeploymentName, cloud: AzureMlCloud) -> ContainerGroup | None:
    """The container group of a name, if there is one. Behind an endpoint there is none, nor for who deploys to endpoints and may not look."""
    if cloud.endpoint:
        return None
    try:
        return groups.find(name, cloud)
    except PermissionDenied:
        if cloud.config.compute == "aci":
            raise
        return None


def is_group(observed: Seen | None) -> bool:
    """Whether what was observed is a container group, or what is left of one."""
    return observed is not None and (isinstance(observed.view, ContainerGroup) or observed.view is None)
