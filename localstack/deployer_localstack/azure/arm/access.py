"""Who may pull from the registry and read the store: the registry's mode, identities, and the roles that they are assigned.

Documented: "Azure attribute-based access control for repository permissions" (in that mode AcrPull isn't honoured), "List Azure role assignments
using the REST API", "Troubleshoot online endpoint deployment" (what a deployment says whose identity lacks a role).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from deployer_localstack.azure.account import CLIENT_ID, LOCATION, REGISTRY_ID, STORAGE_ID, SUBSCRIPTION, TENANT_ID
from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.settings import AzureSettings

_ROLES = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "Container Registry Repository Reader": "b93aa761-3e63-49ed-ac28-beffa264f7ac",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
}
_PULLS = {"LegacyRegistryPermissions": "AcrPull", "AbacRepositoryPermissions": "Container Registry Repository Reader"}
_READS = "Storage Blob Data Reader"


class Access:
    """Of all identities alike: the settings say which roles they have.

    Attributes:
        host: the registry's, as references name it.
    """

    def __init__(self, settings: AzureSettings, host: str) -> None:
        self._settings, self._host = settings, host
        self.operations: Mapping[str, Callable[[ResourceRequest], JsonAnswer]] = {
            "Registries_Get": self._registry,
            "UserAssignedIdentities_Get": self._identity,
            "RoleAssignments_ListForScope": self._assignments,
        }

    def refuse(self, image: str, *, model: bool) -> None:
        """Return if a deployment's identity may pull its image, and read its model.

        Raises:
            AzureError: it lacks the role.
        """
        if image.startswith(f"{self._host}/") and _PULLS[self._settings.azure_registry_mode] not in self._held():
            raise AzureError(
                "BadArgument", f"Unable to download user container image: {image}: the endpoint's identity is not authorized to pull it."
            )
        if model and _READS not in self._held():
            raise AzureError("BadArgument", "Unable to download user model: the endpoint's identity is not authorized to read it.")

    def _held(self) -> list[str]:
        return [each.strip() for each in self._settings.azure_identity_roles.split(",") if each.strip() in _ROLES]

    def _registry(self, asked: ResourceRequest) -> JsonAnswer:
        told = {"loginServer": self._host, "provisioningState": "Succeeded", "roleAssignmentMode": self._settings.azure_registry_mode}
        name, kind = asked.names["registry"], "Microsoft.ContainerRegistry/registries"
        return JsonAnswer({"id": REGISTRY_ID, "name": name, "type": kind, "location": LOCATION, "sku": {"name": "Standard"}, "properties": told})

    def _identity(self, asked: ResourceRequest) -> JsonAnswer:
        told = {"tenantId": TENANT_ID, "principalId": CLIENT_ID, "clientId": CLIENT_ID}
        name, kind = asked.names["identity"], "Microsoft.ManagedIdentity/userAssignedIdentities"
        return JsonAnswer({"id": asked.path, "name": name, "type": kind, "location": LOCATION, "properties": told})

    def _assignments(self, asked: ResourceRequest) -> JsonAnswer:
        scope = REGISTRY_ID if "registry" in asked.names else STORAGE_ID
        whom = asked.query.get("$filter", "").partition("assignedTo('")[2].partition("'")[0]
        held = [each for each in self._held() if (each == _READS) is (scope == STORAGE_ID)] if whom == CLIENT_ID else []
        return JsonAnswer({"value": [_assignment(scope, whom, each) for each in held]})


def _assignment(scope: str, principal: str, role: str) -> dict[str, Any]:
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope} {principal} {role}"))
    told = {
        "scope": scope,
        "principalId": principal,
        "principalType": "ServicePrincipal",
        "roleDefinitionId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{_ROLES[role]}",
    }
    kind = "Microsoft.Authorization/roleAssignments"
    return {"id": f"{scope}/providers/{kind}/{name}", "name": name, "type": kind, "properties": told}
