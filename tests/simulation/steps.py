"""The in-memory target's steps, one small class each, safe to run twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployer.errors import Conflict, Refused, RolloutFailed, TargetUnavailable, TimedOut
from deployer.plan import Effect, Progress, Step
from deployer.state import DeploymentName, Record, Resource
from tests.simulation.client import BUCKET, Client, NotFound, claim_key
from tests.simulation.observe import TAG, configs_of, in_use, observe, parsed, record_key
from tests.simulation.service import Answer

POLL_SECONDS = 5.0
PART = 8  # bytes of a part, so that every upload has several


@dataclass(frozen=True, slots=True)
class WriteRecord(Step[Client]):
    """Before all else, so that nothing half-made is ever out of sight."""

    record: Record
    effect = Effect.CREATE

    def describe(self) -> str:
        return f"record {self.record.generation}"

    def run(self, cloud: Client, progress: Progress) -> bool:
        key = record_key(self.record.deployment, self.record.generation)
        found = cloud.find("get_object", Bucket=BUCKET, Key=key)
        if found is not None and parsed(found["Body"]).same(self.record):
            return False
        cloud.change("put_object", Bucket=BUCKET, Key=key, Body=self.record.to_json().encode())
        return True


@dataclass(frozen=True, slots=True)
class UploadModel(Step[Client]):
    """In parts, as large files go; an unfinished upload from before is removed once the object is there."""

    key: str
    data: bytes
    effect = Effect.CREATE

    def describe(self) -> str:
        return "model data"

    def run(self, cloud: Client, progress: Progress) -> bool:
        there = cloud.find("head_object", Bucket=BUCKET, Key=self.key) is not None
        if not there:
            create(lambda: self._upload(cloud), lambda: cloud.find("head_object", Bucket=BUCKET, Key=self.key))
        abort_uploads(cloud, self.key)
        return not there

    def _upload(self, cloud: Client) -> None:
        upload = cloud.ask("create_multipart_upload", Bucket=BUCKET, Key=self.key)["UploadId"]
        for number, start in enumerate(range(0, len(self.data), PART), 1):
            cloud.ask("upload_part", Bucket=BUCKET, Key=self.key, UploadId=upload, PartNumber=number, Body=self.data[start : start + PART])
        cloud.ask("complete_multipart_upload", Bucket=BUCKET, Key=self.key, UploadId=upload)


def abort_uploads(cloud: Client, key: str) -> None:
    for each in cloud.ask("list_multipart_uploads", Bucket=BUCKET, Prefix=key)["Uploads"]:
        abort(key, each["UploadId"], cloud)


def abort(key: str, upload: str, cloud: Client) -> None:
    agreed(lambda: cloud.change("abort_multipart_upload", Bucket=BUCKET, Key=key, UploadId=upload), NotFound)


@dataclass(frozen=True, slots=True)
class CreateModel(Step[Client]):
    deployment: DeploymentName
    name: str
    image: str
    key: str
    role: str
    effect = Effect.CREATE

    def describe(self) -> str:
        return f"model {self.name}"

    def run(self, cloud: Client, progress: Progress) -> bool:
        if cloud.find("describe_model", ModelName=self.name) is not None:
            return False
        container = {"Image": self.image, "ModelDataUrl": f"s3://{BUCKET}/{self.key}"}
        create(
            lambda: cloud.ask("create_model", ModelName=self.name, PrimaryContainer=container, ExecutionRoleArn=self.role, Tags=tag(self.deployment)),
            lambda: cloud.find("describe_model", ModelName=self.name),
        )
        return True


@dataclass(frozen=True, slots=True)
class CreateConfig(Step[Client]):
    deployment: DeploymentName
    name: str
    model: str
    instance_type: str
    count: int
    effect = Effect.CREATE

    def describe(self) -> str:
        return f"endpoint config {self.name}"

    def run(self, cloud: Client, progress: Progress) -> bool:
        if cloud.find("describe_endpoint_config", EndpointConfigName=self.name) is not None:
            return False
        variant = {"VariantName": "model", "ModelName": self.model, "InstanceType": self.instance_type, "InitialInstanceCount": self.count}
        create(
            lambda: cloud.ask("create_endpoint_config", EndpointConfigName=self.name, ProductionVariants=[variant], Tags=tag(self.deployment)),
            lambda: cloud.find("describe_endpoint_config", EndpointConfigName=self.name),
        )
        return True


@dataclass(frozen=True, slots=True)
class PointEndpoint(Step[Client]):
    """The switch. Refuses where the endpoint isn't where the plan saw it: a rival was faster."""

    name: DeploymentName
    at: str
    expecting: str | None
    effect = Effect.SWITCH

    def describe(self) -> str:
        return "endpoint"

    def run(self, cloud: Client, progress: Progress) -> bool:
        endpoint = cloud.find("describe_endpoint", EndpointName=self.name)
        if self.at in configs_of(endpoint):
            return False
        if (endpoint["EndpointConfigName"] if endpoint else None) != self.expecting:
            raise Conflict(f"{self.name} was changed by somebody else meanwhile")
        try:
            if endpoint is None:
                cloud.change("create_endpoint", EndpointName=self.name, EndpointConfigName=self.at, Tags=tag(self.name))
            else:
                cloud.change("update_endpoint", EndpointName=self.name, EndpointConfigName=self.at, RetainAllVariantProperties=True)
        except Refused:
            if self.at not in configs_of(self._seen(cloud)):
                raise
        return True

    def _seen(self, cloud: Client) -> Answer | None:
        """Who may not look doesn't know, and may not go back."""
        try:
            return cloud.find("describe_endpoint", EndpointName=self.name)
        except Refused as unseen:
            raise TargetUnavailable(f"whether {self.name} was switched isn't known", advice="run the same command again") from unseen


