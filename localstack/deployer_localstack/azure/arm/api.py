"""Azure Resource Manager, as far as it has Azure ML's workspace: refuses who has no token, and what isn't there; the rest is its parts'."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deployer_localstack.azure.account import CLOUD, HOME, RESOURCE_GROUP, SUBSCRIPTION
from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm import datastores, permissions, polling, workspaces
from deployer_localstack.azure.arm.assets import DATA, ENVIRONMENTS, MODELS
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.arm.store import Workspace
from deployer_localstack.azure.operations import Operations
from deployer_localstack.azure.settings import AzureSettings

Operation = Callable[[Workspace, ResourceRequest, int], JsonAnswer]
"""Does what is asked of a workspace, whose lock is held; the number is the size of a page."""
OperationElsewhere = Callable[[ResourceRequest], JsonAnswer]
"""Does what is asked beside the workspace, in its resource group."""


class ResourceManager:
    """Answers the operations by their names."""

    def __init__(
        self,
        settings: AzureSettings,
        workspace: Workspace,
        running: Operations,
        *parts: Mapping[str, Operation],
        elsewhere: Mapping[str, OperationElsewhere],
    ) -> None:
        """Make it; `parts` are the operations on what can be deployed there, by name; `elsewhere`, those outside of a workspace."""
        self._settings, self._workspace, self._running = settings, workspace, running
        self._elsewhere = elsewhere
        own: Mapping[str, Operation] = {
            "Permissions_ListForResource": lambda *_: JsonAnswer({"value": [permissions.held(settings.azure_actions)]}),
            "Workspaces_Get": lambda *_: JsonAnswer(workspaces.document(workspace.address, settings)),
        }
        always = (own, datastores.OPERATIONS, MODELS.operations, ENVIRONMENTS.operations, DATA.operations)
        self._operations: Mapping[str, Operation] = {name: operation for part in (*always, *parts) for name, operation in part.items()}

    def answer(self, asked: ResourceRequest) -> JsonAnswer:
        """The answer.

        Raises:
            AzureError: a refusal, in the words of "Common errors in Azure Resource Manager" where it has them.
        """
        if not asked.api_version:
            message = "The api-version query parameter (?api-version=) is required for all requests."
            raise AzureError("MissingApiVersionParameter", message)
        if polled := polling.answer(asked, self._running, self._settings.azure_retry_after_seconds):
            return polled
        if "" in asked.document:
            raise AzureError("InvalidRequestContent", "The request content was invalid and could not be deserialized.")
        if (outside := self._elsewhere.get(asked.operation)) is not None:
            _refuse_place(asked.names["subscription"], asked.names.get("group", RESOURCE_GROUP))
            return outside(asked)
        _refuse_elsewhere(asked)
        permissions.refuse(asked, self._settings.azure_actions)
        operation = self._operations.get(asked.operation)
        if operation is None:
            raise AzureError("NotImplemented", f"The local Azure doesn't do this: {asked.method} {asked.path}", 501)
        with self._workspace.lock:
            return operation(self._workspace, asked, self._settings.azure_page_size)


def metadata(url: str) -> JsonAnswer:
    """What ARM says of its cloud before anybody has a token; the members that azure-ai-ml 1.35 reads."""
    return JsonAnswer(
        [
            {
                "name": CLOUD,
                "portal": f"{url}/",
                "resourceManager": f"{url}/",
                "authentication": {"loginEndpoint": f"{url}/", "audiences": [f"{url}/"], "tenant": "common", "identityProvider": "AAD"},
                "suffixes": {"storage": "core.localhost", "keyVaultDns": "vault.localhost", "acrLoginServer": "azurecr.localhost"},
            }
        ]
    )


def _refuse_elsewhere(asked: ResourceRequest) -> None:
    place = asked.workspace
    if place is None:
        raise AzureError("NotImplemented", f"The local Azure doesn't do this: {asked.method} {asked.path}", 501)
    _refuse_place(place.subscription, place.group)
    if place.name.lower() != HOME.name:
        named = f"Microsoft.MachineLearningServices/workspaces/{place.name}"
        raise AzureError("ResourceNotFound", f"The Resource '{named}' under resource group '{place.group}' was not found.", 404)


def _refuse_place(subscription: str, group: str) -> None:
    if subscription.lower() != SUBSCRIPTION:
        raise AzureError("SubscriptionNotFound", f"The subscription '{subscription}' could not be found.", 404)
    if group.lower() != RESOURCE_GROUP:
        raise AzureError("ResourceGroupNotFound", f"Resource group '{group}' could not be found.", 404)
