"""From what is there to what is wanted, where that is a container group. Pure."""

from __future__ import annotations

from dataclasses import replace

from deployer.core import generations
from deployer.core.plan import Plan, Step
from deployer.core.rollout import Way
from deployer.core.state import DeploymentName, Resource
from deployer.core.target import DeploymentSpec
from deployer_targets.azureml import names
from deployer_targets.azureml.aci.images import GroupImage
from deployer_targets.azureml.aci.observe import Seen
from deployer_targets.azureml.aci.steps import AwaitGroup, ChangeTags, ConfirmGroup, DeleteGroup, MakeKeys, PushGroupImage, PutGroup
from deployer_targets.azureml.client import AzureMlCloud
from deployer_targets.azureml.config import AzureMlConfig
from deployer_targets.azureml.removal import Remove
from deployer_targets.azureml.steps import WriteRecord
from deployer_targets.azureml.variables import KeepEnvironment

Steps = tuple[Step[AzureMlCloud], ...]


def beside(name: DeploymentName) -> frozenset[Resource]:
    """What is the deployment's, and no generation's."""
    return names.beside(name) | {Resource(names.KEYS, name)}


def plan(spec: DeploymentSpec[AzureMlConfig], observed: Seen | None) -> Plan[AzureMlCloud]:
    """The steps from what is there to what is wanted; empty where they are the same."""
    name, config, seconds = spec.name, spec.config, spec.config.timeout_seconds
    found = generations.succession(spec.record, observed, generations.depth(config), names.group(name), beside(name))
    group = observed.view if observed else None
    # One that was put, and that nobody has seen to serve, isn't what serves.
    found = replace(found, whole=found.whole and group is not None and group.runs == group.serving)
    variables: Steps = (KeepEnvironment(found.record, dict(config.env)),) if found.record.secrets and not spec.made else ()
    image: Steps = () if spec.made else (PushGroupImage(GroupImage(spec.image, spec.model)),)
    make: Steps = (WriteRecord(found.record), *variables, MakeKeys(name), *image)
    steps: Steps = (PutGroup(found.record, seconds), AwaitGroup(name, spec.generation, seconds), ConfirmGroup(name, spec.generation, config.tags))
    before = observed.record if observed else None
    back: Steps = (DeleteGroup(name, seconds, idle=True),)
    if before is not None and before.generation != spec.generation:
        back = (PutGroup(before, seconds, known=True), AwaitGroup(name, before.generation, seconds))
    changed = found.whole and found.earlier is not None and not found.earlier.same(found.record)
    return Way(steps, len(steps)).plan(
        spec,
        found,
        observed,
        make=make,
        live=(ChangeTags(found.record, config.tags),) if changed else (),
        back=(*back, *((WriteRecord(found.earlier),) if found.earlier else ()), Remove(name, seconds, found.undone)),
        sweep=Remove(name, seconds, beyond=found.keep),
    )


def plan_delete(name: DeploymentName, observed: Seen, config: AzureMlConfig) -> Plan[AzureMlCloud]:
    """The steps to nothing of ours left but images. Pure."""
    seconds = config.timeout_seconds
    return Plan(forward=(DeleteGroup(name, seconds), Remove(name, seconds, beyond=frozenset())), removes=observed.resources)


def spared(name: DeploymentName) -> frozenset[Resource]:
    """What no prune takes."""
    return beside(name) | {names.group(name)}
