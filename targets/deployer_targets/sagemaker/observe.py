"""AWS's words into ours: what there is of a deployment, and what the endpoint leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from deployer.core import generations
from deployer.core.state import DeploymentName, Observed, Record, Resource, Share, Status
from deployer.core.traffic import Strategy
from deployer.errors import NotOurs
from deployer_targets.sagemaker import autoscaling, names, store
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.ledger import S3Ledger, claim_listed
from deployer_targets.sagemaker.names import Home
from deployer_targets.sagemaker.plain import plain
from deployer_targets.sagemaker.view import Seen, View

BUSY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
"""While one of these lasts, SageMaker takes no change of the endpoint."""

_STATUS = {"InService": Status.READY, "Failed": Status.FAILED, "OutOfService": Status.DEGRADED, "UpdateRollbackFailed": Status.DEGRADED}

Description = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredObjects:
    """What lies under a deployment's prefix: records by generation, and everything there as resources."""

    records: Mapping[str, Record] = field(default_factory=dict)
    resources: frozenset[Resource] = frozenset()

    @property
    def named(self) -> frozenset[Resource]:
        """What the records name, and the configs by which they may share an endpoint with the generation before."""
        return frozenset(resource for record in self.records.values() for resource in (*record.resources, *_split(record)))


@dataclass(frozen=True, slots=True)
class Stock:
    """All that is ours but the endpoint.

    Attributes:
        buckets: those that models and configs without a record are tagged with.
    """

    shelf: StoredObjects
    resources: frozenset[Resource]
    buckets: frozenset[str] = frozenset()

    def without(self, gone: frozenset[Resource]) -> Stock:
        """The same, once these are removed."""
        records = {each: record for each, record in self.shelf.records.items() if generations.record_resource(each) not in gone}
        return Stock(StoredObjects(records, self.shelf.resources - gone), self.resources - gone)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint as DescribeEndpoint tells it.

    Attributes:
        current: the config that serves; None while the first one is being made, and of an endpoint that failed.
        incoming: the config that the cloud is rolling to.
        carried: the config's name whatever the status.
    """

    description: Description
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return str(self.description["EndpointStatus"])

    @property
    def carried(self) -> str:
        return str(self.description["EndpointConfigName"])

    @property
    def current(self) -> str | None:
        return None if self.status in ("Creating", "Failed") else self.carried

    @property
    def incoming(self) -> str | None:
        if self.status == "Creating":
            return self.carried
        pending = self.description.get("PendingDeploymentSummary") or {}
        return pending.get("EndpointConfigName") if pending.get("EndpointConfigName") != self.current else None

    @property
    def configs(self) -> tuple[str, ...]:
        """The configs that it runs on or is being rolled to."""
        return tuple(each for each in (self.current, self.incoming) if each)

    @property
    def variants(self) -> Sequence[Mapping[str, Any]]:
        """The variants that serve."""
        return tuple(self.description.get("ProductionVariants") or ())

    def shares(self, records: Mapping[str, Record]) -> tuple[Share, ...]:
        """What each generation has of the traffic, that which was there first before the other.

        Of two, the candidate's variant is named by its generation, and its record names the one before.
        """
        if self.current is None:
            return ()
        weights = {each["VariantName"]: float(each.get("CurrentWeight", each.get("DesiredWeight", 0))) for each in self.variants}
        candidate = next((each for each in weights if each in records), None)
        before = records[candidate].replaces if candidate else None
        if candidate is None or before is None or len(weights) != 2:
            return (Share(generation_of(self.current, records)),)
        percent = round(100 * weights[candidate] / (sum(weights.values()) or 1))
        return Share(before, 100 - percent), Share(candidate, percent)

    def coming(self, records: Mapping[str, Record]) -> str | None:
        """The generation that the cloud is rolling to."""
        if self.incoming is None:
            return None
        pending = self.description.get("PendingDeploymentSummary") or {}
        named = [each["VariantName"] for each in pending.get("ProductionVariants") or ()]
        return next((each for each in named if each in records), None) or generation_of(self.incoming, records)

    @property
    def reason(self) -> str:
        return str(self.description.get("FailureReason") or "")

    @property
    def busy(self) -> bool:
        return self.status in BUSY


def status_of(word: str) -> Status:
    """SageMaker's EndpointStatus in our words."""
    return Status.PROGRESSING if word in BUSY else _STATUS.get(word, Status.DEGRADED)


