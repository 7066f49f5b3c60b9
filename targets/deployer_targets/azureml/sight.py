"""What there is of one name in a workspace; once Azure is done with it, what a run plans by a moment later, and isn't read twice."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from deployer.core.state import DeploymentName
from deployer_targets.azureml import blobs, online
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.ledger import BlobLedger
from deployer_targets.azureml.online import AzureEndpoint

_MOMENT = 1.0
"""Seconds for which what was seen last is what is there."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a name.

    Attributes:
        endpoint: with its deployments; None where there is none.
        listed: the blobs of the deployment, with their versions; None where they weren't listed.
        when: by the monotonic clock.
    """

    endpoint: AzureEndpoint | None
    listed: Mapping[str, str] | None
    when: float


def settled(name: DeploymentName, cloud: AzureMlCloud, seconds: float) -> Sight:
    """What there is once Azure is done with the endpoint and with all deployments in it; without an endpoint, what is left of a deployment.

    Raises:
        TimedOut: it isn't done yet.
    """
    endpoint = online.settle(name, cloud, seconds)
    found = Sight(endpoint, None if endpoint or cloud.endpoint else listed(name, cloud), time.monotonic())
    keep(name, cloud, found)
    return found


def keep(name: DeploymentName, cloud: AzureMlCloud, found: Sight) -> None:
    """What was seen is what `look` tells next, for who has changed nothing since."""
    cloud.learnt[_seen(name, cloud)] = found


def look(name: DeploymentName, cloud: AzureMlCloud) -> Sight:
    """What there is; as it was kept, where that was a moment ago and nobody has asked since."""
    found, now = cloud.learnt.pop(_seen(name, cloud), None), time.monotonic()
    if isinstance(found, Sight) and now - found.when < _MOMENT:
        return found
    at = cloud.endpoint_of(name)
    endpoint = online.endpoint(at, cloud)
    return Sight(endpoint.holding(online.deployments(at, cloud)) if endpoint else None, None, now)


def listed(name: DeploymentName, cloud: AzureMlCloud) -> Mapping[str, str]:
    """The blobs of a deployment, and the version of each. That of the claim is what a run compares with that claims the name next."""
    shelf = cloud.shelf(name)
    found = blobs.names(cloud, shelf.prefix)
    if not cloud.endpoint:
        BlobLedger(cloud, name).claim_listed(found.get(shelf.claim, ""))
    return found


def _seen(name: DeploymentName, cloud: AzureMlCloud) -> tuple[str, str]:
    return "seen", cloud.endpoint_of(name)
