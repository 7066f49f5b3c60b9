"""The way forward, one small class a step. Each is safe to run twice: it looks, and returns at once where Azure already agrees."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import ensure
from deployer.core.state import DeploymentName, Digest, Record, Resource, Share, short
from deployer.errors import Conflict, ModelInvalid, Refused, RolloutFailed
from deployer_targets.azureml import bodies, cluster, names, online, upload
from deployer_targets.azureml.blobs import DATASTORE
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.invoke import probe
from deployer_targets.azureml.ledger import BlobLedger
from deployer_targets.azureml.logs import last_lines

Traffic = tuple[Share, ...]


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
class UploadModel(Step[AzureMlCloud]):
    """The model's files: not sent again where they are there by their digest."""

    name: DeploymentName
    model: Digest
    path: Path | None
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.DATA, short(self.model))

    def describe(self) -> str:
        return "model data"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        if upload.is_there(cloud, self.name, self.model):
            return False
        if self.path is None:
            raise ModelInvalid(
                f"the files of model {self.model[:17]} are not in the workspace's store any more",
                advice="name the model, so that it is sent again: -m MODEL",
            )
        cloud.check()
        upload.send(cloud, self.name, self.model, self.path, progress.moved)
        return True


@dataclass(frozen=True, slots=True)
class RegisterAsset(Step[AzureMlCloud]):
    """A version of a model or an environment, named by the digest of its content. One that was archived is taken out again.

    Attributes:
        kind: names.MODEL or names.ENVIRONMENT.
        asset: what it is called.
        model: of a model: its digest, whose files are in the store.
        image: of an environment.
    """

    name: DeploymentName
    kind: str
    asset: str
    version: str
    model: Digest | None = None
    image: str = ""
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(self.kind, f"{self.asset}:{self.version}")

    def describe(self) -> str:
        return f"{self.kind} {self.asset}:{self.version}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        if self._agreed(cloud):
            return False
        ensure(lambda: cloud.ask("PUT", self.path, {"properties": self._properties(cloud)}), lambda: self._agreed(cloud))
        return True

    @property
    def path(self) -> str:
        return asset_path(self.makes)

    def _properties(self, cloud: AzureMlCloud) -> dict[str, Any]:
        common = {"tags": {names.TAG_DEPLOYMENT: self.name}, "isArchived": False}
        if self.model is None:
            return {**bodies.environment(self.image), **common}
        folder = cloud.shelf(self.name).data(self.model).rstrip("/")
        return {"modelUri": f"{cloud.workspace.uri}/datastores/{DATASTORE}/paths/{folder}", "modelType": "custom_model", **common}

    def _agreed(self, cloud: AzureMlCloud) -> bool:
        found = cloud.find(self.path)
        if found is None or found["properties"].get("isArchived"):
            return False
        if self.image and found["properties"].get("image") != self.image:
            raise Refused(f"{self.describe()} is there, but it is another one", advice="somebody else made it: choose another name")
        return True


@dataclass(frozen=True, slots=True)
class CreateEndpoint(Step[AzureMlCloud]):
    """The endpoint, where there is none; without traffic."""

    name: DeploymentName
    config: AzureMlConfig
    timeout_seconds: float
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return names.endpoint(self.name)

    def describe(self) -> str:
        return f"endpoint {self.name}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        found = online.endpoint(self.name, cloud)
        made = found is None or found.state == "Failed"
        if made:
            tags = names.tags_for(self.name, (), self.config.tags)
            body = bodies.endpoint(location_of(cloud), self.config, tags, cluster.compute_id(self.config, cloud))
            online.put(self.name, cloud, online.endpoint_path(self.name), body, self.timeout_seconds)
            found = None
        if found is None or found.busy:
            await_endpoint(self.name, cloud, self.timeout_seconds, progress)
        return made


