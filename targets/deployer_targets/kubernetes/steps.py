"""The changes that plans are made of, each safe to run twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from deployer.core import generations
from deployer.core.counters import Counts
from deployer.core.plan import Effect, Progress, Step
from deployer.core.rollout import Traffic
from deployer.core.state import DeploymentName, Observed, Record, Resource, Status
from deployer.errors import Conflict
from deployer_targets.kubernetes import attachments, manifests, names
from deployer_targets.kubernetes.attachments import ROUTE
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.faults import Absent
from deployer_targets.kubernetes.images import ModelsImage, PodsImage
from deployer_targets.kubernetes.ledger import ConfigMapLedger
from deployer_targets.kubernetes.manifests import Manifest
from deployer_targets.kubernetes.metrics import counted
from deployer_targets.kubernetes.observe import View, is_ours, labelled, observe, service_of, told, traffic_of
from deployer_targets.kubernetes.waiting import AwaitPods

_MARK = f"/metadata/annotations/{names.RUN.replace('/', '~1')}"


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
class PushImage(Step[Kube]):
    """What the pods run."""

    image: PodsImage
    effect = Effect.CREATE

    def describe(self) -> str:
        return "model layer" if self.image.has_model else "image"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        return self.image.opened(cloud).push(progress.moved)


@dataclass(frozen=True, slots=True)
class PushModel(Step[Kube]):
    """The model's own image, which the nodes mount."""

    model: ModelsImage
    effect = Effect.CREATE

    def describe(self) -> str:
        return "model image"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        return self.model.opened(cloud).push(progress.moved)


@dataclass(frozen=True, slots=True)
class MakeSecret(Step[Kube]):
    """A generation's environment. `there`: the plan saw it."""

    manifest: Manifest = field(repr=False)
    there: bool = False
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.SECRET, self.manifest["metadata"]["name"])

    def describe(self) -> str:
        return f"secret {self.manifest['metadata']['name']}"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        if self.there:
            return False
        cloud.check()
        cloud.apply("Secret", manifests.marked(self.manifest, cloud.run))
        return True


@dataclass(frozen=True, slots=True)
class MakeDeployment(Step[Kube]):
    """A generation's Deployment, without pods yet: what a run leaves that was overtaken just then costs nothing. Its image is known by now.

    Attributes:
        model: the model's own image, where it is mounted.
        there: the plan saw it, which is marked: no older run takes it away.
        again: it is made again as it was to be, whatever somebody else has set in it; its number of pods stays.
    """

    manifest: Manifest
    image: PodsImage
    model: ModelsImage | None = None
    there: bool = False
    again: bool = False
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.DEPLOYMENT, self.manifest["metadata"]["name"])

    def describe(self) -> str:
        return f"deployment {self.manifest['metadata']['name']}"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        if self.there:
            return False
        manifest = manifests.marked(self.manifest, cloud.run)
        if manifests.pending(manifest):
            manifest = manifests.with_image(
                manifest, self.image.opened(cloud).reference(), self.model.opened(cloud).reference() if self.model else ""
            )

        def change(found: Object) -> bool:
            cloud.apply("Deployment", manifests.again(manifest, found), force=True)
            return True

        if self.again:
            return cloud.fenced("Deployment", manifest["metadata"]["name"], change)
        cloud.check()
        cloud.apply("Deployment", manifest)
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
        pods: how many a generation is to have once it has all of the traffic again; None where it has.
    """

    record: Record
    to: Traffic
    expecting: tuple[str, ...]
    config: KubernetesConfig = field(repr=False)
    real: str = ""
    back: bool = False
    there: bool = True
    pods: int | None = None
    effect = Effect.SWITCH

    @property
    def name(self) -> DeploymentName:
        return self.record.deployment

    def describe(self) -> str:
        return f"service {self.name}" + (f", {self.to[1].percent} % to {self.to[1].generation}{self.real}" if len(self.to) > 1 else "")

    def run(self, cloud: Kube, progress: Progress) -> bool:
        return cloud.contested("Service", self.name, partial(self._switch, cloud))

    def _switch(self, cloud: Kube, known: Object | None) -> bool:
        service = known or (cloud.find("Service", self.name) if self.there else service_of(self.name, cloud))
        now = traffic_of(service)
        if now == self.to:
            return False
        leads = tuple(each.generation for each in now)
        if self.back and self.expecting[-1] not in leads[1:]:
            return False
        if leads != self.expecting:
            raise Conflict(f"{self.name} leads to {' and '.join(leads) or 'nothing'} by now: somebody else changed it meanwhile")
        if not self._selected():
            _park_all_but(self.to, self.name, cloud)
        manifest = self._manifest(counted(self.name, self.to[-1].generation, cloud) if len(self.to) > 1 else {})
        if known is None:
            cloud.check()
        if service is not None and not is_ours(service, self.name):
            service = self._without_their_selector(service, manifest, cloud)
        if service is not None:
            manifest["metadata"]["resourceVersion"] = service["metadata"]["resourceVersion"]
        cloud.apply("Service", manifest, force=True)  # where it leads is compared above
        return True

    def _without_their_selector(self, service: Object, manifest: Manifest, cloud: Kube) -> Object:
        """Somebody else's Service, led to our pods at once: applied, their labels would be asked of our pods beside ours."""
        same = {"op": "test", "path": "/metadata/resourceVersion", "value": service["metadata"]["resourceVersion"]}
        return cloud.patch("Service", self.name, [same, {"op": "add", "path": "/spec/selector", "value": manifest["spec"]["selector"]}])

    def _selected(self) -> str:
        """The one generation that the Service leads to: that with all of the traffic. "" where two share it, unless a route splits it."""
        alone = next((each.generation for each in self.to if each.percent == 100), "")
        return alone or (self.to[0].generation if self.config.route else "")

    def _manifest(self, before: Counts) -> Manifest:
        said = {names.TRAFFIC: told(self.to), names.MODEL: self.record.model.uri, names.MADE: self.record.provenance.time}
        said[names.COUNTED] = json.dumps(before, sort_keys=True) if before else ""
        said[names.PODS] = str(self.pods or "")
        said[names.SPLIT_BY] = ROUTE if self.config.route and len(self.to) > 1 else ""
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
        return _park_all_but(traffic_of(service_of(self.name, cloud)), self.name, cloud)


