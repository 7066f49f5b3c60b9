"""The clouds of Azure: where each has its Resource Manager and its sign-in, and the kinds of credentials."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

STORAGE_SCOPE = "https://storage.azure.com/.default"
CREDENTIALS: Mapping[str, str] = {
    "default": "DefaultAzureCredential",
    "environment": "EnvironmentCredential",
    "workload_identity": "WorkloadIdentityCredential",
    "managed_identity": "ManagedIdentityCredential",
    "cli": "AzureCliCredential",
    "developer_cli": "AzureDeveloperCliCredential",
}
"""Kinds, and azure-identity's classes for them."""
_SIGN_IN = frozenset({"default", "environment", "workload_identity"})
"""Those that take the address where one signs in; the others go by their own tool's or machine's."""


@dataclass(frozen=True, slots=True)
class CloudAddresses:
    """One cloud of Azure."""

    resource_manager: str
    authority: str
    registries: str
    """What the hosts of container registries end with."""

    @property
    def scope(self) -> str:
        """Of a token for Resource Manager."""
        return f"{self.resource_manager}/.default"


CLOUDS: Mapping[str, CloudAddresses] = {
    "AzureCloud": CloudAddresses("https://management.azure.com", "login.microsoftonline.com", "azurecr.io"),
    "AzureUSGovernment": CloudAddresses("https://management.usgovcloudapi.net", "login.microsoftonline.us", "azurecr.us"),
    "AzureChinaCloud": CloudAddresses("https://management.chinacloudapi.cn", "login.chinacloudapi.cn", "azurecr.cn"),
}
_ALSO = {"AZURE_PUBLIC_CLOUD": "AzureCloud", "AZURE_US_GOVERNMENT": "AzureUSGovernment", "AZURE_CHINA_CLOUD": "AzureChinaCloud"}
METADATA = "ARM_CLOUD_METADATA_URL"
"""Names where a cloud describes itself, as Azure ML's SDK reads it: Azure Stack, or the local Azure."""


def addresses(named: str | None, fetch: Callable[[str], Any]) -> CloudAddresses:
    """The cloud that an option or AZURE_CLOUD names; else the one that ARM_CLOUD_METADATA_URL describes; else the public one.

    Args:
        fetch: gives the document at a URL, without signing in.
    """
    chosen = named or os.environ.get("AZURE_CLOUD") or ""
    chosen = _ALSO.get(chosen.upper(), chosen)
    if chosen in CLOUDS:
        return CLOUDS[chosen]
    if url := os.environ.get(METADATA):
        described: list[Mapping[str, Any]] = fetch(url)
        wanted = chosen or os.environ.get("AZUREML_CURRENT_CLOUD")
        found = next((each for each in described if each.get("name") == wanted), described[0])
        authority = str(found["authentication"]["loginEndpoint"]).rstrip("/")
        suffix = str((found.get("suffixes") or {}).get("acrLoginServer") or CLOUDS["AzureCloud"].registries)
        return CloudAddresses(str(found["resourceManager"]).rstrip("/"), authority, suffix)
    return CLOUDS["AzureCloud"]


def credential(kind: str, cloud: CloudAddresses) -> Any:
    """A credential of azure-identity's; nothing is asked yet."""
    import azure.identity

    logging.getLogger("azure").addHandler(logging.NullHandler())  # what it warns of is in its errors too
    authority = {"authority": cloud.authority} if kind in _SIGN_IN and "AZURE_AUTHORITY_HOST" not in os.environ else {}
    return getattr(azure.identity, CREDENTIALS[kind])(**authority)
