"""The steps from what is there to what is wanted, on this machine. Pure: names are digests, so all of them are known here."""

from __future__ import annotations

from pathlib import Path

from deployer.container import Container, Mount
from deployer.plan import Plan, Step
from deployer.state import DeploymentName, Observed, Record, Resource, Status
from deployer.target import DeploymentSpec
from deployer_targets.local import names
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.config import LocalConfig
from deployer_targets.local.steps import (
    AwaitReady,
    ChangeOptions,
    CopyModel,
    OpenPort,
    StartContainer,
    Stop,
    Sweep,
    Switch,
    SwitchWhenReady,
    WriteRecord,
    with_options,
)

MODEL_DIRECTORY = "/opt/ml/model"
PORT = 8080

_NO_DRAIN = {"DEPLOYER_DRAIN_SECONDS": "0"}
"""No load balancer needs time to learn that a container goes: the supervisor has sent it nothing more by then."""

_LIMITS = ("startup_timeout", "drain_timeout", "max_restarts")
_ADDRESS = ("host", "port")
_LIVE = (*_ADDRESS, *_LIMITS, "tags")


def plan(spec: DeploymentSpec[LocalConfig], observed: Observed | None) -> Plan[LocalCloud]:
    """The new generation is started beside the old and gets the traffic when it answers; the old is drained, then swept with all that isn't kept.

    The supervisor compares and sets in one moment, so that nothing needs to be looked at again after the switch.
    """
    generation = spec.generation.id
    keep = frozenset(names.of_generation(spec.name, generation, spec.model.digest))
    if observed is not None:
        keep |= _memory(_kept(generation, observed, spec.config), observed)
    left_over = frozenset() if observed is None else observed.resources - keep
    sweep: tuple[Step[LocalCloud], ...] = (Sweep(spec.name, keep),)
    live = _live(spec, observed)
    if observed is not None and observed.serving == generation and observed.status is not Status.FAILED:
        return Plan(live=live, sweep=sweep if left_over else (), keep=keep, removes=left_over)
    return Plan(
        forward=(WriteRecord(_first_record(spec, observed), dict(spec.config.env)), *_first(spec, observed), *_rollout(spec, observed)),
        live=live if spec.config.synchronous else (),
        back=_back(spec.name, observed),
        sweep=sweep if spec.config.synchronous else (),
        keep=keep,
        removes=left_over,
    )


def plan_delete(name: DeploymentName, observed: Observed) -> Plan[LocalCloud]:
    """One step: the supervisor takes everything with it."""
    return Plan(forward=(Stop(name),), removes=observed.resources)


def plan_prune(name: DeploymentName, observed: Observed, config: LocalConfig) -> Plan[LocalCloud]:
    """Remove the generations past `keep` before the one in service."""
    kept = observed.lineage(_depth(config, observed))
    keep = _memory(kept, observed) | _service(name, observed)
    left_over = observed.resources - keep
    return Plan(forward=(Sweep(name, keep),) if left_over else (), keep=keep, removes=left_over)


def container(spec: DeploymentSpec[LocalConfig]) -> Container:
    """The container of a generation. Its model is mounted from where the spec has it; the supervisor mounts its own copy."""
    return Container(
        image=spec.image.reference,
        command=("serve",),
        port=PORT,
        environment={**_NO_DRAIN, **spec.config.env},
        mounts=(Mount(spec.model.path or Path(MODEL_DIRECTORY), MODEL_DIRECTORY),),
        labels={names.LABEL: f"{spec.name}/{spec.generation.id}"},
    )


def limits(config: LocalConfig) -> dict[str, float]:
    """What the supervisor holds each container to."""
    return {key: getattr(config, key) for key in _LIMITS}


def _first(spec: DeploymentSpec[LocalConfig], observed: Observed | None) -> tuple[Step[LocalCloud], ...]:
    """The port is taken once, before anything that costs time."""
    if observed is not None and observed.url:
        return ()
    return (OpenPort(spec.name, spec.config.host, spec.config.port),)


def _rollout(spec: DeploymentSpec[LocalConfig], observed: Observed | None) -> tuple[Step[LocalCloud], ...]:
    generation, wait = spec.generation.id, spec.config.synchronous
    start = StartContainer(spec.name, generation, container(spec), spec.model.digest, spec.config.runtime, limits(spec.config))
    if not wait:
        return (CopyModel(spec.name, spec.model), start, SwitchWhenReady(spec.name, generation))
    return (
        CopyModel(spec.name, spec.model),
        start,
        AwaitReady(spec.name, generation, spec.config.timeout_seconds),
        Switch(spec.name, generation, observed.serving if observed else None),
    )


def _first_record(spec: DeploymentSpec[LocalConfig], observed: Observed | None) -> Record:
    """The record as it's written before the rollout: with the port that is open until the live changes move it."""
    record = spec.record.replacing(observed.serving if observed else None)
    before = observed.record if observed else None
    return with_options(record, {key: before.options[key] for key in _ADDRESS if key in before.options}) if before else record


def _live(spec: DeploymentSpec[LocalConfig], observed: Observed | None) -> tuple[Step[LocalCloud], ...]:
    """What changes in place. The record is last: where a port is refused, it keeps saying what is."""
    before = observed.record if observed else None
    if observed is None or before is None:
        return ()
    same = before.generation == spec.record.generation
    changed = {key for key in _LIVE if before.options.get(key) != spec.record.options.get(key)} & set(_LIVE if same else _ADDRESS)
    if not changed:
        return ()
    now = with_options(before, spec.record.options) if same else spec.record.replacing(observed.serving)
    change = ChangeOptions(spec.name, now, limits(spec.config))
    move = OpenPort(spec.name, spec.config.host, spec.config.port)
    return (move, change) if changed & set(_ADDRESS) else (change,)


def _back(name: DeploymentName, observed: Observed | None) -> tuple[Step[LocalCloud], ...]:
    """What the new generation alone uses goes; where nothing served before, that is everything."""
    if observed is None or observed.serving is None:
        return (Stop(name),)
    return (Sweep(name, _memory(observed.lineage(len(observed.records)), observed) | _service(name, observed)),)


def _depth(config: LocalConfig, observed: Observed) -> int:
    return len(observed.records) if config.archive else config.keep


def _kept(generation: str, observed: Observed, config: LocalConfig) -> tuple[str, ...]:
    """The generations that stay, by descent: the new one, and as many before it as `keep` says."""
    depth = _depth(config, observed)
    if observed.serving == generation:
        return observed.lineage(depth)
    return (generation, *(observed.lineage(depth - 1) if depth else ()))


def _memory(kept: tuple[str, ...], observed: Observed) -> frozenset[Resource]:
    """Records and models of generations that stay. Their containers don't: one is quickly started again."""
    records = [observed.records[each] for each in kept if each in observed.records]
    return frozenset(resource for each in records for resource in (names.record(each.generation), names.model(each.model.digest)))


def _service(name: DeploymentName, observed: Observed) -> frozenset[Resource]:
    """What serves now."""
    return frozenset({names.supervisor(name), *(names.container(share.generation) for share in observed.traffic)})
