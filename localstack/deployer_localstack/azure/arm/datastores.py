"""The datastore of a workspace: one storage account, whose blobs are at the local Azure's own address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from deployer_localstack.azure.account import BLOB_CONTAINER, BLOB_STORE, STORAGE_ACCOUNT
from deployer_localstack.azure.answers import AzureError, JsonAnswer
from deployer_localstack.azure.arm.documents import now, page, resource, written
from deployer_localstack.azure.arm.requests import ResourceRequest
from deployer_localstack.azure.arm.store import Workspace
from deployer_localstack.azure.storage.signatures import container_signature


def _datastore(workspace: Workspace, asked: ResourceRequest) -> dict[str, object]:
    # azure-ai-ml asks https://{accountName}.blob.{suffix}, whatever else a datastore says; what follows a "#" isn't sent. So it
    # finds us without a name that a resolver must know.
    account = f"{urlsplit(asked.url).netloc}/{STORAGE_ACCOUNT}#"
    told = {
        "datastoreType": "AzureBlob",
        "accountName": account,
        "containerName": BLOB_CONTAINER,
        "endpoint": "localhost",
        "protocol": "https",
        "credentials": {"credentialsType": "AccountKey"},
        "isDefault": True,
        "tags": {},
        "properties": {},
    }
    return resource(f"{workspace.address.id}/datastores/{BLOB_STORE}", "/datastores", BLOB_STORE, told)


def _get(workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
    _refuse_unknown(workspace, asked)
    return JsonAnswer(_datastore(workspace, asked))


def _list(workspace: Workspace, asked: ResourceRequest, size: int) -> JsonAnswer:
    return page(asked, [_datastore(workspace, asked)], size)


def _secrets(workspace: Workspace, asked: ResourceRequest, _: int) -> JsonAnswer:
    """A key of the account, or, for who wants a secret that expires, a SAS."""
    _refuse_unknown(workspace, asked)
    if not asked.document.get("expirableSecret"):
        return JsonAnswer({"secretsType": "AccountKey", "key": workspace.storage_key})
    until = written((now() + timedelta(hours=float(asked.document.get("expireAfterHours") or 1))).replace(microsecond=0))
    query = {"sv": "2024-11-04", "sr": "c", "sp": "racwdl", "se": until}
    signature = container_signature(workspace.storage_key, STORAGE_ACCOUNT, BLOB_CONTAINER, query)
    return JsonAnswer({"secretsType": "Sas", "sasToken": urlencode({**query, "sig": signature})})


def _refuse_unknown(workspace: Workspace, asked: ResourceRequest) -> None:
    if asked.names["name"] != BLOB_STORE:
        raise AzureError("UserError", f"No datastore named {asked.names['name']} in workspace {workspace.address.name}.", 404)


OPERATIONS: Mapping[str, Callable[[Workspace, ResourceRequest, int], JsonAnswer]] = {
    "Datastores_Get": _get,
    "Datastores_List": _list,
    "Datastores_ListSecrets": _secrets,
}
