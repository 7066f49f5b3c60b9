"""The one natural way: settle, observe, resolve, plan, claim, and again with the name held, then apply. Every changing verb goes through here."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from deployer.core import engine
from deployer.core.capabilities import SupportsAccounts, SupportsAdoption, SupportsPackages, accelerator_of
from deployer.core.compatibility import Fit, fit
from deployer.core.history import DONE, PAUSED, UNDER_WAY
from deployer.core.plan import Plan
from deployer.core.requirements import refuse_old_python
from deployer.core.rollout import refuse_what_is_not_there
from deployer.core.schema import SchemaChanges, schema_changes
from deployer.core.state import DeploymentName, Image, Observed, PackagedModel, Provenance
from deployer.core.target import ConfigT, DeploymentRequest, DeploymentSpec, Intent, Target
from deployer.errors import (
    Conflict,
    DeployerError,
    DeploymentExists,
    DeploymentNotFound,
    EnvironmentMisfit,
    ModelInvalid,
    RolloutFailed,
    SchemaChangeRefused,
)
from deployer.events import Noticed, Report, Resolved
from deployer.verbs.history import Diary, rests
from deployer.verbs.moves import Move

if TYPE_CHECKING:
    from deployer.core.options import TargetConfig

Cloud = TypeVar("Cloud")


@dataclass(frozen=True, slots=True)
class Wish:
    """What one command asks for, before anything is known of the cloud.

    Attributes:
        endpoint: the one that the deployment is behind, as the cloud is seen through it (`SupportsEndpoints`).
        intent: None where it goes by what is there, in a plan: an update of that, or else a create.
        model: None where an update names no model: the one in service stays.
        config: all options of this run, and where each came from; None: the defaults.
        named: which of them are meant for this deployment (None: all); the others stand for all, and an update takes the record before these.
        packages: None where it isn't named: as the record has it, for an update, or else auto.
        move: where no generation is to be made, the one that is there and is to have the traffic.
    """

    name: DeploymentName
    intent: Intent | None
    model: PackagedModel | None = None
    config: TargetConfig | None = None
    named: frozenset[str] | None = None
    packages: str | None = None
    allow_schema_change: bool = False
    adopt: bool = False
    allow_build: bool = False
    provenance: Provenance = field(default_factory=Provenance)
    endpoint: str | None = None
    move: Move | None = None


@dataclass(frozen=True, slots=True)
class Prospect(Generic[ConfigT, Cloud]):
    """What would be done: what is there, what is wanted, the steps between, whether the image fits and what callers would notice.

    Attributes:
        held: where it was done, the cloud as that run held it, which knows what the run has written; None where nothing was claimed.
    """

    intent: Intent
    observed: Observed | None
    spec: DeploymentSpec[ConfigT]
    plan: Plan[Cloud]
    fit: Fit
    schema: SchemaChanges
    held: Cloud | None = None


def prospect(target: Target[ConfigT, Cloud], cloud: Cloud, wish: Wish) -> Prospect[ConfigT, Cloud]:
    """Look, and plan; changes nothing. This is all of `plan`, `diff` and `--dry-run`.

    Raises:
        DeploymentExists: create, where another spec is in service or being made.
        DeploymentNotFound: update of what isn't there.
        ModelInvalid: the server doesn't run on the model's Python.
    """
    cloud = _adopting(target, cloud, wish)
    observed = target.observe(wish.name, cloud)
    if wish.move is not None:
        spec = wish.move.spec(target, observed, wish.name, _config(target, wish), wish.named)
        refuse_what_is_not_there(target, target.scheme, spec.config)
        spec = _paused_first(target, cloud, spec, observed)
        return Prospect(Intent.UPDATE, observed, spec, target.plan(spec, observed), Fit(), SchemaChanges())
    request = requested(target, wish, observed)
    spec = _paused_first(target, cloud, target.resolve(request, observed, cloud), observed)
    if wish.intent is Intent.CREATE and observed is not None and not _same_or_unfinished(observed, spec):
        raise DeploymentExists(
            f"{wish.name} exists already, generation {observed.serving or observed.incoming}, with another model or other options",
            advice=f"deploy update -n {wish.name} changes it; deploy apply creates or updates",
        )
    before = observed.record.model.signature if observed and observed.record else None
    return Prospect(
        intent=request.intent,
        observed=observed,
        spec=spec,
        plan=target.plan(spec, observed),
        fit=fit(spec.model.facts, spec.image, spec.record.packages, accelerator_of(target, spec.config)),
        schema=schema_changes(before, spec.model.facts.signature) if observed and observed.record else SchemaChanges(),
    )


def refusal(found: Prospect[Any, Any], wish: Wish, report: Report) -> DeployerError | None:
    """The error with which `deploy` would end before it changes anything; None where it would go on, or has nothing to do."""
    try:
        if not found.plan.empty:
            judge(found, wish, report)
    except (ModelInvalid, SchemaChangeRefused) as error:
        return error
    return None


def deploy(target: Target[ConfigT, Cloud], cloud: Cloud, wish: Wish, report: Report, *, timeout_seconds: float) -> Prospect[ConfigT, Cloud]:
    """Create, update or apply; what was done. Where there is nothing to do, nothing is claimed either.

    Raises:
        EnvironmentMisfit, SchemaChangeRefused, ModelInvalid: before anything is changed.
        All that `engine.apply` raises.
    """
    deadline = time.monotonic() + timeout_seconds
    target.settle(wish.name, cloud, report, timeout_seconds)
    first = prospect(target, cloud, wish)
    report(resolved(first, f"{target.scheme} {target.where(cloud)}" if isinstance(target, SupportsAccounts) else ""))
    if first.plan.empty:
        return first
    judge(first, wish, report)
    if first.spec.image.planned is not None and isinstance(target, SupportsPackages):
        for warning in first.spec.image.planned.warnings:
            report(Noticed(level="warning", message=warning))
        target.make_packages(first.spec, cloud, report)
    held = target.claim(wish.name, cloud, first.spec.config)
    try:
        target.settle(wish.name, held, report, max(deadline - time.monotonic(), 0))
        found = prospect(target, held, wish)
        check(found, wish)
        diary = Diary(target, held, wish.name, report)
        if not found.plan.empty:
            diary.begin(wish.move.direction if wish.move else wish.intent or found.intent, found.spec.record, wish.provenance, found.observed)
    except (DeployerError, KeyboardInterrupt) as cause:
        if first.observed is None and (isinstance(cause, KeyboardInterrupt) or cause.definite):  # the claim alone was made
            engine.take_back(first.plan, held, report, cause)
        raise
    for warning in found.fit.warnings:
        report(Noticed(level="warning", message=warning))
    try:
        engine.apply(found.plan, held, report)
    except (DeployerError, KeyboardInterrupt) as error:
        diary.fail(error)
        if isinstance(error, RolloutFailed):
            raise _not_rolled_out(found, error) from error
        raise
    diary.end(*_ended(found))
    return replace(found, held=held)


def delete(target: Target[ConfigT, Cloud], cloud: Cloud, name: DeploymentName, config: ConfigT, report: Report) -> bool:
    """Remove all that is ours of this name. False where nothing was there: that is done, not an error."""
    target.settle(name, cloud, report, config.timeout_seconds)
    there = target.observe(name, cloud)
    if there is None:
        return False
    held = target.claim(name, cloud, _as_recorded(target, there, config))
    target.settle(name, held, report, config.timeout_seconds)
    observed = target.observe(name, held)
    if observed is not None:
        engine.apply(target.plan_delete(name, observed, config), held, report)
    return observed is not None


def prospect_delete(target: Target[ConfigT, Cloud], cloud: Cloud, name: DeploymentName, config: ConfigT) -> Plan[Cloud]:
    """What a delete would do now, and nothing of it done; an empty plan where nothing is there."""
    observed = target.observe(name, cloud)
    return target.plan_delete(name, observed, config) if observed is not None else Plan()


def prospect_prune(target: Target[ConfigT, Cloud], cloud: Cloud, name: DeploymentName, config: ConfigT) -> Plan[Cloud]:
    """What a prune would do now, and nothing of it done.

    Raises:
        DeploymentNotFound: nothing of that name.
    """
    return _plan_prune(target, present(target, cloud, name), config)


def prune(target: Target[ConfigT, Cloud], cloud: Cloud, name: DeploymentName, config: ConfigT, report: Report) -> Plan[Cloud]:
    """Remove the generations past `config.keep`, and what no generation needs; the plan that was run.

    Raises:
        DeploymentNotFound: nothing of that name.
        All that `engine.apply` raises: what could not be removed is there, and the same command goes on.
    """
    target.settle(name, cloud, report, config.timeout_seconds)
    there = present(target, cloud, name)
    plan = _plan_prune(target, there, config)
    if not plan.empty:
        held = target.claim(name, cloud, _as_recorded(target, there, config))
        target.settle(name, held, report, config.timeout_seconds)
        plan = _plan_prune(target, present(target, held, name), config)
        engine.apply(plan, held, report)
    return plan


def _plan_prune(target: Target[ConfigT, Cloud], observed: Observed, config: ConfigT) -> Plan[Cloud]:
    """Where nothing of ours serves, or a switch is on its way, what descends from what isn't known: nothing goes."""
    if observed.record is None or observed.incoming:
        return Plan()
    return target.plan_prune(observed.name, observed, config)


