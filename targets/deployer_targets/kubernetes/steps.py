"""The changes that plans are made of, each safe to run twice."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from deployer.core import generations
from deployer.core.plan import Effect, Progress, Step
from deployer.core.rollout import Traffic
from deployer.core.state import DeploymentName, Image, Observed, PackagedModel, Record, Resource, Status
from deployer.errors import Conflict
from deployer_targets.kubernetes import manifests, names
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.faults import Absent, Overtaken, taken_by_another
from deployer_targets.kubernetes.ledger import ConfigMapLedger
from deployer_targets.kubernetes.manifests import Manifest
from deployer_targets.kubernetes.metrics import Counts, counted
from deployer_targets.kubernetes.observe import is_ours, observe, service_of, told, traffic_of
from deployer_targets.kubernetes.waiting import AwaitPods

_TRIES = 20


@dataclass(frozen=True, slots=True)
class WriteRecord(Step[Kube]):
    """Before all else, so that nothing half-made is ever out of sight."""

    record: Record
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return generations.record_resource(self.record.generation)

    def describe(self) -> str:
        return "record"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        return ConfigMapLedger(cloud, self.record.deployment).write(self.record)


@dataclass(frozen=True, slots=True)
class PushModel(Step[Kube]):
    """The model in a layer on its image. `kept`: an image in service, which may have it already."""

    image: Image
    model: PackagedModel
    kept: str
    effect = Effect.CREATE

    def describe(self) -> str:
        return "model layer"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        from deployer_targets.kubernetes.images import layer_of

        return layer_of(self.image, self.model, self.kept, cloud).push(progress.moved)


@dataclass(frozen=True, slots=True)
class MakeSecret(Step[Kube]):
    """A generation's environment."""

    manifest: Manifest = field(repr=False)
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.SECRET, self.manifest["metadata"]["name"])

    def describe(self) -> str:
        return f"secret {self.manifest['metadata']['name']}"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        if cloud.find("Secret", self.manifest["metadata"]["name"]) is not None:
            return False
        cloud.check()
        cloud.apply("Secret", self.manifest)
        return True


@dataclass(frozen=True, slots=True)
class MakeDeployment(Step[Kube]):
    """A generation's Deployment, without pods yet: what a run leaves that was overtaken just then costs nothing. Its image is known by now."""

    name: DeploymentName
    manifest: Manifest
    image: Image
    model: PackagedModel
    kept: str
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.DEPLOYMENT, self.manifest["metadata"]["name"])

    def describe(self) -> str:
        return f"deployment {self.manifest['metadata']['name']}"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        from deployer_targets.kubernetes.images import layer_of

        found = cloud.find("Deployment", self.manifest["metadata"]["name"])
        if found is not None and is_ours(found, self.name):
            return False
        image = layer_of(self.image, self.model, self.kept, cloud).reference()
        cloud.check()
        cloud.apply("Deployment", manifests.with_image(self.manifest, image))
        return True


@dataclass(frozen=True, slots=True)
class Scale(Step[Kube]):
    """How many pods a generation has. `up`: at least so many."""

    name: DeploymentName
    generation: str
    count: int
    up: bool = False
    effect = Effect.UPDATE

    def describe(self) -> str:
        return f"{self.count} {'pod' if self.count == 1 else 'pods'} of {self.generation}"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        return scale(self.name, self.generation, self.count, cloud, up=self.up)


@dataclass(frozen=True, slots=True)
class Point(Step[Kube]):
    """The switch: the Service selects other pods, as long as it leads where the plan saw it lead. `back`: only where the last one has a share still.

    While two generations share the traffic it selects the pods of both, so those of any other go first.

    Attributes:
        real: what the shares come to in whole pods, in words.
        there: the plan saw the Service, somebody else's that is taken over or ours.
    """

    record: Record
    to: Traffic
    expecting: tuple[str, ...]
    config: KubernetesConfig = field(repr=False)
    real: str = ""
    back: bool = False
    there: bool = True
    effect = Effect.SWITCH

    @property
    def name(self) -> DeploymentName:
        return self.record.deployment

    def describe(self) -> str:
        return f"service {self.name}" + (f", {self.to[1].percent} % to {self.to[1].generation}{self.real}" if len(self.to) > 1 else "")

    def run(self, cloud: Kube, progress: Progress) -> bool:
        for _ in range(_TRIES):
            service = cloud.find("Service", self.name) if self.there else service_of(self.name, cloud)
            now = traffic_of(service)
            if now == self.to:
                return False
            leads = tuple(each.generation for each in now)
            if self.back and self.expecting[-1] not in leads[1:]:
                return False
            if leads != self.expecting:
                raise Conflict(f"{self.name} leads to {' and '.join(leads) or 'nothing'} by now: somebody else changed it meanwhile")
            if self._selected() == "":
                park(self.name, frozenset(each.generation for each in self.to), cloud)
            manifest = self._manifest(counted(self.name, self.to[-1].generation, cloud) if len(self.to) > 1 else {})
            cloud.check()
            with suppress(Overtaken):
                if service is not None and not is_ours(service, self.name):
                    service = self._without_their_selector(service, manifest, cloud)
                if service is not None:
                    manifest["metadata"]["resourceVersion"] = service["metadata"]["resourceVersion"]
                cloud.apply("Service", manifest, force=True)  # where it leads is compared above
                return True
        raise taken_by_another(f"Service {self.name}")

    def _without_their_selector(self, service: Object, manifest: Manifest, cloud: Kube) -> Object:
        """Somebody else's Service, led to our pods at once: applied, their labels would be asked of our pods beside ours."""
        same = {"op": "test", "path": "/metadata/resourceVersion", "value": service["metadata"]["resourceVersion"]}
        return cloud.patch("Service", self.name, [same, {"op": "add", "path": "/spec/selector", "value": manifest["spec"]["selector"]}])

    def _selected(self) -> str:
        """The one generation that has all of the traffic; "" where two share it."""
        return next((each.generation for each in self.to if each.percent == 100), "")

    def _manifest(self, before: Counts) -> Manifest:
        said = {names.TRAFFIC: told(self.to), names.MODEL: self.record.model.uri, names.MADE: self.record.provenance.time}
        said[names.COUNTED] = json.dumps(before, sort_keys=True) if before else ""
        return manifests.service(self.name, self._selected(), self.config, {key: value for key, value in said.items() if value})