@dataclass(frozen=True, slots=True)
class AwaitServing(Step[Client]):
    name: DeploymentName
    config: str
    timeout: int
    effect = Effect.READ

    def describe(self) -> str:
        return "endpoint in service"

    def run(self, cloud: Client, progress: Progress) -> bool:
        endpoint = at_rest(self.name, cloud, self.timeout)
        current = endpoint["EndpointConfigName"] if endpoint else None
        if endpoint and endpoint["EndpointStatus"] == "InService" and current == self.config:
            return False
        if endpoint and "FailureReason" in endpoint and (endpoint["EndpointStatus"] == "InService" or current == self.config):
            raise RolloutFailed(f"{self.name} can't serve the new generation", why=endpoint["FailureReason"])
        raise Conflict(f"{self.name} was changed by somebody else meanwhile")


def at_rest(name: DeploymentName, cloud: Client, timeout: float) -> Answer | None:
    """The endpoint once the cloud is done with it; None once it's gone.

    Raises:
        TimedOut
    """
    waited = 0.0
    while True:
        endpoint = cloud.find("describe_endpoint", EndpointName=name)
        if endpoint is None or endpoint["EndpointStatus"] in ("InService", "Failed"):
            return endpoint
        if waited >= timeout:
            raise TimedOut(f"{name} is still {endpoint['EndpointStatus']}", advice="run the same command again")
        cloud.wait(POLL_SECONDS)
        waited += POLL_SECONDS


@dataclass(frozen=True, slots=True)
class SetCount(Step[Client]):
    """A live change. Refused, the record gets its old values again."""

    name: DeploymentName
    count: int
    before: Record | None
    timeout: int
    effect = Effect.UPDATE

    def describe(self) -> str:
        return f"{self.count} instances"

    def run(self, cloud: Client, progress: Progress) -> bool:
        endpoint = cloud.find("describe_endpoint", EndpointName=self.name)
        if endpoint is None or endpoint["ProductionVariants"][0]["DesiredInstanceCount"] == self.count:
            return False
        wanted = [{"VariantName": "model", "DesiredInstanceCount": self.count}]
        try:
            cloud.change("update_endpoint_weights_and_capacities", EndpointName=self.name, DesiredWeightsAndCapacities=wanted)
        except Refused:
            now = cloud.find("describe_endpoint", EndpointName=self.name)
            if now is None or now["ProductionVariants"][0]["DesiredInstanceCount"] != self.count:
                if self.before:
                    WriteRecord(self.before).run(cloud, progress)
                raise
        at_rest(self.name, cloud, self.timeout)
        return True


@dataclass(frozen=True, slots=True)
class DiscardFailed(Step[Client]):
    """A Failed endpoint can only be deleted. `carrying` limits it to the shell of one config."""

    name: DeploymentName
    timeout: int
    carrying: str | None = None
    effect = Effect.DELETE

    def describe(self) -> str:
        return "failed endpoint"

    def run(self, cloud: Client, progress: Progress) -> bool:
        endpoint = cloud.find("describe_endpoint", EndpointName=self.name)
        if endpoint is None or endpoint["EndpointStatus"] != "Failed" or self.carrying not in (None, endpoint["EndpointConfigName"]):
            return False
        delete_endpoint(self.name, cloud)
        at_rest(self.name, cloud, self.timeout)
        return True


