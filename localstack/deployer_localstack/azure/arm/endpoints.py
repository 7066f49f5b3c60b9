"""Online endpoints: made, their traffic moved, their keys, deleted with all that they have.

Documented: "Online endpoints and deployments for inference", "Manage and increase quotas" (names); words assumed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm import kubernetes, polling, traffic
from deployer_localstack.azure.arm.documents import page
from deployer_localstack.azure.arm.online import OnlineEndpoint, endpoint_document, identities_of, refuse_name, refuse_under_way
from deployer_localstack.azure.arm.quotas import Quotas
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.arm.store import Workspace
from deployer_localstack.azure.entra import Entra
from deployer_localstack.azure.operations import Operations
from deployer_localstack.azure.settings import AzureSettings

_AUTH_MODES = {"key": "Key", "amltoken": "AMLToken", "aadtoken": "AADToken"}


class OnlineEndpoints:
    """The operations on endpoints."""

    def __init__(self, settings: AzureSettings, operations: Operations, entra: Entra, quotas: Quotas) -> None:
        self._settings, self._running, self._entra, self._quotas = settings, operations, entra, quotas
        self.operations: Mapping[str, Callable[[Workspace, ResourceRequest, int], JsonAnswer]] = {
            "OnlineEndpoints_List": self._list,
            "OnlineEndpoints_Get": self._get,
            "OnlineEndpoints_CreateOrUpdate": self._put,
            "OnlineEndpoints_Delete": self._delete,
            "OnlineEndpoints_ListKeys": self._keys,
            "OnlineEndpoints_RegenerateKeys": self._regenerate,
            "OnlineEndpoints_GetToken": self._token,
        }

    def _list(self, workspace: Workspace, asked: ResourceRequest, size: int) -> JsonAnswer:
        return page(asked, [endpoint_document(workspace.address, each, asked.url) for each in workspace.endpoints.values()], size)

    def _get(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        return JsonAnswer(endpoint_document(workspace.address, found(workspace, asked), asked.url))

    def _put(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        name, properties = asked.names["endpoint"], asked.properties
        present = workspace.endpoints.get(name.lower())
        refuse_name(name, "An endpoint")
        mode = _AUTH_MODES.get(str(properties.get("authMode") or "Key").lower())
        if mode is None:
            raise AzureError("BadRequest", f"authMode {properties['authMode']}: there are {', '.join(_AUTH_MODES.values())}.", target="authMode")
        if present:
            refuse_under_way(present)
            if present.auth_mode != mode:
                raise AzureError("BadRequest", "authMode of an endpoint can't be changed.", target="authMode")
            if "identity" in asked.document and identities_of(present.document) != identities_of(asked.document):
                raise AzureError("BadRequest", "identity of an endpoint can't be changed.", target="identity")
        else:
            self._quotas.refuse_endpoint()
        compute = kubernetes.compute_of(workspace, present, properties)
        states = {key: each.state for key, each in present.deployments.items()} if present else {}
        properties |= {"authMode": mode, "traffic": traffic.checked(properties.get("traffic"), states)}
        properties["mirrorTraffic"] = traffic.checked_mirror(properties.get("mirrorTraffic"), properties["traffic"], states)
        endpoint = present or OnlineEndpoint(name, {}, compute=compute)
        endpoint.document = {"identity": endpoint.document.get("identity"), **asked.document, "properties": properties}
        if given := properties.get("keys"):
            endpoint.primary, endpoint.secondary = given.get("primaryKey") or endpoint.primary, given.get("secondaryKey") or endpoint.secondary
        workspace.endpoints[name.lower()] = endpoint
        endpoint.state = "Updating" if present else "Creating"
        return self._later(workspace, asked, endpoint, 200 if present else 201)

    def _later(self, workspace: Workspace, asked: ResourceRequest, endpoint: OnlineEndpoint, status: int) -> JsonAnswer:
        began = time.monotonic()
        document = endpoint_document(workspace.address, endpoint, asked.url)

        def settle() -> None:
            self._running.wait(self._settings.azure_endpoint_seconds, began)
            with workspace.lock:
                endpoint.state = "Succeeded"

        operation = self._running.start(f"endpoint {endpoint.name}", settle, settle)
        return polling.accepted(asked, operation, self._settings.azure_retry_after_seconds, document, status)

    def _delete(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        endpoint = workspace.endpoints.get(asked.names["endpoint"].lower())
        if endpoint is None:
            return JsonAnswer(status=204)
        refuse_under_way(endpoint, *endpoint.deployments.values())
        began, endpoint.state = time.monotonic(), "Deleting"

        def remove() -> None:
            with workspace.lock:
                serving = [each.serving for each in endpoint.deployments.values() if each.serving]
                for each in endpoint.deployments.values():
                    each.serving = None
            for each_container in serving:
                each_container.retire(self._settings.azure_drain_seconds)
            self._running.wait(self._settings.azure_endpoint_seconds, began)
            with workspace.lock:
                workspace.endpoints.pop(endpoint.name.lower(), None)

        def failed() -> None:
            endpoint.state = "Failed"

        operation = self._running.start(f"endpoint {endpoint.name}", remove, failed)
        return polling.accepted(asked, operation, self._settings.azure_retry_after_seconds, None, 202)

    def _keys(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        endpoint = found(workspace, asked)
        if endpoint.auth_mode != "Key":
            raise AzureError("BadRequest", f"Endpoint {endpoint.name} has no keys: its authMode is {endpoint.auth_mode}.")
        return JsonAnswer({"primaryKey": endpoint.primary, "secondaryKey": endpoint.secondary})

    def _regenerate(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        endpoint = found(workspace, asked)
        kind = str(asked.document.get("keyType", "")).lower()
        if kind not in {"primary", "secondary"}:
            raise AzureError("BadRequest", "keyType is Primary or Secondary.", target="keyType")
        # The SDK sends the present value along, and promises a new key.
        given = asked.document.get("keyValue")
        key = given if given and given not in {endpoint.primary, endpoint.secondary} else secrets.token_urlsafe(32)
        endpoint.primary, endpoint.secondary = (key, endpoint.secondary) if kind == "primary" else (endpoint.primary, key)
        operation = self._running.start(f"keys of {endpoint.name}", lambda: None, lambda: None)
        return polling.accepted(asked, operation, self._settings.azure_retry_after_seconds, None, 202)

    def _token(self, workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
        endpoint = found(workspace, asked)
        if endpoint.auth_mode != "AMLToken":
            raise AzureError("BadRequest", f"Endpoint {endpoint.name} has no tokens: its authMode is {endpoint.auth_mode}.")
        life = int(self._settings.azure_token_seconds)
        until = int(datetime.now(UTC).timestamp()) + life
        token = self._entra.issue(audience_of(endpoint), life)
        return JsonAnswer({"accessToken": token, "expiryTimeUtc": until, "refreshAfterTimeUtc": until - life // 2, "tokenType": "Bearer"})


def found(workspace: Workspace, asked: ResourceRequest) -> OnlineEndpoint:
    """The endpoint that a request is about.

    Raises:
        AzureError: it isn't there.
    """
    endpoint = workspace.endpoints.get(asked.names["endpoint"].lower())
    if endpoint is None:
        named = f"Microsoft.MachineLearningServices/workspaces/{workspace.address.name}/onlineEndpoints/{asked.names['endpoint']}"
        raise AzureError("ResourceNotFound", f"The Resource '{named}' under resource group '{workspace.address.group}' was not found.", 404)
    return endpoint


def audience_of(endpoint: OnlineEndpoint) -> str:
    """Of the tokens that are good for one endpoint alone."""
    return f"endpoint:{endpoint.name.lower()}"
