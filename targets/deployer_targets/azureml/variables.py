"""The variables of generations, kept in the store for a way back where the Azure resource that has them is exchanged: they may be secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.core.plan import Effect, Progress, Step
from deployer.core.state import Record, Resource
from deployer.errors import ConfigInvalid
from deployer_targets.azureml import blobs, names
from deployer_targets.azureml.client import AzureMlCloud


def environment(record: Record, cloud: AzureMlCloud) -> dict[str, str] | None:
    """The variables of a generation; None where they are gone, or were never kept."""
    if not record.secrets:
        return {}
    found = blobs.read(cloud, cloud.shelf(record.deployment).secret(record.secrets))
    return dict(json.loads(found[0])) if found else None


def recalled(record: Record, cloud: AzureMlCloud) -> dict[str, str]:
    """The same, where there is no going on without.

    Raises:
        ConfigInvalid: they are gone.
    """
    if (found := environment(record, cloud)) is None:
        raise ConfigInvalid(f"the variables of {record.generation} are gone from the workspace's store", advice="name them: --env NAME=VALUE")
    return found


@dataclass(frozen=True, slots=True)
class KeepEnvironment(Step[AzureMlCloud]):
    """A generation's variables, for the way back to it."""

    record: Record
    variables: Mapping[str, str] = field(repr=False)
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.SECRET, self.record.secrets)

    def describe(self) -> str:
        return "variables"

    def run(self, cloud: AzureMlCloud, progress: Progress) -> bool:
        if environment(self.record, cloud) == self.variables:
            return False
        cloud.check()
        blobs.write(cloud, cloud.shelf(self.record.deployment).secret(self.record.secrets), json.dumps(dict(self.variables)).encode())
        return True