@dataclass(frozen=True, slots=True)
class CreateDeployment(Step[AzureMlCloud]):
    """The Azure deployment of a generation, with as many instances as `scaling` says.

    Attributes:
        called: what it is called.
        replaces: the generation that it is now, where Azure updates it in place.
        config: None for one that is there: the number of instances alone is seen to.
        variables: of the container; they may be secret and are never printed.
    """

    name: DeploymentName
    generation: str
    called: str
    scaling: bodies.Scaling
    timeout_seconds: float
    config: AzureMlConfig | None = None
    model: str = ""
    environment: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    replaces: str = ""

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
        found = online.deployment(at, self.called, cloud)
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
        online.put(at, cloud, online.deployment_path(at, self.called), body, self.timeout_seconds)
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
        return {**bodies.deployment(location_of(cloud), places[0], places[1], config, self.variables), "tags": tags}


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
class SetTraffic(Step[AzureMlCloud]):
    """The switch, waited for. Refuses where the traffic isn't as the plan saw it: somebody else was faster.

    Attributes:
        expecting: the traffic that the plan saw.
        tags: the user's own, of the endpoint.
        properties: of the endpoint, those that change in place.
        back: only where the last one expected has a share still.
        mirror: of how many requests, in percent, the last one gets a copy.
    """

    name: DeploymentName
    to: Traffic
    expecting: Traffic
    tags: Mapping[str, str]
    properties: Mapping[str, Any]
    timeout_seconds: float
    back: bool = False
    mirror: int = 0
    effect = Effect.SWITCH

    def describe(self) -> str:
        if self.mirror:
            return f"a copy of {self.mirror} % of the traffic of {self.name} to {self.to[1].generation}"
        return f"traffic of {self.name}" if len(self.to) == 1 else f"traffic of {self.name}, {self.to[1].percent} % to {self.to[1].generation}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        found = online.settle(self.name, cloud, self.timeout_seconds, progress.note)
        if found is None:
            raise changed_by_another(self.name, "it is gone")
        copied = {found.place_of(self.to[1].generation): self.mirror} if self.mirror else {}
        if found.traffic == self.to and found.mirrored == copied:
            return False
        if self.back and self.expecting[-1].generation not in {share.generation for share in found.traffic}:
            return False
        if {share.generation for share in found.traffic} != {share.generation for share in self.expecting}:
            raise changed_by_another(self.name, f"its traffic goes to {_words(found.traffic)}")
        shares = {found.place_of(share.generation): share.percent for share in self.to}
        set_endpoint(
            self.name,
            cloud,
            found,
            self.timeout_seconds,
            tags=names.tags_for(self.name, self.to, self.tags, datetime.now(UTC).isoformat(timespec="seconds"), in_place=found.in_place),
            traffic=shares,
            **({"mirrorTraffic": copied} if copied or found.mirrored else {}),
            **self.properties,
        )
        await_endpoint(self.name, cloud, self.timeout_seconds, progress)
        return True


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


def set_endpoint(
    name: str, cloud: AzureMlCloud, found: online.AzureEndpoint, timeout_seconds: float, *, tags: Mapping[str, str], **properties: Any
) -> None:
    """Change an endpoint as it was found: Azure compares nothing, so the claim is read just before."""
    online.put(name, cloud, online.endpoint_path(name), found.changed(tags=tags, **properties), timeout_seconds)


def await_endpoint(name: str, cloud: AzureMlCloud, timeout_seconds: float, progress: Progress) -> None:
    """Until Azure is done with what this run has changed of an endpoint.

    Raises:
        Refused: it says that it failed, and why.
        TimedOut: it isn't done yet; it goes on.
    """
    path, status, why, begin = online.endpoint_path(name), "", "", time.monotonic()
    for status, why in online.followed(cloud, path, timeout_seconds):  # noqa: B007 - the last one says how it ended
        if status == "Succeeded":
            return
        progress.note(status)
    if status in ("Failed", "Canceled"):
        raise Refused(f"Azure could not change the endpoint {name}", why=why)
    for found in online.watched(name, "the endpoint", partial(online.endpoint, name, cloud), cloud, timeout_seconds, begun=begin):
        if found is None:
            raise changed_by_another(name, "it is gone")
        if not found.busy:
            return


def location_of(cloud: AzureMlCloud) -> str:
    """The region of the workspace, which endpoints have too."""
    if "location" not in cloud.learnt:
        cloud.learnt["location"] = str(cloud.ask("GET", "").document["location"])
    return str(cloud.learnt["location"])


def asset_path(resource: Resource) -> str:
    """Where a version of a model or an environment is, below its workspace."""
    called, _, version = resource.name.rpartition(":")
    return f"{resource.kind}s/{called}/versions/{version}"


def cannot_serve(name: DeploymentName, generation: str, why: str, lines: tuple[str, ...]) -> RolloutFailed:
    return RolloutFailed(
        f"{name} can't serve {generation}",
        why=why,
        advice="correct the model or its requirements; deploy run-local runs the same container on this machine",
        lines=lines,
    )


def changed_by_another(name: str, now: str) -> Conflict:
    return Conflict(
        f"the endpoint {name} was changed by somebody else meanwhile: {now}", advice="deploy get shows what is there; the same command starts from it"
    )


def _words(traffic: Traffic) -> str:
    return ", ".join(f"{share.generation} ({share.percent} %)" for share in traffic) or "nobody"
