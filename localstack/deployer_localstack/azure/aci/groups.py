"""Container groups as they are held, and as ARM writes them: without what is secret."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer_localstack.azure.account import CLIENT_ID, LOCATION, RESOURCE_GROUP, SUBSCRIPTION, TENANT_ID
from deployer_localstack.azure.aci.listener import Listener
from deployer_localstack.azure.aci.running import GroupContainer

TYPE = "Microsoft.ContainerInstance/containerGroups"


@dataclass(slots=True)
class LocalGroup:
    """A group: what was put, its state, what runs.

    Attributes:
        state: of the last operation (provisioningState).
        stopped: by a user; nothing runs.
    """

    name: str
    document: dict[str, Any]
    state: str = "Pending"
    stopped: bool = False
    containers: dict[str, GroupContainer] = field(default_factory=dict)
    listener: Listener | None = None
    principal: str = field(default_factory=lambda: f"00000000-0000-4000-8000-{secrets.token_hex(6)}")

    @property
    def properties(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["properties"]
        return found

    @property
    def dns_name_label(self) -> str:
        return str((self.properties.get("ipAddress") or {}).get("dnsNameLabel") or "").lower()

    @property
    def running_state(self) -> str:
        """Of the group as it is on its host."""
        if self.stopped:
            return "Stopped"
        return "Running" if self.containers else "Pending"

    def end(self) -> None:
        """All that runs of it."""
        if self.listener:
            self.listener.close()
            self.listener = None
        for each in self.containers.values():
            each.remove()
        self.containers.clear()


def document(group: LocalGroup, *, view: bool = True) -> dict[str, Any]:
    """As GET answers it; lists leave the view of its instances out."""
    given = group.properties
    told: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    told["containers"] = [_container(each, group, view=view) for each in given["containers"]]
    if credentials := given.get("imageRegistryCredentials"):
        told["imageRegistryCredentials"] = [{key: value for key, value in each.items() if key != "password"} for each in credentials]
    if address := given.get("ipAddress"):
        ip = group.listener.ip if group.listener else ""
        named = {"fqdn": ip} if address.get("dnsNameLabel") and ip else {}
        told["ipAddress"] = {**address, **({"ip": ip} if ip else {}), **named}
    told |= {"provisioningState": group.state, "restartPolicy": given.get("restartPolicy") or "Always", "sku": given.get("sku") or "Standard"}
    if view:
        told["instanceView"] = {"events": [], "state": group.running_state}
    place = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/{TYPE}/{group.name}"
    more = {"location": group.document.get("location") or LOCATION, "tags": group.document.get("tags") or {}}
    identity = _identity(group)
    return {"id": place, "name": group.name, "type": TYPE, "properties": told, **more, **({"identity": identity} if identity else {})}


def _container(given: Mapping[str, Any], group: LocalGroup, *, view: bool) -> dict[str, Any]:
    told = {key: value for key, value in given["properties"].items() if value is not None}
    told["environmentVariables"] = [
        {key: value for key, value in each.items() if key != "secureValue" and value is not None} for each in told.get("environmentVariables") or ()
    ]
    running = group.containers.get(given["name"])
    return {"name": given["name"], "properties": {**told, **({"instanceView": running.view()} if view and running else {})}}


def _identity(group: LocalGroup) -> dict[str, Any]:
    given = group.document.get("identity") or {}
    kind = str(given.get("type") or "None")
    if kind == "None":
        return {}
    users = {name: {"principalId": group.principal, "clientId": CLIENT_ID} for name in given.get("userAssignedIdentities") or {}}
    own = {"principalId": group.principal, "tenantId": TENANT_ID} if "SystemAssigned" in kind else {}
    return {"type": kind, **own, **({"userAssignedIdentities": users} if users else {})}
