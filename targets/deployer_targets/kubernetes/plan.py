"""The steps from what is there to what is wanted. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace

from deployer.core import generations
from deployer.core.capabilities import SupportsStrategies
from deployer.core.generations import Succession
from deployer.core.plan import Plan, Step
from deployer.core.rollout import Traffic, way
from deployer.core.state import DeploymentName, Resource, Share
from deployer.core.strategy_options import Course
from deployer.core.target import DeploymentSpec
from deployer_targets.kubernetes import attachments, image_volumes, manifests, names, volumes
from deployer_targets.kubernetes.attaching import Attach
from deployer_targets.kubernetes.attachments import AUTOSCALER, BACKEND, ROUTE
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.delivery import deadline, filled, patience
from deployer_targets.kubernetes.image_volumes import TryImageVolume
from deployer_targets.kubernetes.images import ModelsImage, PodsImage, models_image, pods_image, registry_of
from deployer_targets.kubernetes.observe import Seen, View
from deployer_targets.kubernetes.pull_secrets import MakePullSecret
from deployer_targets.kubernetes.routing import AwaitRoute
from deployer_targets.kubernetes.steps import (
    ChangeLive,
    Clear,
    DeleteService,
    MakeDeployment,
    MakeSecret,
    Park,
    Point,
    PushImage,
    PushModel,
    Scale,
    WriteRecord,
)
from deployer_targets.kubernetes.volumes import FillVolume
from deployer_targets.kubernetes.waiting import AwaitPods

Spec = DeploymentSpec[KubernetesConfig]
BESIDE = tuple(kind for kind in attachments.KINDS if kind not in (ROUTE, BACKEND))
"""What follows once the traffic has gone; the way in leads it there."""


def plan(spec: Spec, observed: Seen | None, meter: SupportsStrategies[Kube]) -> Plan[Kube]:
    """The new generation's pods are ready, as many as the old one has, before the Service leads to them; then the old ones end.

    With allow_gap the old ones end first, and come back where the new ones can't serve.
    """
    name, config = spec.name, spec.config
    attached = (observed.view or View()).attached if observed else {}
    wanted = [attachments.resource(each) for each in attachments.attachments(name, config, (Share(spec.generation),))]
    beside = names.beside(name) | {*wanted} | _login(spec, observed)
    plan = generations.succession(spec.record, observed, generations.depth(config), names.service(name), beside)
    plan = replace(plan, keep=plan.keep | {each for each in attached if config.route and _backs(each, plan.keep)})
    total = pods_wanted(config, observed)
    image, model = _image(spec, observed), _models_image(spec, observed)
    ours, course = bool(spec.image.runtime), by_batches(config.course, total)

    def ready(generation: str, count: int) -> AwaitPods:
        return AwaitPods(name, generation, count, patience(spec), deadline(spec), ours, config.course.allow_gap)

    def shift(to: Traffic, now: Traffic, *, back: bool = False) -> tuple[Step[Kube], ...]:
        routed = config.route is not None
        counts = {share.generation: total for share in to} if routed and not course.batch else split(to, total)
        still = attach(name, config, to, AUTOSCALER) if shared(to) else ()
        room = [Scale(name, each, 0) for each in leaving(now, counts)] if config.course.allow_gap and not back else []
        up = [Scale(name, each, count, up=True) for each, count in counts.items()]
        wait = [ready(each, count) for each, count in counts.items()] if config.synchronous or back else []
        way_in = attach(name, config, to, ROUTE, BACKEND)
        taken = [awaited(spec)] if routed and config.synchronous and not back else []
        down = [Scale(name, each, count) for each, count in counts.items()] if len(to) > 1 else []
        point = Point(
            plan.record,
            to,
            tuple(share.generation for share in now),
            config,
            "" if routed else real(to, counts),
            back=back,
            there=names.service(name) in seen,
            pods=total if len(to) > 1 else None,
        )
        return (*still, *room, *up, *wait, *way_in, *taken, point, *down, *attach(name, config, to, *BESIDE))

    def again() -> Iterator[Step[Kube]]:
        if config.course.allow_gap and observed and not plan.whole:
            for generation in leaving(observed.traffic, {spec.generation}):
                yield Scale(name, generation, total, up=True)
                yield ready(generation, total)

    seen = observed.resources if observed else frozenset()
    things: tuple[Step[Kube], ...] = (
        PushImage(image),
        *([MakePullSecret(name, registry_of(spec.image))] if config.pull_secret else []),
        *([TryImageVolume(spec.name, image_volumes.pod(spec, ""), image, deadline(spec)), PushModel(model)] if model else []),
        *([MakeSecret(manifests.secret(spec), names.secret(name, spec.generation) in seen)] if config.env else []),
        *([FillVolume(name, volumes.claim(spec), volumes.pod(spec), image, patience(spec), deadline(spec))] if filled(config) else []),
        MakeDeployment(manifests.deployment(spec), image, model, names.deployment(name, spec.generation) in seen),
    )
    return way(spec, observed, shift, meter, course).plan(
        spec,
        plan,
        observed,
        make=(WriteRecord(plan.record), *(() if spec.made else things)),
        live=(*_live(spec, plan, observed, total, ready),),
        back=(
            *_as_before(spec, observed),
            *((WriteRecord(plan.earlier),) if plan.earlier else ()),
            Clear(name, plan.undone | (frozenset(wanted) - attached.keys())),
            *again(),
        ),
        sweep=Clear(name, beyond=plan.keep) if seen - names.beside(name) else None,
        fenced=True,
    )


def _image(spec: Spec, observed: Seen | None) -> PodsImage:
    return pods_image(spec, _kept(observed))


def _models_image(spec: Spec, observed: Seen | None) -> ModelsImage | None:
    return models_image(spec, _kept(observed))


def _kept(observed: Seen | None) -> str:
    """The image in service."""
    return observed.record.image if observed and observed.record else ""


def _live(spec: Spec, plan: Succession, observed: Seen | None, total: int, ready: Callable[[str, int], AwaitPods]) -> Iterator[Step[Kube]]:
    """What changes in place, where the generation serves already. An autoscaler that isn't wanted goes before the number of pods is said again.

    The record comes last: where the cluster refuses something, it keeps saying what is.
    """
    if not plan.whole or observed is None:
        return
    name, config, view = spec.name, spec.config, observed.view or View()
    gone = frozenset(view.attached) - plan.keep
    if gone:
        yield Clear(name, gone)
    lacking = attachments.missing(name, config, observed.traffic, view.attached)
    yield from (Attach(name, each, config.force_conflicts) for each in lacking)
    if config.synchronous and any(each["kind"] == ROUTE for each in lacking):
        yield awaited(spec)
    if config.force_conflicts and spec.generation in view.drifted:
        yield MakeDeployment(manifests.deployment(spec), _image(spec, observed), _models_image(spec, observed), again=True)
        yield ready(spec.generation, total)
    short = view.owned is None and view.counts.get(spec.generation, total) < total
    if plan.earlier and (short or not plan.earlier.same(plan.record)):
        wait = ready(spec.generation, total) if config.synchronous else None
        yield ChangeLive(plan.record, Scale(name, spec.generation, total, up=config.autoscaling is not None), wait)
    if _strays(observed):
        yield Park(name)


def _as_before(spec: Spec, observed: Seen | None) -> tuple[Step[Kube], ...]:
    """The way in as it was, where there was one: it may lead to the new generation by now."""
    if observed is None or observed.record is None or not observed.traffic:
        return ()
    earlier = spec.config.completed(observed.record, (), target="kubernetes")
    before = (Share(observed.traffic[0].generation),) if observed.candidate == spec.generation else observed.traffic
    return attach(spec.name, earlier, before, ROUTE) if earlier.route else ()


def _login(spec: Spec, observed: Seen | None) -> frozenset[Resource]:
    """The nodes' login to the registry, where a generation needs it that is wanted or there."""
    earlier = observed.records.values() if observed else ()
    needed = spec.config.pull_secret or any(record.options.get("pull_secret") for record in earlier)
    return frozenset({Resource(names.SECRET, names.pull_secret(spec.name))} if needed else ())