def present(target: Target[ConfigT, Cloud], cloud: Cloud, name: DeploymentName) -> Observed:
    """What is there.

    Raises:
        DeploymentNotFound: nothing of that name.
    """
    observed = target.observe(name, cloud)
    if observed is None:
        raise DeploymentNotFound(f"there is no deployment {name} on this target", advice="deploy list shows what is there; deploy create makes it")
    return observed


def judge(found: Prospect[Any, Any], wish: Wish, report: Report) -> None:
    """Refuse what can't work or would break, before anything is changed; what may not work is reported.

    Raises:
        EnvironmentMisfit, SchemaChangeRefused, ModelInvalid
    """
    from deployer.checks import look_before_upload  # by those alone that deploy: it reads the model format

    check(found, wish)
    if found.spec.made:
        return
    given_up = found.observed.candidate if found.observed else None
    if given_up and found.spec.generation != given_up:
        report(Noticed(level="warning", message=f"the rollout of {given_up}, which is under way, is given up for this one"))
    for warning in found.spec.warnings:
        report(Noticed(level="warning", message=warning))
    look_before_upload(found.spec.model, found.spec.image, found.spec.record.packages, report)


def check(found: Prospect[Any, Any], wish: Wish) -> None:
    """Refuse what would break: an image that lacks what the model needs, a signature that breaks today's callers."""
    if not found.fit.fits:
        raise EnvironmentMisfit(found.fit.summary, why="; ".join(found.fit.reasons), advice=found.fit.advice)
    if found.schema.breaking and not wish.allow_schema_change:
        raise SchemaChangeRefused(
            f"the new model's signature breaks callers of {wish.name}: " + "; ".join(found.schema.breaking),
            advice="--allow-schema-change deploys it all the same",
        )


