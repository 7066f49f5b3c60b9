"""The workspace itself, as GET answers it."""

from __future__ import annotations

from typing import Any

from deployer_localstack.azure.account import LOCATION, REGISTRY_ID, STORAGE_ID, WORKSPACE_ID, WorkspaceAddress
from deployer_localstack.azure.arm.documents import resource
from deployer_localstack.azure.settings import AzureSettings


def document(address: WorkspaceAddress, settings: AzureSettings) -> dict[str, Any]:
    """With its network as the settings have it. Nothing answers at its hosts: their names end in a domain that is nobody's."""
    states = [each.strip() for each in settings.azure_private_endpoints.split(",") if each.strip()]
    told = {
        "friendlyName": address.name,
        "provisioningState": "Succeeded",
        "workspaceId": WORKSPACE_ID,
        "discoveryUrl": f"https://{LOCATION}.api.azureml.localhost/discovery",
        "storageAccount": STORAGE_ID,
        "containerRegistry": REGISTRY_ID,
        "publicNetworkAccess": settings.azure_public_network_access,
        "managedNetwork": {"isolationMode": settings.azure_isolation_mode, "status": {"status": "Active", "sparkReady": False}},
        "privateEndpointConnections": [_connection(address, f"private-{number}", state) for number, state in enumerate(states, 1)],
    }
    more = {"location": LOCATION, "tags": {}, "sku": {"name": "Basic", "tier": "Basic"}, "identity": {"type": "SystemAssigned"}}
    return resource(address.id, "", address.name, told, **more)


def _connection(address: WorkspaceAddress, name: str, state: str) -> dict[str, Any]:
    place = f"/subscriptions/{address.subscription}/resourceGroups/{address.group}/providers/Microsoft.Network/privateEndpoints/{name}"
    told = {
        "privateEndpoint": {"id": place},
        "privateLinkServiceConnectionState": {"status": state, "description": "", "actionsRequired": "None"},
        "provisioningState": "Succeeded",
    }
    return resource(f"{address.id}/privateEndpointConnections/{name}", "/privateEndpointConnections", name, told)
