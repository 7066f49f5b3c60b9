"""The steps from what is there to what is wanted, on this machine. Pure: names are digests, so all of them are known here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deployer.core import generations
from deployer.core.capabilities import SupportsStrategies
from deployer.core.compatibility import left_out
from deployer.core.container import Container, Mount
from deployer.core.plan import Plan, Step
from deployer.core.rollout import Shift, Traffic, way
from deployer.core.state import DeploymentName, ModelFacts, Observed, Record, Resource, Status
from deployer.core.target import DeploymentSpec
from deployer.oci import labels
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


def plan(spec: DeploymentSpec[LocalConfig], observed: Observed | None, meter: SupportsStrategies[LocalCloud]) -> Plan[LocalCloud]:
    """The new generation is started beside the old and gets the traffic when it answers, by the strategy; the old is drained, then swept with all
    that isn't kept.

    The supervisor compares and sets in one moment, so that nothing needs to be looked at again after the switch.
    """
    if spec.made and observed is not None and observed.view is not None:
        spec = replace(spec, config=spec.config.model_copy(update={"env": dict(observed.view.environments.get(spec.generation, {}))}))
    record = generations.successor(spec.record, observed)
    after = generations.succeeded(record, observed)
    keep = generations.stays(after, generations.depth(spec.config)) | _service(after)
    left_over = frozenset() if observed is None else observed.resources - keep
    sweep: tuple[Step[LocalCloud], ...] = (Sweep(spec.name, keep),)
    live = _live(spec, record, observed)
    if observed is not None and generations.alive(observed) == {record.generation} and observed.status is not Status.FAILED:
        return Plan(live=live, sweep=sweep if left_over else (), keep=keep, removes=left_over)
    route = way(spec, observed, _shift(spec), meter)
    ends = route.ends and spec.config.synchronous
    return Plan(
        forward=(
            WriteRecord(_first_record(record, observed) if route.ends else record, dict(spec.config.env)),
            *_first(spec, observed),
            CopyModel(spec.name, spec.model),
            StartContainer(spec.name, spec.generation, container(spec), spec.model.digest, spec.config.runtime, limits(spec.config)),
            *route.steps,
        ),
        live=live if ends else (),
        back=(*route.back, *_back(spec, observed)),
        sweep=sweep if ends else (),
        keep=keep,
        removes=left_over if route.ends else frozenset(),
        pauses_at=route.stops_at,
    )


def plan_delete(name: DeploymentName, observed: Observed) -> Plan[LocalCloud]:
    """One step: the supervisor takes everything with it."""
    return Plan(forward=(Stop(name),), removes=observed.resources)


def plan_prune(name: DeploymentName, observed: Observed, config: LocalConfig) -> Plan[LocalCloud]:
    """Remove the generations past `keep` before the one in service."""
    removes = generations.prunable(observed, generations.depth(config)) - _service(observed)
    keep = observed.resources - removes
    return Plan(forward=(Sweep(name, keep),) if removes else (), keep=keep, removes=removes)


def container(spec: DeploymentSpec[LocalConfig]) -> Container:
    """The container of a generation. Its model is mounted from where the spec has it; the supervisor mounts its own copy."""
    return Container(
        image=spec.image.reference,
        command=("serve",),
        port=PORT,
        environment={**_NO_DRAIN, **spec.config.env},
        mounts=(Mount(spec.model.path or Path(MODEL_DIRECTORY), MODEL_DIRECTORY),),
        labels={names.LABEL: f"{spec.name}/{spec.generation}", **without(spec.model.facts, spec.record.packages)},
    )


def without(model: ModelFacts, packages: str) -> dict[str, str]:
    """The label that tells the process runtime what of the model's requirements to leave out."""
    return {labels.WITHOUT: " ".join(sorted(left_out(model, packages)))}


def limits(config: LocalConfig) -> dict[str, float]:
    """What the supervisor holds each container to."""
    return {key: getattr(config, key) for key in _LIMITS}


def _first(spec: DeploymentSpec[LocalConfig], observed: Observed | None) -> tuple[Step[LocalCloud], ...]:
    """The port is taken once, before anything that costs time."""
    if observed is not None and observed.url:
        return ()
    return (OpenPort(spec.name, spec.config.host, spec.config.port),)


def _shift(spec: DeploymentSpec[LocalConfig]) -> Shift[LocalCloud]:
    """What `way` asks for: the steps from one state of the traffic to another."""

    def shift(to: Traffic, now: Traffic, *, back: bool = False) -> tuple[Step[LocalCloud], ...]:
        if back:
            return (Switch(spec.name, to, now, back=True),)
        if not spec.config.synchronous:
            return (SwitchWhenReady(spec.name, to),)
        return (AwaitReady(spec.name, to, spec.config.timeout_seconds), Switch(spec.name, to, now))

    return shift


def _first_record(record: Record, observed: Observed | None) -> Record:
    """The record as it's written before a rollout that ends: with the port that is open until the live changes move it."""
    return generations.as_before(record, observed, _ADDRESS) or record


def _live(spec: DeploymentSpec[LocalConfig], record: Record, observed: Observed | None) -> tuple[Step[LocalCloud], ...]:
    """What changes in place. The record is last: where a port is refused, it keeps saying what is."""
    before = observed.record if observed else None
    if observed is None or before is None:
        return ()
    same = before.generation == record.generation
    changed = {key for key in _LIVE if before.options.get(key) != record.options.get(key)} & set(_LIVE if same else _ADDRESS)
    if not changed:
        return ()
    now = with_options(before, record.options) if same else record
    change = ChangeOptions(spec.name, now, limits(spec.config))
    move = OpenPort(spec.name, spec.config.host, spec.config.port)
    return (move, change) if changed & set(_ADDRESS) else (change,)


def _back(spec: DeploymentSpec[LocalConfig], observed: Observed | None) -> tuple[Step[LocalCloud], ...]:
    """What the new generation alone uses goes; where nothing served before, that is everything."""
    if observed is None or observed.serving is None:
        return (Stop(spec.name),)
    if observed.candidate == spec.generation:  # the part that it has is given back first
        observed = replace(observed, traffic=observed.traffic[:1])
    return (Sweep(spec.name, generations.stays(observed, generations.ALL) | _service(observed)),)


def _service(observed: Observed) -> frozenset[Resource]:
    """The supervisor, and the containers of what is alive: of what is kept there is none, since one is quickly started again."""
    return frozenset({names.supervisor(observed.name), *(names.container(each) for each in generations.alive(observed))})