def _backs(resource: Resource, keep: frozenset[Resource]) -> bool:
    """Whether it is the Service of a generation that is kept."""
    return resource.kind == BACKEND.lower() and Resource(names.DEPLOYMENT, resource.name) in keep


def attach(name: DeploymentName, config: KubernetesConfig, traffic: Traffic, *kinds: str) -> tuple[Step[Kube], ...]:
    """What stands beside the pods, of these kinds, as it is to be for the traffic."""
    return tuple(Attach(name, each, config.force_conflicts) for each in attachments.attachments(name, config, traffic) if each["kind"] in kinds)


def awaited(spec: Spec) -> AwaitRoute:
    return AwaitRoute(spec.name, patience(spec), deadline(spec))


def pods_wanted(config: KubernetesConfig, observed: Seen | None) -> int:
    """How many pods what serves is to have: as many as are asked for, or as it has where somebody else has them in hand."""
    bounds, view = config.autoscaling, observed.view if observed else None
    asked = bounds.within(config.replicas) if bounds else config.replicas
    if view is None or observed is None:
        return asked
    if shared(observed.traffic) and view.pods:
        return view.pods
    scaled = Resource(AUTOSCALER.lower(), observed.name) in view.attached
    if scaled and not bounds:
        return asked
    count = view.counts.get(observed.serving or "") if scaled else view.owned
    return (bounds.within(count) if bounds else count) if count else asked


