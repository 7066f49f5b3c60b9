"""Generations that Azure brings by updating a deployment in place: with `in_place`, and those of a deployment behind an endpoint that others share.

An Azure deployment has one name then, and a tag that says which generation it is. Azure starts the new containers, and lets the old ones go: nothing
can be asked before it has traffic, and the way back is another such update.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from deployer.core import generations
from deployer.core.plan import Effect, Plan, Progress, Step
from deployer.core.rollout import Way
from deployer.core.state import DeploymentName, Record, Resource
from deployer.core.target import DeploymentSpec
from deployer.errors import ConfigInvalid, Conflict
from deployer_targets.azureml import bodies, collected, names, online
from deployer_targets.azureml.assets import RegisterAsset, UploadModel
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.online import AzureDeployment
from deployer_targets.azureml.removal import DeleteDeployment, Remove
from deployer_targets.azureml.steps import AwaitDeployment, ChangeLive, CreateDeployment, ProbeDeployment, WriteRecord
from deployer_targets.azureml.traffic import await_endpoint, changed_by_another, set_endpoint
from deployer_targets.azureml.variables import KeepEnvironment
from deployer_targets.azureml.view import Seen

Spec = DeploymentSpec[AzureMlConfig]
Steps = tuple[Step[AzureMlCloud], ...]


def deployment_of(record: Record) -> str:
    """What the Azure deployment of a generation is called."""
    return next(each.name for each in record.resources if each.kind == names.DEPLOYMENT)


def replaced(spec: Spec, observed: Seen | None) -> AzureDeployment | None:
    """The Azure deployment of this name that is there, and is another generation; None where there is none.

    Raises:
        Conflict: it isn't the one in service, so that to update it would bring nothing back.
    """
    called = deployment_of(spec.record)
    inside = observed.view.deployments if observed and observed.view else {}
    found = next((each for each in inside.values() if each.name == called and each.generation != spec.generation), None)
    if found is not None and observed is not None and observed.traffic and {found.generation} != generations.alive(observed):
        raise Conflict(
            f"deployment {called}, which {spec.generation} had, is {found.generation} now, and not the one that serves {spec.name}",
            advice="deploy update with its model makes it anew: -m MODEL",
        )
    return found


def assets(spec: Spec, observed: Seen | None) -> Steps:
    """What a generation needs before its deployment: files, model, environment, its variables where they are kept."""
    there = observed.resources if observed else frozenset()
    made = {each.kind: each.name.rpartition(":") for each in spec.record.resources}
    (model, _, of_model), (environment, _, of_environment) = made[names.MODEL], made[names.ENVIRONMENT]
    kept: Steps = (KeepEnvironment(spec.record, dict(spec.config.env)),) if names.keeps_variables(spec.record) else ()
    return (
        *kept,
        UploadModel(spec.name, spec.model.digest, spec.path),
        _registered(RegisterAsset(spec.name, names.MODEL, model, of_model, model=spec.model.digest), there),
        _registered(RegisterAsset(spec.name, names.ENVIRONMENT, environment, of_environment, image=spec.image.reference), there),
        *collected.registering(spec.endpoint or spec.name, deployment_of(spec.record), spec.record.resources),
    )


def _registered(step: RegisterAsset, there: frozenset[Resource]) -> RegisterAsset:
    return replace(step, known=step.makes in there)


def deployment(spec: Spec, variables: dict[str, str] | Record, replaces: str = "", *, fresh: bool = False) -> CreateDeployment:
    """The step that brings it. `fresh`: there is none of its name, which is its generation's."""
    made = {each.kind: each.name for each in spec.record.resources}
    return CreateDeployment(
        spec.name,
        spec.generation,
        made[names.DEPLOYMENT],
        bodies.scaling(spec.config),
        spec.config.timeout_seconds,
        spec.config,
        made[names.MODEL],
        made[names.ENVIRONMENT],
        variables,
        replaces,
        fresh,
    )


