"""From what is there to what is wanted. Pure."""

from __future__ import annotations

from dataclasses import replace

from deployer.core import generations
from deployer.core.capabilities import SupportsStrategies
from deployer.core.plan import Plan
from deployer.core.rollout import way
from deployer.core.state import DeploymentName, Image, PackagedModel, Resource, short
from deployer_targets.azureml import bodies, names
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.in_place import Spec, Steps, assets, deployment, deployment_of, in_place, replaced
from deployer_targets.azureml.removal import DeleteDeployment, DeleteEndpoint, Remove, still_has_traffic
from deployer_targets.azureml.steps import AwaitDeployment, ChangeLive, CreateDeployment, ProbeDeployment, WriteRecord
from deployer_targets.azureml.traffic import CreateEndpoint, SetTraffic, Traffic
from deployer_targets.azureml.view import Seen


def resources_of(name: DeploymentName, model: PackagedModel, image: Image, called: str, endpoint: str | None) -> tuple[Resource, ...]:
    """What a generation is made of; files, model and environment may be those of other generations too.

    Args:
        called: its Azure deployment.
        endpoint: the one that it is behind.
    """
    asset = names.asset_of(name, endpoint)
    return (
        Resource(names.DATA, short(model.digest)),
        Resource(names.MODEL, f"{asset}:{short(model.digest)}"),
        Resource(names.ENVIRONMENT, f"{asset}:{bodies.environment_version(image.reference)}"),
        Resource(names.DEPLOYMENT, called),
    )


def plan(spec: Spec, observed: Seen | None, meter: SupportsStrategies[AzureMlCloud]) -> Plan[AzureMlCloud]:
    """The steps from what is there to what is wanted; empty where they are the same."""
    called = deployment_of(spec.record)
    if spec.endpoint or replaced(spec, observed):
        return in_place(spec, observed)
    name, config, seconds = spec.name, spec.config, spec.config.timeout_seconds
    found = generations.succession(spec.record, observed, generations.depth(config), names.endpoint(name), names.beside(name))
    make: Steps = (WriteRecord(found.record), *(() if spec.made else assets(spec, observed)))
    live = bodies.of_endpoint(config)

    def shift(to: Traffic, now: Traffic, *, back: bool = False) -> Steps:
        mirror = config.course.mirror if len(to) > 1 and to[1].percent == 0 else 0
        return (SetTraffic(name, to, now, config.tags, live, seconds, back, mirror),)

    changed = found.whole and found.earlier is not None and not found.earlier.same(found.record)
    probe: Steps = () if spec.made else (ProbeDeployment(name, spec.generation, called),)
    ready: Steps = (*_brought(spec, observed), AwaitDeployment(name, spec.generation, called, seconds), *probe)
    course = way(spec, observed, shift, meter)
    planned = course.plan(
        spec,
        found,
        observed,
        make=make,
        live=(ChangeLive(found.record, called, bodies.scaling(config), config.tags, live, seconds),) if changed else (),
        back=(
            DeleteEndpoint(name, seconds, idle=True),
            *((WriteRecord(found.earlier),) if found.earlier else ()),
            Remove(name, seconds, found.undone),
        ),
        sweep=Remove(name, seconds, beyond=found.keep),
    )
    return _with(planned, len(make), ready)


def _with(planned: Plan[AzureMlCloud], after: int, ready: Steps) -> Plan[AzureMlCloud]:
    """The deployment is brought, waited for and asked before it has traffic. Azure removes none that has, so it isn't looked at again."""
    return replace(planned, forward=(*planned.forward[:after], *ready, *planned.forward[after:])) if planned.forward else planned


def _brought(spec: Spec, observed: Seen | None) -> Steps:
    """The steps to the deployment of a generation, in its endpoint."""
    name, config, seconds, called = spec.name, spec.config, spec.config.timeout_seconds, deployment_of(spec.record)
    if spec.made:
        return (CreateDeployment(name, spec.generation, called, bodies.scaling(config), seconds),)
    endpoint = observed.view.endpoint if observed and observed.view else None
    there = {each.name for each in endpoint.inside} if endpoint else set()
    fresh = called not in there and called == names.deployment_of(spec.generation)
    make: Steps = () if endpoint and endpoint.state != "Failed" else (CreateEndpoint(name, config, seconds),)
    return (*make, deployment(spec, dict(config.env), fresh=fresh))


def plan_delete(name: DeploymentName, observed: Seen, config: AzureMlConfig) -> Plan[AzureMlCloud]:
    """The steps to nothing of ours left but archived assets. Pure."""
    seconds = config.timeout_seconds
    if observed.endpoint:
        return Plan(forward=(_without(name, observed, seconds), Remove(name, seconds, beyond=frozenset())), removes=observed.resources)
    return Plan(forward=(DeleteEndpoint(name, seconds), Remove(name, seconds, beyond=frozenset())), removes=observed.resources)


def _without(name: DeploymentName, observed: Seen, seconds: float) -> DeleteDeployment:
    """The step that removes a deployment behind an endpoint.

    Raises:
        ConfigInvalid: it shares the traffic with others.
    """
    endpoint = observed.view.endpoint if observed.view else None
    share = endpoint.percent_of(name) if endpoint else 0
    if share not in (0, 100):
        raise still_has_traffic(name, share, str(observed.endpoint))
    return DeleteDeployment(name, name, seconds)


def plan_prune(name: DeploymentName, observed: Seen, config: AzureMlConfig) -> Plan[AzureMlCloud]:
    """The steps after which only what serves and the kept generations before it are there. Pure."""
    apart = names.beside(name, observed.endpoint) | {names.endpoint(name), names.group(name), Resource(names.KEYS, name)}
    removes = generations.prunable(observed, generations.depth(config)) - apart
    forward: Steps = (Remove(name, config.timeout_seconds, removes),) if removes else ()
    return Plan(forward=forward, keep=observed.resources - removes, removes=removes)