@dataclass(frozen=True, slots=True)
class DeleteEndpoint(Step[Client]):
    name: DeploymentName
    timeout: int
    effect = Effect.DELETE

    def describe(self) -> str:
        return "endpoint"

    def run(self, cloud: Client, progress: Progress) -> bool:
        if cloud.find("describe_endpoint", EndpointName=self.name) is not None:
            delete_endpoint(self.name, cloud)
        if at_rest(self.name, cloud, self.timeout) is not None:
            raise Conflict(f"{self.name} was made again by somebody else meanwhile")
        return True


def delete_endpoint(name: DeploymentName, cloud: Client) -> None:
    try:
        cloud.change("delete_endpoint", EndpointName=name)
    except Refused:
        endpoint = cloud.find("describe_endpoint", EndpointName=name)
        if endpoint is not None and endpoint["EndpointStatus"] != "Deleting":
            raise


@dataclass(frozen=True, slots=True)
class Remove(Step[Client]):
    """What of these nothing else leads to. The config goes first, as a fence, and is put back if the second look finds it in use."""

    name: DeploymentName
    resources: frozenset[Resource]
    effect = Effect.DELETE

    def describe(self) -> str:
        return "what is not needed"

    def run(self, cloud: Client, progress: Progress) -> bool:
        free = self.resources - in_use(self.name, cloud, self.resources)
        configs = [resource for resource in free if resource.kind == "endpoint-config"]
        for config in sorted(configs):
            self._fence(config.name, cloud)
        for resource in sorted(free.difference(configs), key=_order):
            remove(resource, self.name, cloud)
        return bool(free)

    def _fence(self, config: str, cloud: Client) -> None:
        found = cloud.find("describe_endpoint_config", EndpointConfigName=config)
        if found is None:
            return
        agreed(lambda: cloud.change("delete_endpoint_config", EndpointConfigName=config), NotFound)
        if config in configs_of(cloud.find("describe_endpoint", EndpointName=self.name)):
            again = {key: found[key] for key in ("EndpointConfigName", "ProductionVariants", "Tags")}
            create(lambda: cloud.ask("create_endpoint_config", **again), lambda: exists_config(config, cloud))
            raise Conflict(f"{self.name} was changed by somebody else meanwhile")


def exists_config(name: str, cloud: Client) -> Answer | None:
    return cloud.find("describe_endpoint_config", EndpointConfigName=name)


def _order(resource: Resource) -> tuple[int, str]:
    return ("model", "object", "upload", "record").index(resource.kind), resource.name


def remove(resource: Resource, name: DeploymentName, cloud: Client) -> None:
    if resource.kind == "record":
        cloud.change("delete_object", Bucket=BUCKET, Key=record_key(name, resource.name))
    elif resource.kind == "model":
        agreed(lambda: cloud.change("delete_model", ModelName=resource.name), NotFound)
    elif resource.kind == "upload":
        key, _, upload = resource.name.partition("#")
        abort(key, upload, cloud)
    else:
        cloud.change("delete_object", Bucket=BUCKET, Key=resource.name)
        if resource.kind == "object":
            abort_uploads(cloud, resource.name)


@dataclass(frozen=True, slots=True)
class Sweep(Step[Client]):
    """Everything of ours that is there now and not kept."""

    name: DeploymentName
    keep: frozenset[Resource]
    effect = Effect.DELETE

    def describe(self) -> str:
        return "what is not needed any more"

    def run(self, cloud: Client, progress: Progress) -> bool:
        observed = observe(self.name, cloud)
        gone = observed.resources - self.keep if observed is not None else frozenset()
        return bool(gone) and Remove(self.name, gone).run(cloud, progress)


@dataclass(frozen=True, slots=True)
class ReleaseClaim(Step[Client]):
    """The last of all, where nothing else of the deployment is left."""

    name: DeploymentName
    effect = Effect.DELETE

    def describe(self) -> str:
        return "claim"

    def run(self, cloud: Client, progress: Progress) -> bool:
        if cloud.find("describe_endpoint", EndpointName=self.name) is not None:
            return False
        cloud.check()
        try:
            cloud.change("delete_object", Bucket=BUCKET, Key=claim_key(self.name))
        except Conflict:
            # The answer to the first try was lost: a claim that isn't ours any more is released.
            return True
        return True


def create(send: Callable[[], object], look: Callable[[], Answer | None]) -> None:
    """Send; a refusal because it is there already (a lost answer, a rival with the same) means agreed."""
    try:
        send()
    except Refused:
        if look() is None:
            raise


def agreed(send: Callable[[], object], fine: type[Refused]) -> None:
    """Send; a `fine` refusal means that the cloud agrees already."""
    try:
        send()
    except fine:
        return


def tag(name: str) -> list[Answer]:
    return [{"Key": TAG, "Value": name}]