def describe(name: str, cloud: Aws) -> Endpoint | None:
    """The endpoint, without its tags."""
    found = cloud.find("sagemaker", "describe_endpoint", EndpointName=name)
    return Endpoint(found) if found else None


def home_of(name: str) -> tuple[str, str]:
    """By what a run remembers where a deployment's objects are, once it has seen some of them there."""
    return ("home", name)


def history_listed(home: Home) -> tuple[str, str, str]:
    """By what a run remembers whether a listing showed the deployment's history."""
    return ("history listed", home.bucket, home.deployment)


def bucket_of(name: str, cloud: Aws, endpoint: Endpoint | None = None) -> str:
    """Where the deployment's objects are: its endpoint says so; without one, where this run would put them."""
    endpoint = endpoint or describe(name, cloud)
    tags = (endpoint.tags or tags_if_there(cloud, endpoint.description["EndpointArn"]) or {}) if endpoint else {}
    return tags.get(names.TAG_BUCKET) or cloud.default_bucket


def observe(name: DeploymentName, cloud: Aws, bucket: str | None = None) -> Seen | None:
    """All of ours under this name; None where there is nothing.

    Args:
        bucket: where its objects are, for who knows; without an endpoint nothing in AWS says it.

    Raises:
        NotOurs: an endpoint of that name has neither our tag nor a config that one of our records names.
    """
    endpoint = describe(name, cloud)
    if endpoint is not None:
        tags = cloud.connection.learnt.pop(made_with(name), None) or tags_if_there(cloud, endpoint.description["EndpointArn"])
        cloud.connection.learnt["account"] = endpoint.description["EndpointArn"].split(":")[4]
        endpoint = None if tags is None else Endpoint(endpoint.description, tags)
    home = Home((endpoint.tags.get(names.TAG_BUCKET) if endpoint else None) or bucket or cloud.default_bucket, name)
    stock = cloud.connection.learnt.pop(swept(home), None) or take_stock(name, home, cloud)
    shelf, resources = stock.shelf, stock.resources
    if endpoint is not None:
        _refuse_foreign(name, endpoint, shelf, cloud)
    if endpoint is None and bucket is None and not shelf.resources and (elsewhere := stock.buckets - {home.bucket, ""}):
        return observe(name, cloud, min(elsewhere))
    cloud.connection.learnt[home_of(name)] = home if shelf.resources else None
    if endpoint is None and not resources:
        return None
    saved = store.read_document(cloud, home, home.scaling) if Resource(names.SCALING, home.url(home.scaling)) in resources else None
    if endpoint is None:
        return _endpointless(name, home, shelf, resources, saved)
    registered = autoscaling.registered(cloud, name, endpoint.description)
    traffic, status = endpoint.shares(shelf.records), status_of(endpoint.status)
    if len(traffic) > 1 and status is Status.READY:
        status = Status.PAUSED
    asynchronous = "AsyncInferenceConfig" in endpoint.description
    view = View(home.bucket, endpoint.carried, counts_of(endpoint.description), endpoint.tags, registered, saved)
    return Observed(
        name=name,
        status=status,
        traffic=traffic,
        incoming=endpoint.coming(shelf.records),
        records=shelf.records,
        resources=resources | {Resource(names.ENDPOINT, name)},
        owned_elsewhere={"instance_count": view.count} if registered or saved else {},
        # In service with a reason tells of an update that went back: what serves is well.
        reason="" if status in (Status.READY, Status.PAUSED) else endpoint.reason,
        url=f"{cloud.connection.runtime_url}/endpoints/{name}/{'async-invocations' if asynchronous else 'invocations'}",
        view=view,
        detail={**asdict(view), "endpoint": plain({key: value for key, value in endpoint.description.items() if key != "ResponseMetadata"})},
    )


