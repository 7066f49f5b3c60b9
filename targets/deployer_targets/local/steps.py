"""What a plan for the local target consists of: one small class a change, each safe to run twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from deployer.core.container import Container
from deployer.core.plan import Effect, Progress, Step
from deployer.core.rollout import Traffic
from deployer.core.seam import AT_ONCE, poll
from deployer.core.state import DeploymentName, Digest, PackagedModel, Record, Resource
from deployer.errors import RolloutFailed, TimedOut
from deployer_targets.local import names, wire
from deployer_targets.local.client import LocalCloud

_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WriteRecord(Step[LocalCloud]):
    """Leave with the supervisor what was asked for; secrets beside it, in its memory alone."""

    record: Record
    environment: Mapping[str, str] = field(repr=False)
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return names.record(self.record.generation)

    def describe(self) -> str:
        return f"record {self.record.generation}"

    def run(self, cloud: LocalCloud, progress: Progress) -> bool:
        return cloud.write_record(self.record.deployment, self.record, self.environment)


@dataclass(frozen=True, slots=True)
class OpenPort(Step[LocalCloud]):
    """Take the public port, unless it's held already; 0 picks one."""

    name: DeploymentName
    host: str
    port: int
    effect = Effect.CREATE

    def describe(self) -> str:
        return f"port {self.port}" if self.port else "free port"

    def run(self, cloud: LocalCloud, progress: Progress) -> bool:
        port, changed = cloud.listen(self.name, self.host, self.port)
        progress.note(f"listening on {self.host}:{port}")
        return changed


@dataclass(frozen=True, slots=True)
class CopyModel(Step[LocalCloud]):
    """Put the model's files where changing the source doesn't change what serves."""

    name: DeploymentName
    model: PackagedModel
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return names.model(self.model.digest)

    def describe(self) -> str:
        return "model data"

    def run(self, cloud: LocalCloud, progress: Progress) -> bool:
        return cloud.copy_model(self.name, self.model, progress.moved)


@dataclass(frozen=True, slots=True)
class StartContainer(Step[LocalCloud]):
    """Start the new generation beside what serves.

    Attributes:
        model: whose copy is mounted; None takes the mounts as they are.
        publish: the container has the open port itself, for its whole life. No other generation can take over without a gap.
    """

    name: DeploymentName
    generation: str
    container: Container
    model: Digest | None
    runtime: str
    limits: Mapping[str, float]
    publish: bool = False
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return names.container(self.generation)

    def describe(self) -> str:
        return f"container {self.generation}"

    def run(self, cloud: LocalCloud, progress: Progress) -> bool:
        return cloud.load(self.name, self.generation, self.container, self.runtime, self.limits, model=self.model, publish=self.publish)


@dataclass(frozen=True, slots=True)
class AwaitReady(Step[LocalCloud]):
    """Wait until the new generation answers its health check. When time runs out the supervisor goes on without us, and switches by itself.

    Attributes:
        then: the traffic that it switches to; the new generation is the last in it.
    """

    name: DeploymentName
    then: Traffic
    timeout_seconds: float
    effect = Effect.READ

    def describe(self) -> str:
        return "health check"

    def run(self, cloud: LocalCloud, progress: Progress) -> bool:
        generation = self.then[-1].generation
        look_seconds = min(_LOOK_SECONDS, self.timeout_seconds)
        for state in poll(lambda: cloud.wait(self.name, generation, look_seconds), seconds=self.timeout_seconds, pauses=AT_ONCE):
            if state.state == "ready":
                return False
            if not state.alive:
                wire.raise_error(state.fault)
                raise RolloutFailed(
                    f"generation {generation} of {self.name} can't serve",
                    why=reason(state.reason, state.lines),
                    advice="correct the model or its requirements; deploy run-local -t local shows the whole log",
                    lines=state.lines,
                )
            progress.note("the container loads the model")
        cloud.switch_when_ready(self.name, percents(self.then))
        raise TimedOut(
            f"generation {generation} of {self.name} is not ready after {self.timeout_seconds:g} s; it takes the traffic once it is",
            advice="run the same command again to follow it; --timeout waits longer",
        )


@dataclass(frozen=True, slots=True)
class Switch(Step[LocalCloud]):
    """Divide the traffic anew, in one moment; the supervisor drains who has no part in it any more.

    `back`: only where the last that is expected has a part still.
    """

    name: DeploymentName
    to: Traffic
    expecting: Traffic
    back: bool = False
    effect = Effect.SWITCH

    def describe(self) -> str:
        return _traffic(self.to)

    def run(self, cloud: LocalCloud, progress: Progress) -> bool:
        expecting = percents(self.expecting)
        if self.back:
            found = cloud.describe(self.name)
            expecting = dict(found.traffic) if found else {}
            if [*expecting] != [share.generation for share in self.expecting]:
                return False
        return cloud.shift(self.name, percents(self.to), expecting)


@dataclass(frozen=True, slots=True)
class SwitchWhenReady(Step[LocalCloud]):
    """Let the supervisor do that by itself once the new generation is ready: for who doesn't wait."""

    name: DeploymentName
    to: Traffic
    effect = Effect.SWITCH

    def describe(self) -> str:
        return f"{_traffic(self.to)}, once it is ready"

    def run(self, cloud: LocalCloud, progress: Progress) -> bool:
        cloud.switch_when_ready(self.name, percents(self.to))
        return True


@dataclass(frozen=True, slots=True)
class ChangeOptions(Step[LocalCloud]):
    """New values for what may change while a generation serves."""

    name: DeploymentName
    record: Record
    limits: Mapping[str, float]
    effect = Effect.UPDATE

    def describe(self) -> str:
        return "options"

    def run(self, cloud: LocalCloud, progress: Progress) -> bool:
        cloud.change(self.name, self.record, self.limits)
        return True


@dataclass(frozen=True, slots=True)
class Sweep(Step[LocalCloud]):
    """Remove all of ours that isn't in `keep`, as it is then. Containers answer their requests first."""

    name: DeploymentName
    keep: frozenset[Resource]
    effect = Effect.DELETE

    def describe(self) -> str:
        return "leftovers"

    def run(self, cloud: LocalCloud, progress: Progress) -> bool:
        kept = {kind: tuple(sorted(each.name for each in self.keep if each.kind == kind)) for kind in ("record", "container", "model")}
        return cloud.sweep(self.name, records=kept["record"], containers=kept["container"], models=kept["model"])


@dataclass(frozen=True, slots=True)
class Stop(Step[LocalCloud]):
    """End the supervisor: requests in progress are answered, containers stopped, files removed."""

    name: DeploymentName
    effect = Effect.DELETE

    def describe(self) -> str:
        return f"supervisor {self.name}"

    def run(self, cloud: LocalCloud, progress: Progress) -> bool:
        return cloud.stop(self.name)


def reason(said: str, lines: tuple[str, ...]) -> str:
    """Why a container failed: what the supervisor saw, and the last line that the container wrote."""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"{said}: {last}" if last else said


def with_options(record: Record, options: Mapping[str, object]) -> Record:
    """The record with other values of options."""
    return replace(record, options={**record.options, **options})


def percents(traffic: Traffic) -> dict[str, int]:
    """The traffic as the supervisor has it."""
    return {share.generation: share.percent for share in traffic}


def _traffic(to: Traffic) -> str:
    return "traffic" if len(to) == 1 else f"traffic, {to[-1].percent} % to {to[-1].generation}"
