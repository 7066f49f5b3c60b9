"""The options of an endpoint that several named deployments share: Azure's own names, beside those that say how Azure is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from deployer.core.options import LIVE, Takes
from deployer.errors import ConfigInvalid
from deployer_targets.azureml.config import MOST_MIRRORED, AzureMlConfig

OF_ENDPOINTS = frozenset(
    {"traffic", "mirror_traffic", "tags", "description", "public_network_access", "auth_mode", "identity", "compute", "compute_target"}
)
"""The options that are an endpoint's; the others of `AzureMlConfig` are its deployments'."""


def _percentages(value: object) -> object:
    """{"blue": 90, "green": "10"}: by deployment, in percent."""
    if not isinstance(value, Mapping):
        return value
    found = {str(name).lower(): str(share).removesuffix("%").strip() for name, share in value.items()}
    if wrong := next((share for share in found.values() if not share.isdigit() or int(share) > 100), None):
        raise ValueError(f"{wrong} is no share of the traffic: a whole number from 0 to 100")
    return {name: int(share) for name, share in found.items()}


Shares = Annotated[Mapping[str, int], BeforeValidator(_percentages)]


class EndpointConfig(AzureMlConfig):
    """All options of a run that makes or changes an endpoint."""

    traffic: Annotated[Shares, LIVE] = Field(
        default_factory=dict, description="The share of the requests that each deployment answers, in percent: 100 together, or none."
    )
    mirror_traffic: Annotated[Shares, LIVE] = Field(
        default_factory=dict,
        description=f"The share of the requests of which one deployment gets a copy, whose answers nobody gets: at most {MOST_MIRRORED}.",
    )

    @model_validator(mode="after")
    def _shares_that_azure_takes(self) -> Self:
        total = sum(self.traffic.values())
        if total not in (0, 100):
            raise ValueError(f"the shares of traffic come to {total} percent: they are 100 together, or 0")
        copied = {name: share for name, share in self.mirror_traffic.items() if share}
        if len(copied) > 1 or sum(copied.values()) > MOST_MIRRORED:
            raise ValueError(f"mirror_traffic is at most {MOST_MIRRORED} percent, to one deployment")
        if live := next((name for name in copied if self.traffic.get(name)), None):
            raise ValueError(f"{live} has traffic of its own: mirror_traffic is for one that has none")
        return self

    def refuse_those_of_deployments(self) -> None:
        """Return if all options that are set are an endpoint's.

        Raises:
            ConfigInvalid: which isn't.
        """
        if wrong := sorted(self.model_fields_set - OF_ENDPOINTS - self.taken(Takes.NOTHING)):
            raise ConfigInvalid(
                f"{', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} no option of an endpoint, but of the deployments behind it",
                advice=f"an endpoint has {', '.join(sorted(OF_ENDPOINTS))}",
            )