def read_shelf(cloud: Aws, home: Home) -> StoredObjects:
    """Records, data, the claim and unfinished uploads; empty where the bucket isn't there."""
    found = store.keys(cloud, home)
    cloud.connection.learnt[history_listed(home)] = home.history in found
    cloud.connection.learnt[claim_listed(home)] = found.get(home.claim, "")
    unfinished = {Resource(names.UPLOAD, f"{home.url(key)}#{upload}") for key, upload in store.uploads(cloud, home)}
    return StoredObjects(S3Ledger(cloud, home).among(found), frozenset(map(home.resource_of, found)) | unfinished)


def take_stock(name: str, home: Home, cloud: Aws) -> Stock:
    """What is there now."""
    shelf, listed = read_shelf(cloud, home), _listed(name, cloud)
    strays = _strays(name, shelf, listed, cloud)
    return Stock(shelf, shelf.resources | _standing(shelf, listed, cloud) | strays.keys(), frozenset(strays.values()))


def made_with(name: str) -> tuple[str, str]:
    """By what a run remembers the tags with which it made the endpoint: the next look needn't ask for them."""
    return ("made with", name)


def swept(home: Home) -> tuple[str, str, str]:
    """By what a run remembers what its sweep left: the look that comes next, which shows how the run ended, needs no other."""
    return ("swept", home.bucket, home.deployment)


def tags_of(cloud: Aws, arn: str) -> dict[str, str]:
    return names.from_tags(list(cloud.pages("sagemaker", "list_tags", "Tags", ResourceArn=arn)))


def tags_if_there(cloud: Aws, arn: str) -> dict[str, str] | None:
    """The tags, or None where the thing went meanwhile: what a list tells may be gone, and a rival may be deleting it."""
    try:
        return tags_of(cloud, arn)
    except Absent:
        return None


def generation_of(config: str, records: Mapping[str, Record]) -> str:
    """The generation whose record names this config; the config itself where none does."""
    return next((each for each, record in records.items() if Resource(names.CONFIG, config) in record.resources), config)


def counts_of(description: Description) -> int | None:
    """How many instances the endpoint's variant should have; None where it has none (serverless)."""
    for variant in description.get("ProductionVariants") or ():
        count = variant.get("DesiredInstanceCount", variant.get("CurrentInstanceCount"))
        return None if count is None else int(count)
    return None


def in_use(name: str, shelf: StoredObjects, cloud: Aws, doomed: frozenset[Resource]) -> frozenset[Resource]:
    """What the endpoint (current or incoming) or a record outside the doomed set leads to."""
    endpoint = describe(name, cloud)
    configs = endpoint.configs if endpoint else ()
    used = {Resource(names.CONFIG, config) for config in configs}
    shared = [share.generation for share in endpoint.shares(shelf.records)] if endpoint else []
    used |= generations.in_use(shelf.records, [*shared, *(generation_of(config, shelf.records) for config in configs)], doomed)
    for config in configs:
        used |= _behind(config, cloud)
    return frozenset(used)


def _refuse_foreign(name: str, endpoint: Endpoint, shelf: StoredObjects, cloud: Aws) -> None:
    ours = endpoint.tags.get(names.TAG_DEPLOYMENT) == name or any(
        Resource(names.CONFIG, each) in shelf.named for each in (endpoint.carried, *endpoint.configs)
    )
    if not ours and name not in cloud.adopts:
        raise NotOurs(
            f"an endpoint {name} is there, but this tool didn't make it",
            advice="choose another name, or take it over: deploy apply --adopt (its own config and model stay as they are)",
        )


