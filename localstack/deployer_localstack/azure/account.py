"""The one subscription of the local Azure, and what is in it from the start; its users' environment names all of it."""

from __future__ import annotations

from dataclasses import dataclass

# MSAL asks login.microsoftonline.com about every authority that it doesn't know, unless the tenant is called so: AD FS has no such discovery.
TENANT = "adfs"
TENANT_ID = "00000000-0000-4000-8000-00000000000a"
"""The same tenant for credentials that were told `disable_instance_discovery=True`."""
CLIENT_ID = "00000000-0000-4000-8000-00000000000b"
CLIENT_SECRET = "deployer-local-secret-not-a-secret"
IDENTITY_HEADER = "deployer-local-identity-not-a-secret"
"""What asks the endpoint of managed identities for a token."""
SUBSCRIPTION = "00000000-0000-4000-8000-00000000000c"
RESOURCE_GROUP = "local"
WORKSPACE = "local"
LOCATION = "eastus"
STORAGE_ACCOUNT = "deployerlocal"
BLOB_STORE = "workspaceblobstore"
BLOB_CONTAINER = "azureml-blobstore-local"
REGISTRY_USER = "deployerlocal"
REGISTRY_PASSWORD = CLIENT_SECRET
_GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
REGISTRY_ID = f"{_GROUP_ID}/providers/Microsoft.ContainerRegistry/registries/deployerlocal"
STORAGE_ID = f"{_GROUP_ID}/providers/Microsoft.Storage/storageAccounts/{STORAGE_ACCOUNT}"
WORKSPACE_ID = "00000000-0000-4000-8000-00000000000d"
"""What names of the workspace's own hosts begin with."""
CLOUD = "DeployerLocal"
"""What Azure ML's SDK calls the cloud that ARM's metadata describes."""


@dataclass(frozen=True, slots=True)
class WorkspaceAddress:
    """A workspace in a resource group of a subscription."""

    subscription: str
    group: str
    name: str

    @property
    def id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"


HOME = WorkspaceAddress(SUBSCRIPTION, RESOURCE_GROUP, WORKSPACE)


def environment(url: str, registry: str, bundle: str, federated: str) -> dict[str, str]:
    """The variables that point Azure's SDKs at the local Azure.

    Args:
        url: of its endpoint.
        registry: host and port of its container registry.
        bundle: file of the certificates to trust, its authority's among them.
        federated: file of a service account's token.
    """
    return {
        "AZURE_AUTHORITY_HOST": url,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT_ID,
        "AZURE_CLIENT_SECRET": CLIENT_SECRET,
        "AZURE_FEDERATED_TOKEN_FILE": federated,
        # Managed identities, as an App Service has them, and as a machine.
        "IDENTITY_ENDPOINT": f"{url}/msi/token",
        "IDENTITY_HEADER": IDENTITY_HEADER,
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": url,
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        "ARM_CLOUD_METADATA_URL": f"{url}/metadata/endpoints?api-version=2019-05-01",
        "AZUREML_CURRENT_CLOUD": CLOUD,
        # As Azure ML's own jobs have them.
        "AZUREML_ARM_SUBSCRIPTION": SUBSCRIPTION,
        "AZUREML_ARM_RESOURCEGROUP": RESOURCE_GROUP,
        "AZUREML_ARM_WORKSPACE_NAME": WORKSPACE,
        "AZURE_CONTAINER_REGISTRY_ENDPOINT": registry,
        "REQUESTS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
    }
