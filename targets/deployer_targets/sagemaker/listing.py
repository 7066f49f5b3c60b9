"""All deployments of ours in a region, in few calls: endpoints by the hundred, the keys of records by the thousand, records several at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from deployer.core.ledger import ROOT
from deployer.core.selectors import tags_of
from deployer.core.state import DeploymentName, Record, Status
from deployer.core.target import Summary
from deployer.errors import MachineFault
from deployer_targets.sagemaker import names, store
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.names import Home
from deployer_targets.sagemaker.observe import Endpoint, counts_of, describe, status_of

BATCH = 200


@dataclass(frozen=True, slots=True)
class ListedName:
    """What the two listings say of one name."""

    home: Home
    generations: tuple[str, ...]
    endpoint: Mapping[str, Any] | None


def summaries(cloud: Aws) -> Iterator[Summary]:
    """By name. An endpoint is described by a call of its own only where the listings leave open which generation serves, or why it failed."""
    generations = _generations(cloud)
    if not generations:
        return
    listed = cloud.pages("sagemaker", "list_endpoints", "Endpoints", MaxResults=100, SortBy="Name", SortOrder="Ascending")
    endpoints = {each["EndpointName"]: each for each in listed if each["EndpointName"] in generations}
    entries = [ListedName(Home(cloud.default_bucket, name), tuple(found), endpoints.get(name)) for name, found in sorted(generations.items())]
    with ThreadPoolExecutor(8, thread_name_prefix="list") as pool:
        for start in range(0, len(entries), BATCH):
            yield from pool.map(lambda entry: _summary(entry, cloud), entries[start : start + BATCH])


def image_uses(cloud: Aws) -> Iterator[tuple[str, str]]:
    """The images of all models in the region, and which model has each."""
    listed = [each["ModelName"] for each in cloud.pages("sagemaker", "list_models", "Models", MaxResults=100)]
    with ThreadPoolExecutor(8, thread_name_prefix="models") as pool:
        for name, found in zip(listed, pool.map(lambda each: cloud.find("sagemaker", "describe_model", ModelName=each), listed), strict=True):
            containers = [(found or {}).get("PrimaryContainer"), *((found or {}).get("Containers") or ())]
            yield from ((each["Image"], f"model {name}") for each in containers if each and "Image" in each)


def _generations(cloud: Aws) -> dict[str, list[str]]:
    """The generations of each name that has a record."""
    found: dict[str, list[str]] = {}
    try:
        for page in cloud.pages("s3", "list_objects_v2", "Contents", Bucket=cloud.default_bucket, Prefix=ROOT):
            name, _, rest = page["Key"].removeprefix(ROOT).partition("/")
            resource = Home(cloud.default_bucket, name).resource_of(page["Key"])
            if rest and resource.kind == names.RECORD:
                found.setdefault(name, []).append(resource.name)
    except Absent:
        return {}
    return found


def _summary(entry: ListedName, cloud: Aws) -> Summary:
    name = DeploymentName(entry.home.deployment)
    try:
        records = {each: record for each in entry.generations if (record := store.read_record(cloud, entry.home, each))}
    except MachineFault as newer:  # one that this version can't read hides no other
        return Summary(name, status_of(entry.endpoint["EndpointStatus"]) if entry.endpoint else Status.PAUSED, reason=newer.message)
    if entry.endpoint is None:
        record = next(iter(records.values()), None)
        model, tags = record.model.uri if record else "", tags_of(record)
        return Summary(name, Status.PAUSED, model=model, columns=_columns(record, 0), reason="no endpoint", tags=tags)
    quiet = entry.endpoint["EndpointStatus"] == "InService" and len(entry.generations) == 1
    full = None if quiet else describe(name, cloud)
    record = _serving(records, full)
    status = status_of(entry.endpoint["EndpointStatus"])
    if full and status is Status.READY and len(full.shares(records)) > 1:
        status = Status.PAUSED
    return Summary(
        name,
        status,
        model=record.model.uri if record else "",
        generation=record.generation if record else "",
        created=entry.endpoint["CreationTime"],
        columns=_columns(record, counts_of(full.description) if full else None),
        reason=full.reason if full and status not in (Status.READY, Status.PAUSED) else "",
        tags=tags_of(record),
    )


def _serving(records: Mapping[str, Record], endpoint: Endpoint | None) -> Record | None:
    """The record of what serves, or is being made; of two, that of the one which was there first."""
    if endpoint is None:
        return next(iter(records.values()), None)
    if len(shares := endpoint.shares(records)) > 1:
        return records.get(shares[0].generation)
    return next(
        (record for record in records.values() if any(each.name == endpoint.carried for each in record.resources if each.kind == names.CONFIG)), None
    )


def _columns(record: Record | None, count: int | None) -> Mapping[str, str]:
    options = record.options if record else {}
    if options.get("serverless_config"):
        return {"INSTANCES": "serverless"}
    number = options.get("instance_count", "") if count is None else count
    return {"INSTANCES": f"{number} {options.get('instance_type', '')}".strip()}