@dataclass(frozen=True, slots=True)
class DeleteService(Step[Kube]):
    name: DeploymentName
    effect = Effect.DELETE

    def describe(self) -> str:
        return f"service {self.name}"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        known = cloud.known("Service", self.name)
        if known is None and service_of(self.name, cloud) is None:
            return False
        with suppress(Absent):
            cloud.remove("Service", self.name, known)
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
        view = observed.view or View()
        if free:
            cloud.check()
        for kind in (*attachments.KINDS, "Deployment", "Secret", "PersistentVolumeClaim"):
            for resource in sorted(one for one in free if one.kind == kind.lower()):
                with suppress(Absent):
                    cloud.remove(kind, resource.name, view.things.get(resource))
        ledger = ConfigMapLedger(cloud, self.name)
        if Resource(names.CLAIM, self.name) in free:
            ledger.release()
            return True
        ledger.drop(sorted(one.name for one in free if one.kind == names.RECORD))
        alive = generations.alive(observed)
        idle = [each for each in view.counts if each not in alive and names.deployment(self.name, each) not in free]
        return park(self.name, idle, view.counts, cloud) or bool(free)


def _park_all_but(traffic: Traffic, name: DeploymentName, cloud: Kube) -> bool:
    counts = {labelled(each, names.GENERATION): int(each["spec"]["replicas"]) for each in cloud.list("Deployment", names.labels(name))}
    return park(name, counts.keys() - {each.generation for each in traffic}, counts, cloud)


def park(name: DeploymentName, generations: Iterable[str], counts: Mapping[str, int], cloud: Kube) -> bool:
    """No pods for these generations; whether any had some."""
    changed = [scale(name, each, 0, cloud) for each in generations if counts[each]]
    return any(changed)


def scale(name: DeploymentName, generation: str, count: int, cloud: Kube, *, up: bool = False) -> bool:
    """Give a generation so many pods, with `up` at least so many; whether it had others."""
    where = names.of_generation(name, generation)

    def attempt(known: Object | None) -> bool:
        found = known or cloud.get("Deployment", where)
        there = int(found["spec"]["replicas"])
        if there == count or (up and there > count):
            return False if known is None else attempt(None)
        cloud.check()
        mark = {"op": "test", "path": _MARK, "value": (found["metadata"].get("annotations") or {}).get(names.RUN)}
        same = {"op": "test", "path": "/spec/replicas", "value": there}
        cloud.patch("Deployment", where, [mark, same, *_count(count)], manager=names.COUNTER)
        return True

    try:
        return cloud.contested("Deployment", where, attempt)
    except Absent as gone:
        cloud.check()
        raise Conflict(f"the Deployment of {generation} is gone: somebody else removed it", advice="the same command makes it again") from gone


def _count(count: int) -> list[dict[str, Any]]:
    """So many pods; said beside, too, so that another number is known as another's."""
    said = {"op": "add", "path": f"/metadata/annotations/{names.REPLICAS.replace('/', '~1')}", "value": str(count)}
    return [{"op": "replace", "path": "/spec/replicas", "value": count}, said]
