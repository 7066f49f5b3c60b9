"""As whom an endpoint acts: for its life, so another identity is refused before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.errors import ConfigInvalid
from deployer_targets.azureml import bodies
from deployer_targets.azureml.identity_options import EndpointIdentity
from deployer_targets.azureml.online import AzureEndpoint


def refuse_another(name: str, endpoint: AzureEndpoint, wanted: EndpointIdentity) -> None:
    """Return if an endpoint acts as is wanted.

    Raises:
        ConfigInvalid: it acts as somebody else.
    """
    if _told(endpoint.identity) != _told(bodies.identity(wanted)):
        actors = ", ".join(endpoint.identity.get("userAssignedIdentities") or ()) or "an identity that Azure made for it"
        raise ConfigInvalid(
            f"the endpoint {name} acts as {actors}, and Azure can't change as whom an endpoint acts",
            advice="leave identity out, or deploy under another name",
        )


def _told(identity: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    """To compare: Azure writes ids in capitals of its own."""
    return str(identity.get("type")).lower(), frozenset(each.lower() for each in identity.get("userAssignedIdentities") or ())
