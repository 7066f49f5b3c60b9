"""The way back and out: what nothing leads to any more is removed, or archived where Azure removes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from deployer.core import generations
from deployer.core.plan import Effect, Progress, Step
from deployer.core.state import DeploymentName, Observed, Resource, Status
from deployer.errors import ConfigInvalid
from deployer_targets.azureml import blobs, names, online, sight
from deployer_targets.azureml.assets import archive
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.ledger import BlobLedger
from deployer_targets.azureml.looking import seen
from deployer_targets.azureml.online import AzureEndpoint
from deployer_targets.azureml.traffic import await_endpoint, set_endpoint


@dataclass(frozen=True, slots=True)
class DeleteEndpoint(Step[AzureMlCloud]):
    """The endpoint with all in it, waited for until it is gone. `idle`: only one that leads nowhere, as whose first never came to serve."""

    name: DeploymentName
    timeout_seconds: float
    idle: bool = False
    effect = Effect.DELETE

    def describe(self) -> str:
        return f"endpoint {self.name}" + (", if it leads nowhere" if self.idle else "")

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        if self.idle:
            found = online.idle(self.name, cloud, self.timeout_seconds, progress.note)
            if found is None or found.traffic:
                return False
        path = online.endpoint_path(self.name)
        if not online.delete(self.name, cloud, path, self.timeout_seconds):
            return False
        for status, _ in online.followed(cloud, path, self.timeout_seconds):
            if status == "Succeeded":
                return True
            progress.note("Deleting")
        for left in online.watched(self.name, "the endpoint", partial(online.endpoint, self.name, cloud), cloud, self.timeout_seconds):
            if left is None:
                return True
            progress.note(left.state)
        return True


@dataclass(frozen=True, slots=True)
class DeleteDeployment(Step[AzureMlCloud]):
    """One Azure deployment, waited for until it is gone. One that has all of the traffic leaves its endpoint without any.

    Attributes:
        generation: only where it is this one; "": whichever it is.
    """

    name: DeploymentName
    called: str
    timeout_seconds: float
    generation: str = ""
    effect = Effect.DELETE

    def describe(self) -> str:
        return f"deployment {self.called}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        at = cloud.endpoint_of(self.name)
        endpoint = online.settle(self.name, cloud, self.timeout_seconds, progress.note)
        found = online.deployment(at, self.called, cloud)
        if endpoint is None or found is None or (self.generation and found.generation != self.generation):
            return False
        if endpoint.percent_of(self.called) or endpoint.mirrored.get(self.called):
            self._without_traffic(endpoint, cloud, progress)
        online.remove(at, [self.called], cloud, self.timeout_seconds)
        return True

    def _without_traffic(self, endpoint: AzureEndpoint, cloud: AzureMlCloud, progress: Progress) -> None:
        at, share = cloud.endpoint_of(self.name), endpoint.percent_of(self.called)
        if share not in (0, 100):
            raise still_has_traffic(self.called, share, at)
        keeps = {key: endpoint.properties.get(key) or {} for key in ("traffic", "mirrorTraffic")}
        without = {key: {name: percent for name, percent in shares.items() if name != self.called} for key, shares in keeps.items()}
        set_endpoint(at, cloud, endpoint, self.timeout_seconds, tags=endpoint.tags, **without)
        await_endpoint(at, cloud, self.timeout_seconds, progress)


def still_has_traffic(called: str, share: int, endpoint: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"{called} has {share} % of the traffic of endpoint {endpoint}, which others share",
        advice=f"deploy update-endpoint --endpoint {endpoint} --traffic NAME=100 gives all of it to another first",
    )


@dataclass(frozen=True, slots=True)
class Remove(Step[AzureMlCloud]):
    """What of these no generation needs, as things stand then: deployments first, records and the claim last. `beyond`: all but these instead."""

    name: DeploymentName
    timeout_seconds: float
    resources: frozenset[Resource] = frozenset()
    beyond: frozenset[Resource] | None = None
    effect = Effect.DELETE

    def describe(self) -> str:
        return "what is not needed"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        there = sight.look(self.name, cloud)
        sight.keep(self.name, cloud, there)
        observed = seen(self.name, cloud) or Observed(self.name, Status.FAILED)
        free = generations.removable(observed, names.endpoint(cloud.endpoint_of(self.name)), self.resources, beyond=self.beyond)
        for kind in names.ORDER:
            these = sorted(each.name for each in free if each.kind == kind)
            if these:
                archived = " archived, since Azure removes none" if kind in names.ASSETS else ""
                progress.note(f"{kind}{archived}: {', '.join(these)}")
                self._remove(kind, these, cloud)
        removes = any(each.kind in names.ORDER for each in free)
        if not removes:
            sight.keep(self.name, cloud, there)  # for who tells next how things stand
        return removes

    def _remove(self, kind: str, these: list[str], cloud: AzureMlCloud) -> None:
        shelf = cloud.shelf(self.name)
        match kind:
            case names.DEPLOYMENT:
                online.remove(cloud.endpoint_of(self.name), these, cloud, self.timeout_seconds)
            case names.MODEL | names.ENVIRONMENT | names.DATA_ASSET:
                archive(kind, these, cloud, others=self.beyond == frozenset() and kind != names.DATA_ASSET)
            case names.DATA:
                there = [blob for blob in blobs.names(cloud, shelf.prefix) if shelf.resource_of(blob) in {Resource(kind, each) for each in these}]
                # What says that the files are all there goes before they do.
                blobs.remove(cloud, [blob for blob in there if "/sealed/" in blob])
                blobs.remove(cloud, [blob for blob in there if "/sealed/" not in blob])
            case names.SECRET:
                blobs.remove(cloud, [shelf.secret(each) for each in these])
            case names.KEYS:
                blobs.remove(cloud, [shelf.keys])
            case names.RECORD:
                BlobLedger(cloud, self.name).drop(these)
            case names.HISTORY:
                blobs.remove(cloud, [shelf.history])
            case names.CLAIM:
                release(self.name, cloud)


def release(name: DeploymentName, cloud: AzureMlCloud) -> None:
    """Give up the claim, if this run has it; one of an endpoint that others share goes with that."""
    if cloud.endpoint is None:
        blobs.remove(cloud, [cloud.shelf(name).claim])
