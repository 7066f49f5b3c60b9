"""What a workspace says of one name, in the words that all targets share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.core.generations import own
from deployer.core.state import DeploymentName, Observed, Resource, Status
from deployer.errors import NotOurs
from deployer_targets.azureml import behind, names, sight
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.ledger import BlobLedger
from deployer_targets.azureml.names import Shelf
from deployer_targets.azureml.online import AzureDeployment, AzureEndpoint
from deployer_targets.azureml.view import Seen, View, described


def observe(name: DeploymentName, cloud: AzureMlCloud) -> Seen | None:
    """All of ours under this name; None where nothing is.

    Raises:
        NotOurs: an endpoint of that name is somebody else's.
    """
    if cloud.endpoint:
        return behind.observe(name, cloud)
    seen = sight.look(name, cloud)
    endpoint = seen.endpoint
    if endpoint is not None and endpoint.tags.get(names.TAG_DEPLOYMENT) != name and name not in cloud.adopts:
        raise NotOurs(f"an endpoint {name} is there, made by somebody else", advice="choose another name, or take it over: --adopt")
    listed = sight.listed(name, cloud) if seen.listed is None else seen.listed
    if endpoint is None and not listed:
        return None
    records = BlobLedger(cloud, name).among(listed)
    inside = {each.generation: each for each in endpoint.inside} if endpoint else {}
    status, reason = status_of(endpoint, inside)
    return Observed(
        name=name,
        status=status,
        traffic=endpoint.traffic if endpoint else (),
        records=records,
        resources=_resources(name, listed, inside, records, there=endpoint is not None),
        reason=reason,
        url=endpoint.scoring_uri if endpoint else "",
        view=View(endpoint, inside),
        detail=described(endpoint, inside),
    )


def status_of(endpoint: AzureEndpoint | None, inside: Mapping[str, AzureDeployment] | None) -> tuple[Status, str]:
    """How an endpoint is, and why where that isn't well. `inside`: its deployments by generation; None where they weren't looked at."""
    if endpoint is None:
        return Status.FAILED, "there is no endpoint: what an interrupted run left"
    if endpoint.busy:
        return Status.PROGRESSING, ""
    traffic = endpoint.traffic
    if not traffic:
        return Status.FAILED, "no deployment has traffic" if endpoint.state != "Failed" else "the endpoint is Failed"
    for share in traffic if inside is not None else ():
        found = (inside or {}).get(share.generation)
        if found is None or found.state not in ("Succeeded", "Updating", "Scaling"):
            return Status.DEGRADED, f"deployment {names.deployment_of(share.generation)} is {found.state if found else 'gone'}"
    return (Status.PAUSED if len(traffic) > 1 else Status.READY), ""


def _resources(
    name: DeploymentName, listed: Mapping[str, str], inside: Mapping[str, AzureDeployment], records: Mapping[str, Any], *, there: bool
) -> frozenset[Resource]:
    """What is there. A record's model and environment count as there as long as it is: it goes after them, and steps look for themselves."""
    shelf = Shelf(name)
    found = {shelf.resource_of(blob) for blob in listed}
    found |= {Resource(names.DEPLOYMENT, each.name) for each in inside.values() if names.is_ours(each.name) and not each.half_updated}
    assets = {resource for record in records.values() for resource in own(record) if resource.kind in names.ASSETS}
    return frozenset(found | assets | ({names.endpoint(name)} if there else set()))
