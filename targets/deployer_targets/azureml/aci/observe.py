"""What Azure says of one name that is a container group, in the words that all targets share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.core.state import DeploymentName, Observed, Share, Status
from deployer.errors import NotOurs
from deployer_targets.azureml import blobs, names
from deployer_targets.azureml.aci.groups import ContainerGroup
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.ledger import BlobLedger

Seen = Observed[ContainerGroup]


def observe(name: DeploymentName, group: ContainerGroup | None, cloud: AzureMlCloud) -> Seen | None:
    """All of ours under this name; None where nothing is.

    Raises:
        NotOurs: a group of that name is somebody else's.
    """
    if group is not None and group.tags.get(names.TAG_DEPLOYMENT) != name and name not in cloud.adopts:
        raise NotOurs(f"a container group {name} is there, made by somebody else", advice="choose another name, or take it over: --adopt")
    shelf = cloud.shelf(name)
    there = blobs.names(cloud, shelf.prefix)
    if group is None and not there:
        return None
    status, reason = status_of(group)
    serving, runs = (group.serving, group.runs) if group else (None, None)
    return Observed(
        name=name,
        status=status,
        traffic=(Share(serving),) if serving else (),
        incoming=runs if runs != serving else None,
        records=BlobLedger(cloud, name).among(there),
        resources=frozenset({shelf.resource_of(blob) for blob in there} | ({names.group(name)} if group else set())),
        reason=reason,
        url=group.url if group else "",
        view=group,
        detail=_public(group) if group else {},
    )


def status_of(group: ContainerGroup | None) -> tuple[Status, str]:
    """How a group is, and why where that isn't well."""
    if group is None:
        return Status.FAILED, "there is no container group: what an interrupted run left"
    if group.under_way:
        return Status.PROGRESSING, ""
    if group.serving is None:
        return Status.FAILED, group.crash or "nothing is known to serve"
    failed = "the container group is Failed" if group.state == "Failed" else group.crash
    reason = failed or (f"{group.runs} runs, and isn't known to serve" if group.runs != group.serving else "")
    return (Status.DEGRADED, reason) if reason else (Status.READY, "")


def _public(group: ContainerGroup) -> Mapping[str, Any]:
    """Azure's own description: it has no secure value, and no password."""
    return {"container_group": dict(group.document)}