def in_place(spec: Spec, observed: Seen | None) -> Plan[AzureMlCloud]:
    """The steps to a generation in the one Azure deployment that it has. Pure.

    Raises:
        ConfigInvalid, Conflict: a generation of before can't be brought back so.
    """
    name, config, seconds, called = spec.name, spec.config, spec.config.timeout_seconds, deployment_of(spec.record)
    beside = names.beside(name, spec.endpoint)
    found = generations.succession(spec.record, observed, generations.depth(config), names.endpoint(spec.endpoint or name), beside)
    before = replaced(spec, observed)
    bring = deployment(spec, _variables(spec, observed), before.generation if before else "")
    make: Steps = (WriteRecord(found.record), *(() if spec.made else assets(spec, observed)))
    mark: Steps = (MarkInPlace(name, seconds),) if before and not spec.endpoint else ()
    steps: Steps = (*mark, bring, AwaitDeployment(name, spec.generation, called, seconds), ProbeDeployment(name, spec.generation, called))
    back: Steps = ()
    if before is not None and observed is not None and observed.traffic:
        back = (RestoreDeployment(name, spec.generation, before, seconds),)
    elif observed is None or not observed.traffic:
        back = (DeleteDeployment(name, called, seconds, generation=spec.generation),)
    changed = found.whole and found.earlier is not None and not found.earlier.same(found.record)
    return Way(steps, len(steps), back).plan(
        spec,
        found,
        observed,
        make=make,
        live=(ChangeLive(found.record, called, bodies.scaling(config), config.tags, bodies.of_endpoint(config), seconds),) if changed else (),
        back=(*((WriteRecord(found.earlier),) if found.earlier else ()), Remove(name, seconds, found.undone)),
        sweep=Remove(name, seconds, beyond=found.keep),
    )


def _variables(spec: Spec, observed: Seen | None) -> dict[str, str] | Record:
    """Those of the container: of a generation of before as what serves has them, or its record, where they are kept.

    Raises:
        ConfigInvalid: nothing has them any more.
    """
    if not spec.made:
        return dict(spec.config.env)
    if not spec.record.secrets:
        return {}
    serving = observed.record if observed else None
    if observed and observed.view and serving and serving.secrets == spec.record.secrets:
        return observed.view.deployments[serving.generation].environment
    if names.keeps_variables(spec.record):
        return spec.record
    raise ConfigInvalid(
        f"the variables of generation {spec.generation} went as its deployment was updated in place: made without in_place, it keeps none",
        advice=f"deploy update -n {spec.name} -m {spec.record.model.uri} makes it anew, with --env for each",
    )


@dataclass(frozen=True, slots=True)
class MarkInPlace(Step[AzureMlCloud]):
    """The endpoint says that the names of its deployments don't tell their generations, for who sees it alone, as a list does."""

    name: DeploymentName
    timeout_seconds: float
    effect = Effect.UPDATE

    def describe(self) -> str:
        return f"tags of {self.name}"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        found = online.settle(self.name, cloud, self.timeout_seconds, progress.note)
        if found is None:
            raise changed_by_another(self.name, "it is gone")
        if found.in_place:
            return False
        set_endpoint(self.name, cloud, found, self.timeout_seconds, tags={**found.tags, names.TAG_IN_PLACE: "true"})
        await_endpoint(self.name, cloud, self.timeout_seconds, progress)
        return True


@dataclass(frozen=True, slots=True)
class RestoreDeployment(Step[AzureMlCloud]):
    """The deployment as it was before an update in place that came to nothing.

    Attributes:
        generation: the one that it was updated to; another isn't touched.
        before: as it was found. Its variables may be secret.
    """

    name: DeploymentName
    generation: str
    before: AzureDeployment = field(repr=False)
    timeout_seconds: float
    effect = Effect.UPDATE

    def describe(self) -> str:
        return f"deployment {self.before.name}, {self.before.generation} again"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        at, called = cloud.endpoint_of(self.name), self.before.name
        online.settle(self.name, cloud, self.timeout_seconds, progress.note)
        found = online.deployment(at, called, cloud)
        if found is None or found.generation != self.generation:
            return False
        online.put(at, cloud, online.deployment_path(at, called), self.before.as_it_is(), self.timeout_seconds)
        return AwaitDeployment(self.name, self.before.generation, called, self.timeout_seconds).run(cloud, progress) or True
