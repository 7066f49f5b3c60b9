"""The simulated cloud's words into ours."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer import generations
from deployer.errors import NotOurs
from deployer.state import DeploymentName, Observed, Record, Resource, Share, Status
from tests.simulation.client import BUCKET, Client, claim_key
from tests.simulation.cloud import data_of, model_of
from tests.simulation.service import Answer

TAG = "deployer:name"


@dataclass(frozen=True, slots=True)
class Shelf:
    """What lies under a deployment's prefix in the store."""

    records: Mapping[str, Record] = field(default_factory=dict)
    resources: frozenset[Resource] = frozenset()


@dataclass(frozen=True, slots=True)
class View:
    """The config that serves and its instances, as the planner must know them."""

    config: str | None = None
    count: int | None = None


def observe(name: DeploymentName, cloud: Client) -> Observed | None:
    """All of ours under this name; None where there is nothing."""
    endpoint = cloud.find("describe_endpoint", EndpointName=name)
    marks = tags(cloud, endpoint["EndpointArn"]) if endpoint else None
    if marks is None:
        endpoint = None
    elif endpoint and not (dict(marks).get(TAG) == name or name in cloud.adopts or is_recorded(endpoint["EndpointConfigName"], name, cloud)):
        raise NotOurs(f"an endpoint {name} is there, made by somebody else", advice="--adopt takes it over")
    shelf = read_shelf(name, cloud)
    resources = shelf.resources | standing(shelf, cloud) | strays(name, shelf, cloud)
    if endpoint is None and not resources:
        return None
    status, config, incoming = state_of(endpoint)
    return Observed(
        name=name,
        status=status,
        traffic=(Share(generation_of(config, shelf.records)),) if config else (),
        incoming=generation_of(incoming, shelf.records) if incoming else None,
        records=shelf.records,
        resources=resources | ({Resource("endpoint", name)} if endpoint else set()),
        view=View(config, endpoint["ProductionVariants"][0]["DesiredInstanceCount"]) if endpoint else View(),
    )


def is_recorded(config: str, name: DeploymentName, cloud: Client) -> bool:
    """Whether one of our records names the config: an endpoint that was taken over lacks our tag."""
    return generation_of(config, read_shelf(name, cloud).records) != config


def state_of(endpoint: Answer | None) -> tuple[Status, str | None, str | None]:
    """Status, the config that serves, the config that is being rolled to."""
    if endpoint is None or endpoint["EndpointStatus"] == "Failed":
        return Status.FAILED, None, None
    config = endpoint["EndpointConfigName"]
    if endpoint["EndpointStatus"] == "Creating":
        return Status.PROGRESSING, None, config
    incoming = endpoint.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
    return (Status.READY if endpoint["EndpointStatus"] == "InService" else Status.PROGRESSING), config, incoming


def read_shelf(name: DeploymentName, cloud: Client) -> Shelf:
    """Records, data, the claim and unfinished uploads."""
    prefix = f"deployer/{name}/"
    records, resources = {}, set()
    for each in cloud.ask("list_objects_v2", Bucket=BUCKET, Prefix=prefix)["Contents"]:
        key = each["Key"]
        if key.startswith(f"{prefix}records/"):
            found = cloud.find("get_object", Bucket=BUCKET, Key=key)
            if found is not None:
                record = parsed(found["Body"])
                records[record.generation] = record
                resources.add(generations.record_resource(record.generation))
        else:
            resources.add(Resource("claim" if key == claim_key(name) else "object", key))
    for each in cloud.ask("list_multipart_uploads", Bucket=BUCKET, Prefix=prefix)["Uploads"]:
        resources.add(Resource("upload", f"{each['Key']}#{each['UploadId']}"))
    return Shelf(records, frozenset(resources))


@functools.lru_cache(maxsize=1000)
def parsed(body: bytes) -> Record:
    """A record read from its bytes; the same bytes come by many times."""
    return Record.from_json(body)


def standing(shelf: Shelf, cloud: Client) -> frozenset[Resource]:
    """Models and configs that a record names and that are there."""
    named = {resource for record in shelf.records.values() for resource in record.resources}
    return frozenset(resource for resource in named if resource.kind in ("model", "endpoint-config") and exists(resource, cloud))


def exists(resource: Resource, cloud: Client) -> bool:
    if resource.kind == "model":
        return cloud.find("describe_model", ModelName=resource.name) is not None
    return cloud.find("describe_endpoint_config", EndpointConfigName=resource.name) is not None


def strays(name: DeploymentName, shelf: Shelf, cloud: Client) -> frozenset[Resource]:
    """Models and configs with our tag that no record names."""
    named = {resource for record in shelf.records.values() for resource in record.resources}
    listed = [
        *((Resource("model", each["ModelName"]), each["ModelArn"]) for each in cloud.ask("list_models", NameContains=name)["Models"]),
        *(
            (Resource("endpoint-config", each["EndpointConfigName"]), each["EndpointConfigArn"])
            for each in cloud.ask("list_endpoint_configs", NameContains=name)["EndpointConfigs"]
        ),
    ]
    return frozenset(resource for resource, address in listed if resource not in named and dict(tags(cloud, address) or ()).get(TAG) == name)


def tags(cloud: Client, address: str) -> tuple[tuple[str, str], ...] | None:
    """None where it is gone meanwhile."""
    found = cloud.find("list_tags", ResourceArn=address)
    return tuple((tag["Key"], tag["Value"]) for tag in found["Tags"]) if found else None


def generation_of(config: str, records: Mapping[str, Record]) -> str:
    """The generation whose record names this config; the config itself where none does."""
    return next((each for each, record in records.items() if Resource("endpoint-config", config) in record.resources), config)


def in_use(name: DeploymentName, cloud: Client, doomed: frozenset[Resource]) -> frozenset[Resource]:
    """What the endpoint (current or incoming) or a record outside the doomed set leads to."""
    shelf = read_shelf(name, cloud)
    configs = configs_of(cloud.find("describe_endpoint", EndpointName=name))
    used = {Resource("endpoint-config", config) for config in configs}
    used |= generations.in_use(shelf.records, [generation_of(config, shelf.records) for config in configs], doomed)
    for config in configs:
        used |= behind(config, cloud)
    return frozenset(used)


def behind(config: str, cloud: Client) -> frozenset[Resource]:
    """The model and the data that a config leads to."""
    found = cloud.find("describe_endpoint_config", EndpointConfigName=config)
    model = cloud.find("describe_model", ModelName=model_of(found)) if found else None
    if found is None or model is None:
        return frozenset()
    return frozenset({Resource("model", model_of(found)), Resource("object", data_of(model))})


def configs_of(endpoint: Answer | None) -> tuple[str, ...]:
    """The configs that an endpoint runs on or is being rolled to; none of one that failed."""
    _, config, incoming = state_of(endpoint)
    return tuple(each for each in (config, incoming) if each)


def record_key(name: str, generation: str) -> str:
    return f"deployer/{name}/records/{generation}.json"