def _endpointless(name: DeploymentName, home: Home, shelf: StoredObjects, resources: frozenset[Resource], saved: Any) -> Seen:
    """A deployment that was archived whole is paused; anything else was left half-made."""
    whole = [each for each in shelf.records.values() if resources.issuperset(each.resources)]
    view = View(home.bucket, saved_scaling=saved)
    return Observed(
        name=name,
        status=Status.PAUSED if whole else Status.FAILED,
        records=shelf.records,
        resources=resources,
        reason="" if whole else "there is no endpoint: what an interrupted run left; deploy apply goes on, deploy delete removes it",
        view=view,
        detail=asdict(view),
    )


def _standing(shelf: StoredObjects, listed: Mapping[Resource, str], cloud: Aws) -> frozenset[Resource]:
    """Models and configs that a record names and that are there. Lists lag behind: what they don't have may be there all the same."""
    named = (resource for resource in shelf.named if resource.kind in (names.MODEL, names.CONFIG))
    return frozenset(resource for resource in named if resource in listed or _exists(resource, cloud))


def _split(record: Record) -> tuple[Resource, ...]:
    if record.replaces is None or record.options.get("strategy") not in (Strategy.CANARY, Strategy.BLUE_GREEN):
        return ()
    return (Resource(names.CONFIG, names.split_config(record.deployment, record.replaces, record.generation)),)


def _exists(resource: Resource, cloud: Aws) -> bool:
    if resource.kind == names.MODEL:
        return cloud.find("sagemaker", "describe_model", ModelName=resource.name) is not None
    return cloud.find("sagemaker", "describe_endpoint_config", EndpointConfigName=resource.name) is not None


def _listed(name: str, cloud: Aws) -> dict[Resource, str]:
    """Models and configs whose names begin as ours do, and the ARN of each."""
    stem = name[: names.LIMIT - 11].rstrip("-")
    models = cloud.pages("sagemaker", "list_models", "Models", NameContains=stem, MaxResults=100)
    configs = cloud.pages("sagemaker", "list_endpoint_configs", "EndpointConfigs", NameContains=stem, MaxResults=100)
    return {
        **{Resource(names.MODEL, each["ModelName"]): each["ModelArn"] for each in models},
        **{Resource(names.CONFIG, each["EndpointConfigName"]): each["EndpointConfigArn"] for each in configs},
    }


def _strays(name: str, shelf: StoredObjects, listed: Mapping[Resource, str], cloud: Aws) -> dict[Resource, str]:
    """Models and configs with our tag that no record names, and the bucket that each is tagged with.

    They were made by a run that was slower than the one that swept its record; or the records are in another bucket.
    """
    named = shelf.named
    candidates = {resource: arn for resource, arn in listed.items() if resource not in named and names.made_for(name, resource.name)}
    tagged = {resource: tags_if_there(cloud, arn) or {} for resource, arn in candidates.items()}
    return {resource: tags.get(names.TAG_BUCKET, "") for resource, tags in tagged.items() if tags.get(names.TAG_DEPLOYMENT) == name}


def _behind(config: str, cloud: Aws) -> frozenset[Resource]:
    """The models and the data that a config leads to."""
    found = cloud.content("sagemaker", "describe_endpoint_config", EndpointConfigName=config)
    used: set[Resource] = set()
    for variant in (found or {}).get("ProductionVariants") or ():
        model = cloud.content("sagemaker", "describe_model", ModelName=variant["ModelName"])
        if model is not None:
            used |= {Resource(names.MODEL, variant["ModelName"]), Resource(names.DATA, data_of(model))}
    return frozenset(used)


def data_of(model: Description) -> str:
    """The URL of a SageMaker model's data."""
    container = model.get("PrimaryContainer") or {}
    source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    return str(source.get("S3Uri") or container.get("ModelDataUrl") or "")