def shared(traffic: Traffic) -> bool:
    """Whether two generations have a share each."""
    return len(traffic) > 1 and all(share.percent not in (0, 100) for share in traffic)


def leaving(now: Traffic, to: Container[str]) -> tuple[str, ...]:
    """The generations that have traffic and are to have none."""
    return tuple(share.generation for share in now if share.generation not in to)


def plan_delete(name: DeploymentName, observed: Seen) -> Plan[Kube]:
    return Plan(forward=(DeleteService(name), Clear(name, beyond=frozenset())), removes=observed.resources)


def plan_prune(name: DeploymentName, observed: Seen, config: KubernetesConfig) -> Plan[Kube]:
    removes = generations.prunable(observed, generations.depth(config)) - names.beside(name)
    removes -= {names.service(name), Resource(names.SECRET, names.pull_secret(name))}
    follows = {each for each in (observed.view or View()).attached if Resource(names.DEPLOYMENT, each.name) not in removes}
    removes -= follows
    return Plan(forward=(Clear(name, removes),) if removes else (), keep=observed.resources - removes, removes=removes)


def split(to: Traffic, total: int) -> Mapping[str, int]:
    """How many pods each generation has, so that connections go to them by these shares as nearly as whole pods can; none has less than one.

    One with all of the traffic has all of the pods, and beside it one without any keeps as many: it may have to take it back.
    """
    if not shared(to):
        return {share.generation: total for share in to}
    all_of_them = max(total, len(to))
    last = min(all_of_them - 1, max(1, math.floor(all_of_them * to[-1].percent / 100 + 0.5)))
    return {to[0].generation: all_of_them - last, to[-1].generation: last}


def by_batches(course: Course, total: int) -> Course:
    """The course; of one that rolls with the shares that its batches come to, but for the last, after which it has all."""
    if not course.batch:
        return course
    size = math.ceil(total * int(course.batch[:-1]) / 100) if course.batch.endswith("%") else int(course.batch)
    return replace(course, steps=tuple(dict.fromkeys(math.floor(100 * count / total + 0.5) for count in range(size, total, size))))


def real(to: Traffic, counts: Mapping[str, int]) -> str:
    """What the shares come to, in words; "" where they are as asked for."""
    if len(to) < 2:
        return ""
    last, every = counts[to[-1].generation], sum(counts.values())
    percent = round(100 * last / every)
    exact = to[-1].percent in (0, 100, percent)
    return "" if exact else f" ({last} of {every} pods: {percent} % of the connections)"


def _strays(observed: Seen) -> bool:
    """Whether pods are there that have no traffic."""
    counts = observed.view.counts if observed.view else {}
    return any(count for generation, count in counts.items() if generation not in generations.alive(observed))
