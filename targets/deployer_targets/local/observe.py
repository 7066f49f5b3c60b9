"""What a supervisor says, in the words that all targets share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.core.selectors import tags_of
from deployer.core.state import DeploymentName, Observed, Resource, Share, Status
from deployer.core.target import Summary
from deployer_targets.local import names
from deployer_targets.local.wire import ContainerState, Description


@dataclass(frozen=True, slots=True)
class View:
    """What only the planner must know: the environment of each generation, which a way back to it needs; no record has it."""

    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)


def observed(found: Description, environments: Mapping[str, Mapping[str, str]] | None = None) -> Observed[View]:
    """A deployment as its supervisor describes it."""
    status, reason = condition(found)
    return Observed(
        name=DeploymentName(found.name),
        status=status,
        traffic=tuple(Share(generation, percent) for generation, percent in found.traffic.items()),
        incoming=found.incoming,
        records=found.records,
        resources=resources(found),
        reason=reason,
        url=found.url,
        view=View(environments or {}),
        detail={
            "supervisor": {"pid": found.pid, "host": found.host, "port": found.port, **found.limits},
            "containers": {generation: _described(state) for generation, state in found.containers.items()},
        },
    )


def resources(found: Description) -> frozenset[Resource]:
    """All that is there of a deployment."""
    return frozenset(
        (
            names.supervisor(found.name),
            *(names.record(generation) for generation in found.records),
            *(names.container(generation) for generation, state in found.containers.items() if state.state != "stopped"),
            *(Resource("model", model) for model in found.models),
            *(Resource("unfinished", model) for model in found.unfinished),
        )
    )


def condition(found: Description) -> tuple[Status, str]:
    """The status, and why it isn't ready."""
    container = found.containers.get(found.serving) if found.serving else None
    if container is None:
        newest = list(found.containers.values())[-1:]
        if newest and newest[0].alive:
            return Status.PROGRESSING, ""
        return Status.FAILED, newest[0].reason if newest else "no generation serves"
    match container.state:
        case "ready" if not container.reason:
            resting = Status.PAUSED if len(found.traffic) > 1 else Status.READY
            return (Status.PROGRESSING if found.incoming else resting), _failed_beside(found)
        case "ready" | "starting" | "restarting":
            return Status.DEGRADED, container.reason
        case "stopping":
            return Status.PROGRESSING, "it is being deleted"
        case _:
            return Status.FAILED, container.reason


def summary(found: Description) -> Summary:
    """One row of `list`."""
    status, reason = condition(found)
    record = found.records.get(found.serving) if found.serving else next(iter(found.records.values()), None)
    generation = found.serving or (record.generation if record else "")
    container = found.containers.get(generation)
    return Summary(
        name=DeploymentName(found.name),
        status=status,
        model=record.model.uri if record else "",
        generation=generation,
        created=record.provenance.made if record else None,
        columns={"URL": found.url, "RUNTIME": container.runtime if container else ""},
        reason=reason,
        tags=tags_of(record),
    )


def _failed_beside(found: Description) -> str:
    """Why a generation that was to take over by itself doesn't; the one before serves."""
    failed = [f"generation {each} failed: {state.reason}" for each, state in found.containers.items() if state.state == "failed"]
    return "; ".join(failed)


def _described(state: ContainerState) -> dict[str, object]:
    return {"state": state.state, "reason": state.reason, "restarts": state.restarts, "runtime": state.runtime, "image": state.image}
