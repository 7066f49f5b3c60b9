"""What only this target's planner must know of what is there, and Azure's own description of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.core.state import Observed
from deployer_targets.azureml.online import AzureDeployment, AzureEndpoint


@dataclass(frozen=True, slots=True)
class View:
    """What only this target's planner must know.

    Attributes:
        endpoint: None where there is none.
        deployments: by generation.
    """

    endpoint: AzureEndpoint | None = None
    deployments: Mapping[str, AzureDeployment] = field(default_factory=dict, repr=False)


Seen = Observed[View]


def described(endpoint: AzureEndpoint | None, inside: Mapping[str, AzureDeployment]) -> dict[str, Any]:
    """Azure's own description. Variables may be secret, and are left out."""
    if endpoint is None:
        return {}

    def public(found: AzureDeployment) -> dict[str, Any]:
        kept = {key: value for key, value in found.properties.items() if key != "environmentVariables"}
        return {**found.document, "properties": kept}

    return {"endpoint": dict(endpoint.document), "deployments": [public(each) for each in inside.values()]}
