"""Online endpoints and their deployments as the workspace holds them, and as ARM writes them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer_localstack.azure.account import CLIENT_ID, LOCATION, TENANT_ID, WorkspaceAddress
from deployer_localstack.azure.answers import AzureError
from deployer_localstack.azure.arm.documents import resource
from deployer_localstack.azure.dataplane import DeploymentContainer, DeploymentLog

_NAME = re.compile(r"[a-zA-Z](?:[-a-zA-Z0-9]{1,30}[a-zA-Z0-9])")
_UNDER_WAY = frozenset({"Creating", "Updating", "Deleting"})


@dataclass(slots=True)
class OnlineDeployment:
    """A deployment: what was put, its state, what serves it, and what that was started by: an update that failed leaves the old one."""

    name: str
    document: dict[str, Any]
    state: str = "Creating"
    serving: DeploymentContainer | None = None
    served: Mapping[str, Any] = field(default_factory=dict)
    log: DeploymentLog = field(default_factory=DeploymentLog)


@dataclass(slots=True)
class OnlineEndpoint:
    """An endpoint with its keys and its deployments.

    Attributes:
        compute: the attached cluster that it is on, in small letters; "" where it is managed.
    """

    name: str
    document: dict[str, Any]
    state: str = "Creating"
    compute: str = ""
    primary: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    secondary: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    deployments: dict[str, OnlineDeployment] = field(default_factory=dict)

    @property
    def auth_mode(self) -> str:
        return str(self.document["properties"].get("authMode") or "Key")

    @property
    def traffic(self) -> dict[str, int]:
        return dict(self.document["properties"].get("traffic") or {})

    @property
    def mirrored(self) -> dict[str, int]:
        return dict(self.document["properties"].get("mirrorTraffic") or {})

    @property
    def scoring_path(self) -> str:
        """Of the deployment with the most traffic, else of the newest; "/score" where nothing serves."""
        serving = [each for each in self.deployments.values() if each.serving]
        best = max(serving, key=lambda each: self.traffic.get(each.name.lower(), 0), default=None)
        return best.serving.scoring if best and best.serving else "/score"


def refuse_name(name: str, of: str) -> None:
    """Return if an endpoint or a deployment may be called so; `of` is which: "An endpoint".

    Raises:
        AzureError: it may not.
    """
    if not _NAME.fullmatch(name):
        message = f"{of}'s name has 3 to 32 letters, digits and '-', begins with a letter and doesn't end with '-'."
        raise AzureError("BadRequest", f"{name}: {message}", target="name")


def refuse_under_way(*resources: OnlineEndpoint | OnlineDeployment) -> None:
    """Return if no operation on any of them is in progress.

    Raises:
        AzureError: one is; Azure makes one change of a resource at a time.
    """
    if busy := next((each for each in resources if each.state in _UNDER_WAY), None):
        raise AzureError("Conflict", f"{busy.name} is {busy.state}: another operation on it is in progress. Try again when it has ended.", 409)


def endpoint_document(workspace: WorkspaceAddress, endpoint: OnlineEndpoint, url: str) -> dict[str, Any]:
    """As GET answers it."""
    base = f"{url}/inference/{endpoint.name}"
    given = endpoint.document
    told = {
        "traffic": {},
        "mirrorTraffic": {},
        "publicNetworkAccess": "Enabled",
        "properties": {},
        **_present(given["properties"]),
        "authMode": endpoint.auth_mode,
        "scoringUri": f"{base}{endpoint.scoring_path}",
        "swaggerUri": f"{base}/swagger.json",
        "provisioningState": endpoint.state,
    }
    told.pop("keys", None)
    identity = _identity(given.get("identity") or {})
    more = {"location": given.get("location") or LOCATION, "tags": given.get("tags") or {}, "kind": "K8S" if endpoint.compute else "Managed"}
    place = f"{workspace.id}/onlineEndpoints/{endpoint.name}"
    return resource(place, "/onlineEndpoints", endpoint.name, told, identity=identity, **more)


def deployment_document(workspace: WorkspaceAddress, endpoint: OnlineEndpoint, deployment: OnlineDeployment) -> dict[str, Any]:
    """As GET answers it: with the values of its variables, which the real one gives to who may read deployments."""
    given = deployment.document
    managed = {"endpointComputeType": "Managed", "scaleSettings": {"scaleType": "Default"}, "egressPublicNetworkAccess": "Enabled"}
    told = {
        **({"endpointComputeType": "Kubernetes", "containerResourceRequirements": {}} if endpoint.compute else managed),
        "environmentVariables": {},
        "properties": {},
        "appInsightsEnabled": False,
        "requestSettings": {"requestTimeout": "PT5S", "maxConcurrentRequestsPerInstance": 1, "maxQueueWait": "PT0.5S"},
        **_present(given["properties"]),
        "provisioningState": deployment.state,
    }
    place = f"{workspace.id}/onlineEndpoints/{endpoint.name}/deployments/{deployment.name}"
    more = {"location": given.get("location") or LOCATION, "tags": given.get("tags") or {}}
    sku = {"name": "Default", "capacity": 1, **(given.get("sku") or {})}
    return resource(place, "/onlineEndpoints/deployments", deployment.name, told, sku=sku, **more)


def identities_of(document: Mapping[str, Any]) -> frozenset[str]:
    """The identities that an endpoint is assigned, in small letters; none where it has one of its own."""
    return frozenset(each.lower() for each in (document.get("identity") or {}).get("userAssignedIdentities") or ())


def _identity(given: Mapping[str, Any]) -> dict[str, Any]:
    assigned = given.get("userAssignedIdentities")
    if not assigned:
        return {"type": "SystemAssigned", "principalId": CLIENT_ID, "tenantId": TENANT_ID}
    told = {each: {"principalId": CLIENT_ID, "clientId": CLIENT_ID} for each in assigned}
    return {"type": "UserAssigned", "tenantId": TENANT_ID, "userAssignedIdentities": told}


def _present(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if value is not None}
