"""The way back and out: what nothing leads to any more is removed, configs first, each looked at again before it is gone for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import ensure
from deployer.core.state import DeploymentName, Resource
from deployer.errors import Conflict
from deployer_targets.sagemaker import autoscaling, names, store
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.faults import Absent
from deployer_targets.sagemaker.ledger import S3Ledger
from deployer_targets.sagemaker.names import Home
from deployer_targets.sagemaker.observe import StoredObjects, describe, in_use, read_shelf, swept, tags_if_there, take_stock
from deployer_targets.sagemaker.steps import changed_by_another
from deployer_targets.sagemaker.waiting import looks

_ORDER = (names.MODEL, names.UPLOAD, names.OBJECT, names.REQUEST, names.DATA, names.SCALING, names.HISTORY, names.RECORD)
_CONFIG_FIELDS = (
    "EndpointConfigName",
    "ProductionVariants",
    "ShadowProductionVariants",
    "DataCaptureConfig",
    "KmsKeyId",
    "AsyncInferenceConfig",
    "ExplainerConfig",
)


@dataclass(frozen=True, slots=True)
class DiscardFailed(Step[Aws]):
    """A Failed endpoint can only be deleted. Only the shell that carries `carrying` is: another one is somebody else's."""

    name: DeploymentName
    carrying: str
    timeout_seconds: float = 1200
    effect = Effect.DELETE

    def describe(self) -> str:
        return f"endpoint {self.name}, if it failed"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        endpoint = describe(self.name, cloud)
        if endpoint is None or endpoint.status != "Failed" or endpoint.carried != self.carrying:
            return False
        _delete_endpoint(self.name, cloud)
        _await_gone(self.name, cloud, progress, self.timeout_seconds)
        return True


@dataclass(frozen=True, slots=True)
class DeleteEndpoint(Step[Aws]):
    """The endpoint, waited for until it is gone."""

    name: DeploymentName
    timeout_seconds: float = 1200
    effect = Effect.DELETE

    def describe(self) -> str:
        return f"endpoint {self.name}"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        if describe(self.name, cloud) is None:
            return False
        _delete_endpoint(self.name, cloud)
        _await_gone(self.name, cloud, progress, self.timeout_seconds)
        return True


@dataclass(frozen=True, slots=True)
class Remove(Step[Aws]):
    """What of these nothing else leads to. A config goes first, as a fence, and is put back if the second look finds it in use."""

    name: DeploymentName
    home: Home
    resources: frozenset[Resource]
    effect = Effect.DELETE

    def describe(self) -> str:
        return "what is not needed"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        return bool(self.resources and self.unused(read_shelf(cloud, self.home), cloud, progress))

    def unused(self, shelf: StoredObjects, cloud: Aws, progress: Progress) -> frozenset[Resource]:
        """Remove those that nothing else leads to, by what lies under the prefix now; which they were."""
        free = self.resources - in_use(self.name, shelf, cloud, self.resources)
        configs = {resource for resource in free if resource.kind == names.CONFIG}
        for config in sorted(configs):
            self._fence(config.name, cloud)
        for kind in _ORDER:
            of_kind = sorted(resource for resource in free if resource.kind == kind)
            if of_kind:
                progress.note(", ".join(str(each) for each in of_kind[:3]))
                _remove(of_kind, self.home, cloud)
        return free

    def _fence(self, config: str, cloud: Aws) -> None:
        found = cloud.find("sagemaker", "describe_endpoint_config", EndpointConfigName=config)
        tags = tags_if_there(cloud, found["EndpointConfigArn"]) if found else None
        if found is None or tags is None:
            return
        kept = {key: value for key, value in tags.items() if not key.startswith("aws:")}
        _agreed(lambda: cloud.change("sagemaker", "delete_endpoint_config", EndpointConfigName=config))
        endpoint = describe(self.name, cloud)
        if endpoint is not None and config in endpoint.configs:
            again = {key: found[key] for key in _CONFIG_FIELDS if found.get(key)}
            ensure(
                lambda: cloud.call("sagemaker", "create_endpoint_config", **again, Tags=names.to_tags(kept)),
                lambda: cloud.find("sagemaker", "describe_endpoint_config", EndpointConfigName=config) is not None,
            )
            raise changed_by_another(self.name, f"it went to {config}", None)


