"""Deployments behind an endpoint that several share: what is there under one name, and all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from deployer.core.generations import own
from deployer.core.selectors import tags_of
from deployer.core.state import DeploymentName, Observed, Record, Resource, Share, Status
from deployer.core.target import Summary
from deployer.errors import ConfigInvalid, DeploymentNotFound, MachineFault, NotOurs
from deployer_targets.azureml import names, online, sight
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.ledger import BlobLedger
from deployer_targets.azureml.names import Shelf
from deployer_targets.azureml.online import AzureDeployment, AzureEndpoint
from deployer_targets.azureml.view import Seen, View, described


def behind(endpoint: str, cloud: AzureMlCloud) -> AzureMlCloud:
    """The workspace seen through an endpoint; asks nothing."""
    return replace(cloud, endpoint=names.check_name(endpoint))


def observe(name: DeploymentName, cloud: AzureMlCloud) -> Seen | None:
    """All of ours under this name behind the endpoint; None where nothing is. It serves whether or not the endpoint gives it traffic.

    Raises:
        NotOurs: a deployment of that name is somebody else's.
        ConfigInvalid: the endpoint is a deployment of its own.
    """
    at = cloud.endpoint_of(name)
    endpoint = sight.look(name, cloud).endpoint
    refuse_single(at, endpoint)
    found = next((each for each in endpoint.inside if each.name.lower() == name), None) if endpoint else None
    if found is not None and not _is_ours(found) and name not in cloud.adopts:
        raise NotOurs(
            f"a deployment {name} behind endpoint {at} is there, made by somebody else", advice="choose another name, or take it over: --adopt"
        )
    shelf = cloud.shelf(name)
    listed = sight.listed(name, cloud)
    if found is None and not listed:
        return None
    records = BlobLedger(cloud, name).among(listed)
    inside = {found.generation: found} if found else {}
    status, reason = status_of(found, records)
    serves = found is not None and status in (Status.READY, Status.PROGRESSING, Status.DEGRADED) and found.state != "Creating"
    return Observed(
        name=name,
        status=status,
        traffic=(Share(found.generation),) if found and serves else (),
        records=records,
        resources=_resources(shelf, listed, found, records),
        reason=reason,
        url=endpoint.scoring_uri if endpoint else "",
        view=View(endpoint.holding(inside.values()) if endpoint else None, inside),
        detail=described(endpoint, inside),
        endpoint=at,
    )


def refuse_single(name: str, endpoint: AzureEndpoint | None) -> None:
    """Return if an endpoint may have several named deployments.

    Raises:
        ConfigInvalid: it is a deployment of its own, whose generations have its traffic.
    """
    if endpoint is not None and names.TAG_DEPLOYMENT in endpoint.tags:
        raise ConfigInvalid(
            f"endpoint {name} is the deployment {name} itself, and its traffic goes to the generations of that",
            advice=f"leave --endpoint out: -n {name}; or make another one: deploy create-endpoint",
        )


def status_of(found: AzureDeployment | None, records: Mapping[str, Record]) -> tuple[Status, str]:
    """How a deployment is, and why where that isn't well."""
    if found is None:
        return Status.FAILED, "there is no deployment: what an interrupted run left"
    if found.busy:
        return Status.PROGRESSING, ""
    if found.state == "Succeeded":
        return Status.READY, ""
    record = records.get(found.generation)
    # Azure leaves the containers that an update was to replace.
    updated = record is not None and record.replaces is not None
    return (Status.DEGRADED, f"its update is {found.state}") if updated else (Status.FAILED, f"the deployment is {found.state}")


def summaries(cloud: AzureMlCloud) -> Iterator[Summary]:
    """By name, with the share of the endpoint's traffic that each has.

    Raises:
        DeploymentNotFound: there is no such endpoint.
    """
    at = str(cloud.endpoint)
    endpoint = online.endpoint(at, cloud)
    if endpoint is None:
        raise no_endpoint(at)
    refuse_single(at, endpoint)
    inside = sorted((each for each in online.deployments(at, cloud) if _is_ours(each)), key=lambda each: each.name)
    with ThreadPoolExecutor(8, thread_name_prefix="list") as pool:
        yield from pool.map(lambda each: _summary(each, endpoint, cloud), inside)


def no_endpoint(name: str) -> DeploymentNotFound:
    return DeploymentNotFound(f"there is no endpoint {name} on this target", advice=f"deploy create-endpoint --endpoint {name} makes it")


def _summary(found: AzureDeployment, endpoint: AzureEndpoint, cloud: AzureMlCloud) -> Summary:
    name = DeploymentName(found.name)
    columns = {
        "INSTANCES": f"{found.count} {found.properties.get('instanceType') or ''}".strip(),
        "TRAFFIC": f"{endpoint.percent_of(found.name)} %",
    }
    try:
        record = BlobLedger(cloud, name).record(found.generation)
    except MachineFault as newer:  # one that this version can't read hides no other
        return Summary(name, Status.FAILED, reason=newer.message, endpoint=cloud.endpoint)
    status, reason = status_of(found, {record.generation: record} if record else {})
    model, created = (record.model.uri, record.provenance.made) if record else ("", None)
    return Summary(name, status, model, found.generation, created, columns, reason, cloud.endpoint, tags_of(record))


def _is_ours(found: AzureDeployment) -> bool:
    return names.TAG_GENERATION in found.tags


def _resources(shelf: Shelf, listed: Mapping[str, str], found: AzureDeployment | None, records: Mapping[str, Record]) -> frozenset[Resource]:
    there = {shelf.resource_of(blob) for blob in listed}
    assets = {resource for record in records.values() for resource in own(record) if resource.kind in names.ASSETS}
    whole = {Resource(names.DEPLOYMENT, found.name)} if found and _is_ours(found) and not found.half_updated else set()
    return frozenset(there | assets | whole)
