"""The steps of a container group, one small class each. Each is safe to run twice."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import poll
from deployer.core.state import DeploymentName, Record, Resource
from deployer.errors import Conflict
from deployer_targets.azureml import names, online, variables
from deployer_targets.azureml.aci import bodies, groups, vault
from deployer_targets.azureml.aci.groups import ContainerGroup
from deployer_targets.azureml.aci.images import GroupImage, login
from deployer_targets.azureml.bodies import PORT, READY
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.ledger import BlobLedger
from deployer_targets.azureml.steps import cannot_serve
from deployer_targets.azureml.traffic import location_of


@dataclass(frozen=True, slots=True)
class MakeKeys(Step[AzureMlCloud]):
    """The two keys of a deployment, by which its server knows who may ask."""

    name: DeploymentName
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.KEYS, self.name)

    def describe(self) -> str:
        return "keys"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        return vault.make_keys(self.name, cloud)


@dataclass(frozen=True, slots=True)
class PushGroupImage(Step[AzureMlCloud]):
    """The model as a layer on its image."""

    image: GroupImage
    effect = Effect.CREATE

    def describe(self) -> str:
        return "model layer"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        return self.image.push(cloud, progress.moved)


@dataclass(frozen=True, slots=True)
class PutGroup(Step[AzureMlCloud]):
    """The whole group as a generation wants it: it is restarted, and deleted before where Azure can't change it in place.

    Attributes:
        known: it has served before, and counts as serving from now on.
    """

    record: Record
    timeout_seconds: float
    known: bool = False
    effect = Effect.SWITCH

    @property
    def makes(self) -> Resource:
        return names.group(self.record.deployment)

    def describe(self) -> str:
        return f"container group {self.record.deployment}, {self.record.generation}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        name, generation, seconds = self.record.deployment, self.record.generation, self.timeout_seconds
        found = groups.settle(name, cloud, seconds, progress.note)
        before = found.serving if found else None
        if found is not None and found.runs == generation and found.state != "Failed" and not (self.known and before != generation):
            return False
        body = self._body(cloud, before)
        if found is not None and found.fixed != groups.fixed(body["properties"]):
            progress.note("deleted first: Azure changes neither size nor network in place")
            groups.delete(name, cloud, seconds)
        groups.put(name, body, cloud, seconds)
        return True

    def _body(self, cloud: AzureMlCloud, before: str | None) -> dict[str, Any]:
        record = self.record
        config = AzureMlConfig.parse({}, target="azureml").completed(record, (), target="azureml")
        image = GroupImage.of(record).reference(cloud)
        tags = tags_for(record.deployment, config.tags, serving=record.generation if self.known else before, candidate=record.generation)
        return bodies.group(
            config,
            location=location_of(cloud),
            image=image,
            variables=variables.recalled(record, cloud),
            keys=vault.keys(record.deployment, cloud),
            tags=tags,
            login=login(image, config, cloud),
        )


@dataclass(frozen=True, slots=True)
class AwaitGroup(Step[AzureMlCloud]):
    """Until the group's server is ready."""

    name: DeploymentName
    generation: str
    timeout_seconds: float
    effect = Effect.READ

    def describe(self) -> str:
        return f"{self.generation} is ready"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        begin, why = time.monotonic(), ""
        for status, reason in online.followed(cloud, groups.path(self.name), self.timeout_seconds):
            why = reason
            progress.note(f"{status}, the image is pulled")
        looks = poll(
            lambda: self._look(cloud),
            seconds=begin + self.timeout_seconds - time.monotonic(),
            late=lambda seen: online.late(self.name, seen[1], self.timeout_seconds),
            pauses=online.LOOKS,
            sleep=cloud.connection.sleep,
        )
        for group, answer in looks:
            if group is None or group.runs != self.generation:
                raise _changed_by_another(self.name)
            if answer == "200":
                return False
            if group.state == "Failed" or group.crash:
                said = why or group.crash or "Azure says Failed of the container group"
                raise cannot_serve(self.name, self.generation, said, groups.last_lines(self.name, cloud))
            progress.note(f"{group.state}, the container loads the model")
        return False

    def _look(self, cloud: AzureMlCloud) -> tuple[ContainerGroup | None, str]:
        from deployer_images.runtimes.health import answer

        group = groups.find(self.name, cloud)
        if group is None or group.under_way or not group.address:
            return group, f"the container group is {group.state if group else 'gone'}"
        return group, answer((group.address, PORT), READY, 5.0)


@dataclass(frozen=True, slots=True)
class ConfirmGroup(Step[AzureMlCloud]):
    """The group says that it serves this generation: its tags alone change, and nothing is restarted."""

    name: DeploymentName
    generation: str
    tags: Mapping[str, str]
    effect = Effect.UPDATE

    def describe(self) -> str:
        return f"{self.generation} serves"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        found = groups.find(self.name, cloud)
        if found is None or found.runs != self.generation:
            raise _changed_by_another(self.name)
        wanted = tags_for(self.name, self.tags, serving=self.generation, since=found.tags.get(names.TAG_SINCE, ""))
        if {**found.tags, names.TAG_SINCE: ""} == {**wanted, names.TAG_SINCE: ""}:
            return False
        if found.serving != self.generation:
            wanted[names.TAG_SINCE] = datetime.now(UTC).isoformat(timespec="seconds")
        groups.change(cloud, "PATCH", self.name, {"tags": wanted})
        return True


@dataclass(frozen=True, slots=True)
class ChangeTags(Step[AzureMlCloud]):
    """The user's own tags. The record comes last."""

    record: Record
    tags: Mapping[str, str]
    effect = Effect.UPDATE

    def describe(self) -> str:
        return "tags"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        ConfirmGroup(self.record.deployment, self.record.generation, self.tags).run(cloud, progress)
        return BlobLedger(cloud, self.record.deployment).write(self.record)


@dataclass(frozen=True, slots=True)
class DeleteGroup(Step[AzureMlCloud]):
    """The group, waited for until it is gone. `idle`: only one that has never served."""

    name: DeploymentName
    timeout_seconds: float
    idle: bool = False
    effect = Effect.DELETE

    def describe(self) -> str:
        return f"container group {self.name}" + (", if it never served" if self.idle else "")

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        if self.idle and (found := groups.find(self.name, cloud)) is not None and found.serving:
            return False
        return groups.delete(self.name, cloud, self.timeout_seconds)


def tags_for(name: DeploymentName, own: Mapping[str, str], *, serving: str | None, candidate: str | None = None, since: str = "") -> dict[str, str]:
    """A group's tags: the user's own, and ours."""
    told = {names.TAG_SERVING: serving, names.TAG_CANDIDATE: candidate if candidate != serving else None, names.TAG_SINCE: since}
    return {**own, names.TAG_DEPLOYMENT: name, **{key: value for key, value in told.items() if value}}


def _changed_by_another(name: DeploymentName) -> Conflict:
    return Conflict(f"container group {name} was changed by somebody else", advice="deploy get shows what is there")
