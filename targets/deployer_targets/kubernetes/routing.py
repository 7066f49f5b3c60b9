"""A gateway has taken a route when it says so: what it says of one is waited for, and told."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import Pauses, poll
from deployer.core.state import DeploymentName
from deployer.errors import RolloutFailed, TimedOut
from deployer_targets.kubernetes.attachments import ROUTE
from deployer_targets.kubernetes.client import Kube, Object

_NEEDED = ("Accepted", "ResolvedRefs")
_PAUSES = Pauses(shortest=0.25, longest=2.0)


@dataclass(frozen=True, slots=True)
class AwaitRoute(Step[Kube]):
    """Every gateway that the route names has taken it, as it is now.

    Attributes:
        deadline_seconds: after which it has failed; `timeout_seconds`: after which this run waits no longer.
    """

    name: DeploymentName
    timeout_seconds: float
    deadline_seconds: float
    effect = Effect.READ

    def describe(self) -> str:
        return f"the gateways take the route {self.name}"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        begin = time.monotonic()
        for found in poll(lambda: cloud.get(ROUTE, self.name), seconds=self.timeout_seconds, pauses=_PAUSES):
            lacking = [*open_points(found)]
            if not lacking:
                return False
            progress.note(lacking[0].what)
            if any(each.certain for each in lacking) or time.monotonic() - begin > self.deadline_seconds:
                raise RolloutFailed(
                    f"{self.name}: its route is not taken",
                    why="; ".join(": ".join(filter(None, (each.what, each.why))) for each in lacking),
                    advice="route.parent_refs, route.hostnames: kubectl describe gateway has the listeners, and which routes they allow",
                )
        raise TimedOut(f"{self.name}: no gateway has taken the route yet; nothing was undone", advice="the same command waits again")


@dataclass(frozen=True, slots=True)
class OpenPoint:
    """What a route lacks: a phrase, the gateway's own sentence, and whether waiting longer can't help."""

    what: str
    why: str = ""
    certain: bool = False


def open_points(route: Object) -> Iterator[OpenPoint]:
    """What is missing until all gateways that the route names have taken its present version."""
    version, parents = route["metadata"].get("generation"), (route.get("status") or {}).get("parents") or ()
    for wanted in route["spec"].get("parentRefs") or ():
        said = [each for each in parents if _same_parent(wanted, each.get("parentRef") or {}, route["metadata"].get("namespace"))]
        if not said:
            yield OpenPoint(f"the gateway {wanted['name']} says nothing of the route")
        for each in said:
            yield from _lacking(str(wanted["name"]), each.get("conditions") or (), version)


def _lacking(gateway: str, conditions: Iterable[Mapping[str, Any]], version: int | None) -> Iterator[OpenPoint]:
    """What one gateway still has to say of this version of the route."""
    told = {one["type"]: one for one in conditions}
    for kind in _NEEDED:
        found = told.get(kind)
        if found is None or (version and found.get("observedGeneration", version) < version):
            yield OpenPoint(f"the gateway {gateway} has not looked at the route yet")
        elif found["status"] != "True":
            reason = str(found.get("reason", ""))
            certain = kind == "Accepted" and reason not in ("", "Pending")
            yield OpenPoint(f"the gateway {gateway} does not take the route ({reason or kind})", str(found.get("message", "")), certain)


def _same_parent(wanted: Mapping[str, Any], told: Mapping[str, Any], namespace: object) -> bool:
    return all(wanted.get(key, default) == told.get(key, default) for key, default in (("name", ""), ("namespace", namespace), ("sectionName", None)))