def requested(target: Target[ConfigT, Cloud], wish: Wish, observed: Observed | None) -> DeploymentRequest[ConfigT]:
    """The wish with what an update doesn't name taken from the record of the generation in service, the image included.

    Raises:
        DeploymentNotFound: update of what isn't there.
        ModelInvalid: the server doesn't run on the model's Python.
        ConfigInvalid: a strategy that the target hasn't got.
    """
    from deployer.checks import with_mlflow_said  # by those alone that deploy: it reads the model format

    record = observed.record if observed else None
    intent = wish.intent or (Intent.UPDATE if observed is not None else Intent.CREATE)
    if intent is Intent.UPDATE and observed is None:
        raise DeploymentNotFound(f"there is no deployment {wish.name} to update", advice="deploy create makes it; deploy apply does either")
    if intent is Intent.UPDATE and record is None and wish.model is None:
        raise Conflict(f"{wish.name} has no generation in service to complete the update from", advice="name the model: -m MODEL")
    completes = record if intent is Intent.UPDATE else None
    config = _config(target, wish)
    named = frozenset(config.model_fields_set) if wish.named is None else wish.named
    model = wish.model or (PackagedModel(record.model) if record else None)
    if model is None:
        raise DeploymentNotFound(f"there is no deployment {wish.name} whose model could stay", advice="name the model: -m MODEL")
    request = DeploymentRequest(
        name=wish.name,
        intent=intent,
        model=with_mlflow_said(model),
        config=config.completed(completes, named, target=target.scheme) if completes else config,
        named=named,
        image=completes.image if completes and "image_url" not in named else None,
        packages=wish.packages or (completes.packages if completes else "auto"),
        provenance=wish.provenance,
        adopt=wish.adopt,
        allow_build=wish.allow_build,
        endpoint=wish.endpoint,
    )
    if request.packages != "image":
        refuse_old_python(request.model.facts.python_version, otherwise="--packages image takes an image of your own as it is")
    refuse_what_is_not_there(target, target.scheme, request.config)
    return request