@dataclass(frozen=True, slots=True)
class ChangeLive(Step[Kube]):
    """What changes in place. The record comes last: where the cluster refuses, it keeps saying what is."""

    record: Record
    scale: Scale
    wait: AwaitPods | None
    effect = Effect.UPDATE

    def describe(self) -> str:
        return self.scale.describe()

    def run(self, cloud: Kube, progress: Progress) -> bool:
        changed = self.scale.run(cloud, progress)
        if self.wait is not None:
            self.wait.run(cloud, progress)
        return ConfigMapLedger(cloud, self.record.deployment).write(self.record) or changed


@dataclass(frozen=True, slots=True)
class Park(Step[Kube]):
    """No pods for what has no traffic: it is kept for a way back alone."""

    name: DeploymentName
    effect = Effect.UPDATE

    def describe(self) -> str:
        return "pods that have no traffic"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        living = frozenset(each.generation for each in traffic_of(service_of(self.name, cloud)))
        return park(self.name, living, cloud)


@dataclass(frozen=True, slots=True)
class DeleteService(Step[Kube]):
    name: DeploymentName
    effect = Effect.DELETE

    def describe(self) -> str:
        return f"service {self.name}"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        if service_of(self.name, cloud) is None:
            return False
        with suppress(Absent):
            cloud.fenced("Service", self.name, partial(cloud.delete, "Service"))
        return True


@dataclass(frozen=True, slots=True)
class Clear(Step[Kube]):
    """What of these no generation needs, as things stand then; records and the claim last. `beyond`: all but these instead."""

    name: DeploymentName
    resources: frozenset[Resource] = frozenset()
    beyond: frozenset[Resource] | None = None
    effect = Effect.DELETE

    def describe(self) -> str:
        return "what is not needed"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        observed = observe(self.name, cloud) or Observed(self.name, Status.FAILED)
        free = generations.removable(observed, names.service(self.name), self.resources, beyond=self.beyond)
        for kind, each in (("Deployment", names.DEPLOYMENT), ("Secret", names.SECRET)):
            for resource in sorted(one for one in free if one.kind == each):
                with suppress(Absent):
                    cloud.fenced(kind, resource.name, partial(cloud.delete, kind))
        ledger = ConfigMapLedger(cloud, self.name)
        if Resource(names.CLAIM, self.name) in free:
            ledger.release()
            return True
        ledger.drop(sorted(one.name for one in free if one.kind == names.RECORD))
        return park(self.name, generations.alive(observed), cloud) or bool(free)


def park(name: DeploymentName, living: frozenset[str], cloud: Kube) -> bool:
    """No pods for generations other than these; whether any had some."""
    changed = False
    for found in cloud.list("Deployment", names.labels(name)):
        generation = found["metadata"]["labels"].get(names.GENERATION, "")
        if generation not in living and found["spec"]["replicas"]:
            changed = scale(name, generation, 0, cloud) or changed
    return changed


def scale(name: DeploymentName, generation: str, count: int, cloud: Kube, *, up: bool = False) -> bool:
    """Give a generation so many pods, with `up` at least so many; whether it had others."""

    def change(found: Object) -> bool:
        there = int(found["spec"]["replicas"])
        if there == count or (up and there > count):
            return False
        version = found["metadata"]["resourceVersion"]
        cloud.apply("Deployment", manifests.replicas(name, generation, count, version), manager=names.COUNTER, force=True)
        return True

    try:
        return cloud.fenced("Deployment", names.of_generation(name, generation), change)
    except Absent as gone:
        cloud.check()
        raise Conflict(f"the Deployment of {generation} is gone: somebody else removed it", advice="the same command makes it again") from gone
