"""Deployments inside an endpoint, one small class a step. Each is safe to run twice: it looks, and returns at once where Azure already agrees."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from deployer.core.plan import Effect, Progress, Step
from deployer.core.state import DeploymentName, Record, Resource
from deployer.errors import Conflict, RolloutFailed
from deployer_targets.azureml import bodies, names, online
from deployer_targets.azureml.assets import asset_path
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.collected import collection_of, resources, with_ids
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.faults import Absent
from deployer_targets.azureml.invoke import probe
from deployer_targets.azureml.ledger import BlobLedger
from deployer_targets.azureml.logs import last_lines
from deployer_targets.azureml.traffic import await_endpoint, changed_by_another, location_of, set_endpoint
from deployer_targets.azureml.variables import recalled


@dataclass(frozen=True, slots=True)
class WriteRecord(Step[AzureMlCloud]):
    """Before all else, so that nothing half-made is ever out of sight."""

    record: Record
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.RECORD, self.record.generation)

    def describe(self) -> str:
        return f"record {self.record.generation}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        return BlobLedger(cloud, self.record.deployment).write(self.record)


@dataclass(frozen=True, slots=True)
class CreateDeployment(Step[AzureMlCloud]):
    """The Azure deployment of a generation, with as many instances as `scaling` says.

    Attributes:
        called: what it is called.
        replaces: the generation that it is now, where Azure updates it in place.
        config: None for one that is there: the number of instances alone is seen to.
        variables: of the container, which may be secret and are never printed; a record: those that were kept of its generation.
        fresh: whether nothing of this name was there, which nobody else gives; it isn't looked for again.
    """

    name: DeploymentName
    generation: str
    called: str
    scaling: bodies.Scaling
    timeout_seconds: float
    config: AzureMlConfig | None = None
    model: str = ""
    environment: str = ""
    variables: Mapping[str, str] | Record = field(default_factory=dict, repr=False)
    replaces: str = ""
    fresh: bool = False

    @property
    def effect(self) -> Effect:
        return Effect.SWITCH if self.replaces else Effect.CREATE

    @property
    def makes(self) -> Resource | None:
        return None if self.replaces else Resource(names.DEPLOYMENT, self.called)

    def describe(self) -> str:
        return f"deployment {self.called}" + (f" in place of {self.replaces}" if self.replaces else "")

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        at = cloud.endpoint_of(self.name)
        found = None if self.fresh else online.deployment(at, self.called, cloud)
        if found is not None and found.generation not in (self.generation, self.replaces):
            raise changed_by_another(at, f"its deployment {self.called} is {found.generation}")
        there = found if found is not None and found.generation == self.generation else None
        if there is not None and (there.busy or (there.state != "Failed" and there.is_scaled(self.scaling))):
            return False
        if there is not None and there.state != "Failed":
            body = there.scaled(self.scaling)
        elif self.config is not None:
            body = self._body(cloud, self.config)
        else:
            raise Conflict(f"{self.describe()} of {at} is gone", advice="deploy get shows what is there")
        try:
            online.put(at, cloud, online.deployment_path(at, self.called), body, self.timeout_seconds)
        except Absent as no:
            raise changed_by_another(at, "it is gone") from no
        return True

    def _body(self, cloud: AzureMlCloud, config: AzureMlConfig) -> dict[str, Any]:
        """One that its name tells the generation of needs no tag that does."""
        places = [
            f"{cloud.workspace.id}/{asset_path(Resource(kind, each))}"
            for kind, each in ((names.MODEL, self.model), (names.ENVIRONMENT, self.environment))
        ]
        tags = {} if self.called == names.deployment_of(self.generation) else {names.TAG_GENERATION: self.generation}
        if cloud.endpoint:  # whose own tags are update-endpoint's
            tags |= config.tags
        given = recalled(self.variables, cloud) if isinstance(self.variables, Record) else self.variables
        body = bodies.deployment(location_of(cloud), places[0], places[1], config, given)
        at = cloud.endpoint_of(self.name)
        ids = {collection_of(at, self.called, each): f"{cloud.workspace.id}/{asset_path(each)}" for each in resources(at, self.called, config)}
        return {**with_ids(body, ids), "tags": tags}


@dataclass(frozen=True, slots=True)
class AwaitDeployment(Step[AzureMlCloud]):
    """Until the generation's containers are ready: no traffic goes to them before."""

    name: DeploymentName
    generation: str
    called: str
    timeout_seconds: float
    effect = Effect.READ

    def describe(self) -> str:
        return f"deployment {self.called} is ready"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        at, called, begin = cloud.endpoint_of(self.name), self.called, time.monotonic()
        path, why = online.deployment_path(at, called), ""
        for status, reason in online.followed(cloud, path, self.timeout_seconds):
            why = reason
            if status == "Succeeded":
                return False
            progress.note(f"{status}, the container is started and loads the model")
        look = partial(online.deployment, at, called, cloud)
        for found in online.watched(at, f"deployment {called}", look, cloud, self.timeout_seconds, begun=begin):
            if found is None or found.state == "Deleting":
                raise Conflict(f"deployment {called} of {at} was removed by somebody else", advice="deploy get shows what is there")
            if found.generation != self.generation:
                raise changed_by_another(at, f"its deployment {called} is {found.generation}")
            if found.state == "Succeeded":
                return False
            if not found.busy:
                raise cannot_serve(
                    self.name, self.generation, why or f"Azure says {found.state} of deployment {called}", last_lines(at, called, cloud)
                )
            progress.note(found.state)
        return False