def _paused_first(target: Target[ConfigT, Cloud], cloud: Cloud, spec: DeploymentSpec[ConfigT], observed: Observed | None) -> DeploymentSpec[ConfigT]:
    """The spec, resting where a run that was to pause ended before it did."""
    return replace(spec, rests=True) if spec.config.course.manual and rests(target, cloud, observed, spec.generation) else spec


def _ended(found: Prospect[Any, Any]) -> tuple[str, int | None]:
    """How a run that went well ended, and with which share."""
    share = found.plan.pauses_at
    if not found.spec.config.synchronous:
        return UNDER_WAY, share
    return (DONE if share is None else PAUSED), share


def _config(target: Target[ConfigT, Any], wish: Wish) -> Any:
    return wish.config or target.config.parse({}, target=target.scheme)


def _as_recorded(target: Target[ConfigT, Any], observed: Observed, config: ConfigT) -> ConfigT:
    """The options of what is there: the newest record's of what serves, or else of all; what no record has is this run's."""
    newest = observed.record or max(observed.records.values(), key=lambda each: each.provenance.time, default=None)
    return config.completed(newest, (), target=target.scheme) if newest else config


def resolved(found: Prospect[Any, Any], where: str) -> Resolved:
    spec, serving = found.spec, found.observed.serving if found.observed else None
    model = spec.model.facts
    return Resolved(
        deployment=spec.name,
        generation="" if spec.image.planned else spec.generation,
        model=model.uri,
        digest=model.digest,
        image=_image_name(spec.image),
        framework=model.framework,
        python_version=model.python_version,
        size=model.size,
        where=where,
        replaces=serving if serving and serving != spec.generation else "",
        changes=not found.plan.empty,
    )


def _image_name(image: Image) -> str:
    """Repository and tag where it has one, as people know it; else the reference. What stands in for an image is said to."""
    stand_in = ", a stand-in: processes of the machine that runs it" if image.stand_in else ""
    return (str(image.planned) if image.planned else _name_and_tag(image)) + stand_in


def _name_and_tag(image: Image) -> str:
    if ":" in image.tag or not image.tag:  # an engine's tags have the name already
        return image.tag or image.reference
    return f"{image.reference.partition('@')[0].rpartition('/')[2].partition(':')[0]}:{image.tag}"


def _not_rolled_out(found: Prospect[Any, Any], error: RolloutFailed) -> RolloutFailed:
    """The target's error in the same words on every target: how it stands now, then why."""
    name, generation = found.spec.name, found.spec.generation
    serving = found.observed.serving if found.observed else None
    if serving == generation:
        return error
    stands = f"was not updated; generation {serving} still serves, and" if serving else "was not created, and"
    return RolloutFailed(
        f"{name} {stands} everything made for {generation} is removed", why=error.why or error.message, advice=error.advice, lines=error.lines
    )


def _adopting(target: Target[Any, Cloud], cloud: Cloud, wish: Wish) -> Cloud:
    """The cloud where what carries the name counts as ours, if that is asked for and the target knows what is whose."""
    return target.adopt(wish.name, cloud) if wish.adopt and isinstance(target, SupportsAdoption) else cloud


def _same_or_unfinished(observed: Observed, spec: DeploymentSpec[Any]) -> bool:
    """Create goes on where an earlier create of anything didn't come to serve, and has nothing to do where the same serves."""
    generation = spec.generation
    return generation in (observed.serving, observed.incoming) or not (observed.traffic or observed.incoming)
