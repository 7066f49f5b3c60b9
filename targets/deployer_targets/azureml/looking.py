"""What a name is: an online endpoint, or a container group. The endpoint is looked at first; where there is none, and a record says so, the group."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deployer.core.state import DeploymentName, Observed, Record
from deployer.errors import PermissionDenied
from deployer_targets.azureml import sight
from deployer_targets.azureml.aci import groups
from deployer_targets.azureml.aci import observe as aci
from deployer_targets.azureml.aci.groups import ContainerGroup
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.ledger import BlobLedger
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
    if not _may_be_group(found.records.values() if found else (), cloud):
        return found
    return aci.observe(name, group_of(name, cloud), cloud)


def settle(name: DeploymentName, cloud: AzureMlCloud, seconds: float) -> None:
    """Return once Azure is done with what a name is.

    Raises:
        TimedOut: it isn't yet.
    """
    found = sight.settled(name, cloud, seconds)
    if found.listed is not None and _may_be_group(BlobLedger(cloud, name).among(found.listed).values(), cloud):
        groups.settle(name, cloud, seconds)


def _may_be_group(records: Iterable[Record], cloud: AzureMlCloud) -> bool:
    """Whether a name without an endpoint is to be looked for among container groups: a record comes before its group, and goes after it."""
    return cloud.config.compute == "aci" or any(record.options.get("compute") == "aci" for record in records)


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
