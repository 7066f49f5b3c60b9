"""All deployments of ours in a workspace, in few calls: endpoints by the page, the names of records by the thousand, one record each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deployer.core.ledger import ROOT
from deployer.core.selectors import tags_of
from deployer.core.state import DeploymentName, Record, Status
from deployer.core.target import Summary
from deployer.errors import MachineFault, PermissionDenied
from deployer_targets.azureml import behind, blobs, names, online
from deployer_targets.azureml.aci import groups
from deployer_targets.azureml.aci.groups import ContainerGroup
from deployer_targets.azureml.aci.observe import status_of as group_status
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import DEFAULT_INSTANCE_TYPE
from deployer_targets.azureml.ledger import BlobLedger
from deployer_targets.azureml.names import Shelf
from deployer_targets.azureml.observe import status_of
from deployer_targets.azureml.online import AzureEndpoint


def summaries(cloud: AzureMlCloud) -> Iterator[Summary]:
    """By name; of an endpoint that several share, those behind it."""
    if cloud.endpoint:
        yield from behind.summaries(cloud)
        return
    found = (AzureEndpoint(each) for each in cloud.pages("onlineEndpoints"))
    endpoints = {str(each.document["name"]): each for each in found if each.tags.get(names.TAG_DEPLOYMENT) == str(each.document["name"]).lower()}
    listed = _by_deployment(blobs.names(cloud, ROOT))
    grouped = _groups(cloud) if listed.keys() - endpoints.keys() else {}

    def told(name: str) -> Summary:
        if name in grouped and name not in endpoints:
            return _of_group(grouped[name], listed.get(name, {}), cloud)
        return _summary(DeploymentName(name), endpoints.get(name), listed.get(name, {}), cloud)

    with ThreadPoolExecutor(8, thread_name_prefix="list") as pool:
        yield from pool.map(told, sorted({*endpoints, *listed, *grouped}))


def image_uses(cloud: AzureMlCloud) -> Iterator[tuple[str, str]]:
    """The images of all environments in the workspace, archived ones too: a deployment may stand on one, and its nodes pull again."""
    for container in cloud.pages("environments", listViewType="All"):
        if str(container["name"]).startswith("AzureML-"):  # Microsoft's own
            continue
        for version in cloud.pages(f"environments/{container['name']}/versions", listViewType="All"):
            if image := (version.get("properties") or {}).get("image"):
                yield str(image), f"environment {container['name']}:{version['name']}"
    for group in _groups(cloud).values():
        yield group.image, f"container group {group.name}"
        for record in BlobLedger(cloud, DeploymentName(group.name)).read().values():
            yield record.image, f"container group {group.name}, {record.generation}"


def _groups(cloud: AzureMlCloud) -> dict[str, ContainerGroup]:
    """Container groups of ours. Who may not look has none."""
    try:
        return {each.name: each for each in groups.listed(cloud)}
    except PermissionDenied:
        return {}


def _of_group(group: ContainerGroup, listed: Mapping[str, str], cloud: AzureMlCloud) -> Summary:
    name = DeploymentName(group.name)
    status, reason = group_status(group)
    blob = Shelf(name).record(group.serving or "")
    record = BlobLedger(cloud, name).record(group.serving or "", listed[blob]) if blob in listed else None
    return Summary(
        name,
        status,
        model=record.model.uri if record else "",
        generation=record.generation if record else "",
        created=record.provenance.made if record else None,
        columns={"INSTANCES": "container group"},
        reason=reason,
        tags=tags_of(record),
    )


def _by_deployment(listed: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for blob, version in listed.items():
        name, _, rest = blob.removeprefix(ROOT).partition("/")
        if rest:
            found.setdefault(name, {})[blob] = version
    return found


def _summary(name: DeploymentName, endpoint: AzureEndpoint | None, listed: Mapping[str, str], cloud: AzureMlCloud) -> Summary:
    status, reason = status_of(endpoint, None)
    try:
        record = _record(name, endpoint, listed, cloud)
    except MachineFault as newer:  # one that this version can't read hides no other
        return Summary(name, status, reason=newer.message)
    options = record.options if record else {}
    return Summary(
        name,
        status,
        model=record.model.uri if record else "",
        generation=record.generation if record and endpoint else "",
        created=record.provenance.made if record else None,
        columns={"INSTANCES": _instances(options)},
        reason=reason if status is not Status.READY else "",
        tags=tags_of(record),
    )


def _instances(options: Mapping[str, Any]) -> str:
    """How many and how large, in few words."""
    cluster, scaling = options.get("compute_target"), options.get("scale_settings") or {}
    count = options.get("instance_count", "")
    if scaling.get("type") == "target_utilization":
        count = f"{scaling['min_instances']}-{scaling['max_instances']}"
    usual = DEFAULT_INSTANCE_TYPE if count and not cluster else ""
    return " ".join(filter(None, (str(count), options.get("instance_type") or usual, f"on {cluster}" if cluster else "")))


def _record(name: DeploymentName, endpoint: AzureEndpoint | None, listed: Mapping[str, str], cloud: AzureMlCloud) -> Record | None:
    """Of what serves; where nothing does, any."""
    shelf, ledger = Shelf(name), BlobLedger(cloud, name)
    if endpoint is not None and endpoint.traffic:
        serving = (endpoint.holding(online.deployments(name, cloud)) if endpoint.in_place else endpoint).traffic[0].generation
        return ledger.record(serving, listed.get(shelf.record(serving), "")) if shelf.record(serving) in listed else None
    return next(iter(ledger.among(listed).values()), None)