@dataclass(frozen=True, slots=True)
class Sweep(Step[Aws]):
    """Everything of ours that is there now and not kept."""

    name: DeploymentName
    home: Home
    keep: frozenset[Resource]
    effect = Effect.DELETE

    def describe(self) -> str:
        return "what is not needed any more"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        there = take_stock(self.name, self.home, cloud)
        doomed = frozenset(each for each in there.resources - self.keep if each.kind != names.REQUEST)
        gone = Remove(self.name, self.home, doomed).unused(there.shelf, cloud, progress) if doomed else doomed
        cloud.connection.learnt[swept(self.home)] = there.without(gone)
        return bool(gone)


@dataclass(frozen=True, slots=True)
class DropScaling(Step[Aws]):
    """Autoscaling of an endpoint that is about to go: left registered, it would take hold of the next endpoint of that name."""

    registration: autoscaling.Registration
    effect = Effect.DELETE

    def describe(self) -> str:
        return "autoscaling"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        autoscaling.deregister(cloud, self.registration)
        return True


@dataclass(frozen=True, slots=True)
class ReleaseClaim(Step[Aws]):
    """The last of all, where nothing else of the deployment is left."""

    home: Home
    effect = Effect.DELETE

    def describe(self) -> str:
        return "claim"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        try:
            cloud.change("s3", "delete_object", Bucket=self.home.bucket, Key=self.home.claim)
        except Conflict:
            # The answer to the first try may have been lost: a claim that is gone is released.
            if S3Ledger(cloud, self.home).holder() is not None:
                raise
        return True


def _delete_endpoint(name: str, cloud: Aws) -> None:
    def agreed() -> bool:
        endpoint = describe(name, cloud)
        return endpoint is None or endpoint.status == "Deleting"

    ensure(lambda: cloud.change("sagemaker", "delete_endpoint", EndpointName=name), agreed)


def _await_gone(name: str, cloud: Aws, progress: Progress, timeout_seconds: float) -> None:
    for endpoint in looks(name, cloud, timeout_seconds):
        if endpoint is None:
            return
        if not endpoint.busy and endpoint.status != "Failed":
            raise Conflict(f"{name} was made again by somebody else meanwhile", advice="deploy get shows what is there")
        progress.note(endpoint.status)


def _remove(resources: list[Resource], home: Home, cloud: Aws) -> None:
    """Resources of one kind."""
    kind = resources[0].kind
    if kind == names.MODEL:
        for each in resources:
            _agreed(lambda each=each: cloud.change("sagemaker", "delete_model", ModelName=each.name))  # type: ignore[misc]
    elif kind == names.UPLOAD:
        for each in resources:
            url, _, upload = each.name.rpartition("#")
            cloud.check()
            store.abort(cloud, *names.split_url(url), upload)
    else:
        store.remove(cloud, home, {key for each in resources for key in _keys(each, home, cloud)})
        for each in resources:
            _abort_uploads(each, home, cloud)


def _keys(resource: Resource, home: Home, cloud: Aws) -> list[str]:
    if resource.kind == names.RECORD:
        return [home.record(resource.name)]
    key = names.split_url(resource.name)[1]
    if not key.endswith("/"):
        return [key]
    return [*store.keys(cloud, home, key.removeprefix(home.prefix)), names.marker(key)]


def _abort_uploads(resource: Resource, home: Home, cloud: Aws) -> None:
    """An upload that was going to the same place is garbage with it."""
    if resource.kind == names.DATA:
        for key, upload in store.uploads(cloud, home, names.split_url(resource.name)[1].removeprefix(home.prefix)):
            cloud.check()
            store.abort(cloud, home.bucket, key, upload)


def _agreed(send: Callable[[], object]) -> None:
    """Send; that it isn't there means that AWS agrees already."""
    try:
        send()
    except Absent:
        return