@dataclass(frozen=True, slots=True)
class ProbeDeployment(Step[AzureMlCloud]):
    """One question to the new generation by its name, before it has any traffic: whether its server is ready."""

    name: DeploymentName
    generation: str
    called: str
    effect = Effect.READ

    def describe(self) -> str:
        return f"{self.called} answers by its name"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        at = cloud.endpoint_of(self.name)
        status = probe(at, self.called, bodies.READY, cloud)
        if status != 200:
            raise RolloutFailed(
                f"{self.name} can't serve {self.generation}",
                why=f"asked by its name, it answers {bodies.READY} with HTTP {status}",
                lines=last_lines(at, self.called, cloud),
            )
        return False


@dataclass(frozen=True, slots=True)
class ChangeLive(Step[AzureMlCloud]):
    """What changes in place: instances, tags, the way to the scoring URI. The record comes last: where Azure refuses, it keeps saying what is."""

    record: Record
    called: str
    scaling: bodies.Scaling
    tags: Mapping[str, str]
    properties: Mapping[str, Any]
    timeout_seconds: float
    effect = Effect.UPDATE

    def describe(self) -> str:
        return "instances and tags"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        name, generation = self.record.deployment, self.record.generation
        CreateDeployment(name, generation, self.called, self.scaling, self.timeout_seconds).run(cloud, progress)
        AwaitDeployment(name, generation, self.called, self.timeout_seconds).run(cloud, progress)
        if cloud.endpoint:
            self._tag(cloud, progress)
        found = online.endpoint(name, cloud) if cloud.endpoint is None else None  # one that others share keeps what update-endpoint gave it
        wanted = names.tags_for(name, found.traffic, self.tags, found.tags.get(names.TAG_SINCE, ""), in_place=found.in_place) if found else {}
        if found and (dict(found.tags) != wanted or any(found.properties.get(key) != value for key, value in self.properties.items())):
            set_endpoint(name, cloud, found, self.timeout_seconds, tags=wanted, **self.properties)
            await_endpoint(name, cloud, self.timeout_seconds, progress)
        return BlobLedger(cloud, name).write(self.record)

    def _tag(self, cloud: AzureMlCloud, progress: Progress) -> None:
        at, name, generation = str(cloud.endpoint), self.record.deployment, self.record.generation
        found, wanted = online.deployment(at, self.called, cloud), {**self.tags, names.TAG_GENERATION: generation}
        if found is not None and dict(found.tags) != wanted:
            online.put(at, cloud, online.deployment_path(at, self.called), {**found.as_it_is(), "tags": wanted}, self.timeout_seconds)
            AwaitDeployment(name, generation, self.called, self.timeout_seconds).run(cloud, progress)


def cannot_serve(name: DeploymentName, generation: str, why: str, lines: tuple[str, ...]) -> RolloutFailed:
    advice = "correct the model or its requirements; deploy run-local runs the same container on this machine"
    if "Unable to download" in why:
        advice = "deploy doctor -t azureml says which role the endpoint's identity lacks, and how it gets it"
    return RolloutFailed(f"{name} can't serve {generation}", why=why, advice=advice, lines=lines)
