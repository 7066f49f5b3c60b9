"""The steps from what is there to what is wanted. Pure."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping

from deployer.core import generations
from deployer.core.capabilities import SupportsStrategies
from deployer.core.plan import Plan, Step
from deployer.core.rollout import Traffic, way
from deployer.core.state import DeploymentName
from deployer.core.target import DeploymentSpec
from deployer_targets.kubernetes import manifests, names
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.observe import Seen
from deployer_targets.kubernetes.steps import (
    ChangeLive,
    Clear,
    DeleteService,
    MakeDeployment,
    MakeSecret,
    Park,
    Point,
    PushModel,
    Scale,
    WriteRecord,
)
from deployer_targets.kubernetes.waiting import AwaitPods

Spec = DeploymentSpec[KubernetesConfig]


def plan(spec: Spec, observed: Seen | None, meter: SupportsStrategies[Kube]) -> Plan[Kube]:
    """The new generation's pods are ready, as many as the old one has, before the Service leads to them; then the old ones end.

    With allow_gap the old ones end first, and come back where the new ones can't serve.
    """
    name, config, view = spec.name, spec.config, observed.view if observed else None
    plan = generations.succession(spec.record, observed, generations.depth(config), names.service(name), names.beside(name))
    total = (view.owned if view else None) or config.replicas
    kept = observed.record.image if observed and observed.record else ""
    ours = bool(spec.image.runtime)

    def ready(generation: str, count: int) -> AwaitPods:
        return AwaitPods(name, generation, count, config.timeout_seconds, config.progress_deadline, ours, config.course.allow_gap)

    def shift(to: Traffic, now: Traffic, *, back: bool = False) -> tuple[Step[Kube], ...]:
        counts = split(to, total)
        room = [Scale(name, each, 0) for each in leaving(now, counts)] if config.course.allow_gap and not back else []
        up = [Scale(name, each, count, up=True) for each, count in counts.items()]
        wait = [ready(each, count) for each, count in counts.items()] if config.synchronous or back else []
        down = [Scale(name, each, count) for each, count in counts.items()] if len(to) > 1 else []
        there = observed is not None and names.service(name) in observed.resources
        point = Point(plan.record, to, tuple(share.generation for share in now), config, real(to, counts), back=back, there=there)
        return (*room, *up, *wait, point, *down)

    def again() -> Iterator[Step[Kube]]:
        if config.course.allow_gap and observed and not plan.whole:
            for generation in leaving(observed.traffic, {spec.generation}):
                yield Scale(name, generation, total, up=True)
                yield ready(generation, total)

    things: tuple[Step[Kube], ...] = (
        PushModel(spec.image, spec.model, kept),
        *([MakeSecret(manifests.secret(spec))] if config.env else []),
        MakeDeployment(name, manifests.deployment(spec), spec.image, spec.model, kept),
    )
    live: list[Step[Kube]] = []
    short = view is not None and view.owned is None and view.counts.get(spec.generation, total) < total
    if plan.whole and plan.earlier and (short or not plan.earlier.same(plan.record)):
        wait = ready(spec.generation, total) if config.synchronous else None
        live.append(ChangeLive(plan.record, Scale(name, spec.generation, total), wait))
    if plan.whole and observed and _strays(observed):
        live.append(Park(name))
    return way(spec, observed, shift, meter).plan(
        spec,
        plan,
        observed,
        make=(WriteRecord(plan.record), *(() if spec.made else things)),
        live=tuple(live),
        back=(*((WriteRecord(plan.earlier),) if plan.earlier else ()), Clear(name, plan.undone), *again()),
        sweep=Clear(name, beyond=plan.keep),
    )


def leaving(now: Traffic, to: Container[str]) -> tuple[str, ...]:
    """The generations that have traffic and are to have none."""
    return tuple(share.generation for share in now if share.generation not in to)


def plan_delete(name: DeploymentName, observed: Seen) -> Plan[Kube]:
    return Plan(forward=(DeleteService(name), Clear(name, beyond=frozenset())), removes=observed.resources)


def plan_prune(name: DeploymentName, observed: Seen, config: KubernetesConfig) -> Plan[Kube]:
    removes = generations.prunable(observed, generations.depth(config)) - names.beside(name) - {names.service(name)}
    return Plan(forward=(Clear(name, removes),) if removes else (), keep=observed.resources - removes, removes=removes)


def split(to: Traffic, total: int) -> Mapping[str, int]:
    """How many pods each generation has, so that connections go to them by these shares as nearly as whole pods can; none has less than one.

    One with all of the traffic has all of the pods, and beside it one without any keeps as many: it may have to take it back.
    """
    if len(to) == 1 or any(share.percent in (0, 100) for share in to):
        return {share.generation: total for share in to}
    all_of_them = max(total, len(to))
    last = min(all_of_them - 1, max(1, math.floor(all_of_them * to[-1].percent / 100 + 0.5)))
    return {to[0].generation: all_of_them - last, to[-1].generation: last}


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
