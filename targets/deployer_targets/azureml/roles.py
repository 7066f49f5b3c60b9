"""Which roles count at the workspace's registry and store, and which of them an endpoint's identity lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from deployer.core.target import Diagnosis, Verdict
from deployer.errors import PermissionDenied
from deployer_targets.azureml import network
from deployer_targets.azureml.client import AzureMlCloud

_REGISTRIES_API, _IDENTITIES_API, _ASSIGNMENTS_API = "2025-11-01", "2023-01-31", "2022-04-01"
_BY_REPOSITORY = "AbacRepositoryPermissions"
_AT_MOST = 10
"""Endpoints whose identities are looked at."""
_GENERAL = {"8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner", "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor"}
_WHOLE = {
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "8311e382-0749-4cb8-b61a-304f252e45ec": "AcrPush",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    **_GENERAL,
}
_REPOSITORIES = {
    "b93aa761-3e63-49ed-ac28-beffa264f7ac": "Container Registry Repository Reader",
    "2a1e307c-b015-4ebd-883e-5b7698a07328": "Container Registry Repository Writer",
    "2efddaa5-3f1f-4df3-97df-af3f13818f4c": "Container Registry Repository Contributor",
}
_BLOBS = {
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
}
_KNOWN = _WHOLE | _REPOSITORIES | _BLOBS
"""Azure's own roles by the ids of their definitions; of those that suffice for something, the least comes first."""


@dataclass(frozen=True, slots=True)
class RoleNeed:
    """One of these roles, at a resource."""

    scope: str
    roles: Mapping[str, str]

    @property
    def least(self) -> str:
        return next(iter(self.roles.values()))

    @property
    def place(self) -> str:
        return self.scope.rpartition("/")[2]


def registry_finding(cloud: AzureMlCloud) -> Diagnosis | str:
    """Whose roles count at the workspace's registry."""
    scope = str(network.workspace(cloud).get("containerRegistry") or "")
    if not scope:
        return Diagnosis("registry roles", Verdict.WARNING, "the workspace has no registry yet: Azure makes one when it first builds an image")
    try:
        pulls = _pulls(scope, cloud)
    except PermissionDenied:
        advice = "Microsoft.ContainerRegistry/registries/read there says which roles count: in its ABAC mode AcrPull does nothing"
        return Diagnosis("registry roles", Verdict.WARNING, f"not told: you may not look at {scope.rpartition('/')[2]}", advice)
    if pulls.roles is _REPOSITORIES:
        both = f"{pulls.least} pulls, Container Registry Repository Writer pushes"
        return f"{pulls.place} goes by repository (ABAC): {both}; AcrPull and AcrPush do nothing"
    return f"{pulls.place} goes by registry: AcrPull pulls, AcrPush pushes"


def identities_finding(cloud: AzureMlCloud, endpoints: Iterable[Mapping[str, Any]]) -> Diagnosis | str:
    """Whether the identities that endpoints act as may pull images and read models: those that the options name, and those of endpoints of ours."""
    told, of_group = network.workspace(cloud), cloud.config.compute == "aci"
    registry, account = str(told.get("containerRegistry") or ""), str(told.get("storageAccount") or "")
    try:
        needs = [_pulls(registry, cloud)] if registry else []
        needs += [RoleNeed(account, _BLOBS)] if account and not of_group else []  # a group's model is in its image
        found = dict(_principals(cloud, endpoints))
        lacks = [(name, whom, need) for name, whom in found.items() for need in needs if not _has(whom, need, cloud)]
    except PermissionDenied as denied:
        advice = "whoever may read role assignments there can: Reader of the resource group"
        return Diagnosis("identities", Verdict.WARNING, f"not told: {denied.message}", advice)
    if lacks:
        detail = "; ".join(f"{name} has no {need.least} on {need.place}" for name, _, need in lacks)
        _, whom, need = lacks[0]
        assignee = f"--assignee-object-id {whom} --assignee-principal-type ServicePrincipal"
        advice = f'az role assignment create {assignee} --role "{need.least}" --scope {need.scope}'
        return Diagnosis("identities", Verdict.WRONG, detail, advice)
    if not found and of_group:
        return "pull_identity isn't set: the login that docker has for the registry"
    if not found:
        return "no endpoint of ours yet; Azure gives a system-assigned identity its roles as it is made"
    return f"{', '.join(found)}: {' and '.join(f'{need.least} on {need.place}' for need in needs)}, or more"


def _pulls(scope: str, cloud: AzureMlCloud) -> RoleNeed:
    mode = (_ask(cloud, scope, _REGISTRIES_API).get("properties") or {}).get("roleAssignmentMode")
    return RoleNeed(scope, _REPOSITORIES if mode == _BY_REPOSITORY else _WHOLE)


def _principals(cloud: AzureMlCloud, endpoints: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Names for identities, and their object ids."""
    config = cloud.config
    for named in (*(each.resource_id for each in config.identity.user_assigned_identities), *filter(None, [config.pull_identity])):
        told = _ask(cloud, named, _IDENTITIES_API).get("properties") or {}
        yield f"identity {named.rpartition('/')[2]}", str(told.get("principalId"))
    for endpoint in list(endpoints)[:_AT_MOST]:
        identity = endpoint.get("identity") or {}
        if principal := identity.get("principalId"):
            yield f"endpoint {endpoint['name']}", str(principal)
        for name, assigned in (identity.get("userAssignedIdentities") or {}).items():
            yield f"identity {name.rpartition('/')[2]}", str((assigned or {}).get("principalId"))


def _has(principal: str, need: RoleNeed, cloud: AzureMlCloud) -> bool:
    """Whether one of the roles is assigned there or above, or one that isn't Azure's own, which may be as much."""
    query = f"{need.scope}/providers/Microsoft.Authorization/roleAssignments"
    whose = quote(f"assignedTo('{principal}')")
    assigned = _ask(cloud, query, _ASSIGNMENTS_API, f"&$filter={whose}").get("value") or ()
    for each in (entry["properties"] for entry in assigned):
        role = str(each["roleDefinitionId"]).rpartition("/")[2].lower()
        above = f"{need.scope}/".lower().startswith(f"{str(each['scope']).rstrip('/')}/".lower())
        if above and (role in need.roles or role not in _KNOWN):
            return True
    return False


def _ask(cloud: AzureMlCloud, place: str, api: str, more: str = "") -> dict[str, Any]:
    return cloud.at("GET", f"{cloud.connection.cloud.resource_manager}{place}?api-version={api}{more}").document
