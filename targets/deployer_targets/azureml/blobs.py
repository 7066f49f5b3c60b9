"""The workspace's store: small blobs that are compared before they are written, lists, and files of any size."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from deployer.errors import MachineFault
from deployer_targets.azureml.client import SECRETS_API, AzureAnswer, AzureMlCloud
from deployer_targets.azureml.clouds import STORAGE_SCOPE
from deployer_targets.azureml.faults import Absent, Overtaken

DATASTORE = "workspaceblobstore"
_VERSION = "2021-12-02"
_BLOCK = 8 << 20
_AT_ONCE = 4
_SECRET_HOURS = 6
_ENTRY = re.compile(r"<Blob>.*?<Name(?P<encoded> Encoded=\"true\")?>(?P<name>[^<]*)</Name>.*?<Etag>(?P<etag>[^<]*)</Etag>.*?</Blob>", re.DOTALL)
_MARKER = re.compile(r"<NextMarker>([^<]+)</NextMarker>")


@dataclass(frozen=True, slots=True)
class WorkspaceStore:
    """A blob container, and what gives access to it.

    Attributes:
        url: of the container.
        signature: the query of a shared access signature; "" where Microsoft Entra ID's tokens give access.
    """

    url: str
    signature: str = ""

    def at(self, blob: str = "", **query: str) -> str:
        place = f"{self.url}/{quote(blob)}" if blob else self.url
        wanted = "&".join(filter(None, (urlencode(query), self.signature)))
        return f"{place}?{wanted}" if wanted else place


def store_of(cloud: AzureMlCloud) -> WorkspaceStore:
    """The workspace's own: by a signature that expires where the workspace signs in with keys, else by the caller's token."""
    if (found := cloud.learnt.get(WorkspaceStore)) is None:
        found = cloud.learnt[WorkspaceStore] = _opened(cloud)
    assert isinstance(found, WorkspaceStore)
    return found


def _opened(cloud: AzureMlCloud) -> WorkspaceStore:
    told = cloud.ask("GET", f"datastores/{DATASTORE}").document["properties"]
    # What follows a "#" in the account's name is no part of an address: so a cloud elsewhere than at Azure's names can be told.
    account = f"{told.get('protocol') or 'https'}://{told['accountName']}.blob.{told.get('endpoint') or 'core.windows.net'}".partition("#")[0]
    url, kind = f"{account}/{told['containerName']}", (told.get("credentials") or {}).get("credentialsType")
    if kind in (None, "None"):
        return WorkspaceStore(url)
    wanted = {"expirableSecret": True, "expireAfterHours": _SECRET_HOURS}
    secret = cloud.ask("POST", f"datastores/{DATASTORE}/listSecrets", wanted, api=SECRETS_API).document
    if secret.get("sasToken"):
        return WorkspaceStore(url, str(secret["sasToken"]).lstrip("?"))
    if secret.get("key"):  # it isn't said that Azure gives one that expires
        until = datetime.now(UTC) + timedelta(hours=_SECRET_HOURS)
        return WorkspaceStore(url, signature(str(told["accountName"]), str(told["containerName"]), str(secret["key"]), until))
    return WorkspaceStore(url)


def signature(account: str, container: str, key: str, until: datetime, version: str = _VERSION) -> str:
    """A shared access signature for a container, made with the account's key: the fields of a service SAS in the order that Azure signs them in."""
    granted, expires = "rcwdl", until.strftime("%Y-%m-%dT%H:%M:%SZ")
    signed = [granted, "", expires, f"/blob/{account}/{container}", "", "", "https", version, "c", *[""] * 7]
    digest = hmac.digest(base64.b64decode(key), "\n".join(signed).encode(), "sha256")
    told = {"se": expires, "sp": granted, "spr": "https", "sv": version, "sr": "c", "sig": base64.b64encode(digest).decode()}
    return urlencode(told)


def send(
    cloud: AzureMlCloud,
    method: str,
    blob: str,
    operation: str,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> AzureAnswer:
    """One request to the store; a signature that has run out is asked for anew."""
    store = store_of(cloud)
    scope = "" if store.signature else STORAGE_SCOPE
    return cloud.connection.send(
        method,
        store.at(blob, **(query or {})),
        scope=scope,
        operation=f"{operation} {blob or DATASTORE}",
        content=content,
        headers={"x-ms-version": _VERSION, **(headers or {})},
        guard=cloud.check if cloud.held else None,
    )


def read(cloud: AzureMlCloud, blob: str) -> tuple[bytes, str] | None:
    """A blob's bytes and its version (ETag), which changes with them; None where there is none."""
    try:
        answer = send(cloud, "GET", blob, "read")
    except Absent:
        return None
    return answer.body, answer.headers["ETag"]


def write(cloud: AzureMlCloud, blob: str, content: bytes, *, version: str | None = None) -> str | None:
    """Write a small blob; its new version.

    Args:
        version: the one that it is to have still, "" for none: where it hasn't, nothing is written, and None given. None: whatever is there.
    """
    condition = {} if version is None else {"If-Match": version} if version else {"If-None-Match": "*"}
    headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/json", **condition}
    try:
        return str(send(cloud, "PUT", blob, "write", content=content, headers=headers).headers["ETag"])
    except Overtaken:
        return None
    except Absent:
        if not version:
            raise
        return None  # it was there, and is gone


def names(cloud: AzureMlCloud, prefix: str) -> dict[str, str]:
    """All blobs below a prefix, and the version of each."""
    found: dict[str, str] = {}
    marker = ""
    while True:
        wanted = {"restype": "container", "comp": "list", "prefix": prefix, **({"marker": marker} if marker else {})}
        text = send(cloud, "GET", "", "list", query=wanted).body.decode("utf-8-sig")
        for entry in _ENTRY.finditer(text):
            etag = unescape(entry["etag"])
            found[unescape(entry["name"])] = etag if etag.startswith('"') else f'"{etag}"'
        match = _MARKER.search(text)
        if match is None:
            return found
        marker = unescape(match[1])


def remove(cloud: AzureMlCloud, blobs: Iterable[str]) -> None:
    """Remove blobs, several at once; those that aren't there are no matter. The claim is read just before."""
    cloud.check()

    def one(blob: str) -> None:
        try:
            send(cloud, "DELETE", blob, "remove")
        except Absent:
            return

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="remove") as pool:
        for done in [pool.submit(one, blob) for blob in blobs]:
            done.result()


def upload(cloud: AzureMlCloud, blob: str, source: Path, size: int, sent: Callable[[int], None]) -> None:
    """A file as a blob, in blocks where it is large: a few of them in memory at a time. `sent` is told of each piece."""
    headers = {"Content-Type": "application/octet-stream"}
    try:
        with source.open("rb") as handle:
            if size <= _BLOCK:
                send(cloud, "PUT", blob, "upload", content=handle.read(), headers={"x-ms-blob-type": "BlockBlob", **headers})
                sent(size)
                return
            blocks = _blocks(cloud, blob, handle, sent)
    except OSError as error:
        raise MachineFault(f"{source} can't be read", why=str(error)) from error
    listed = "".join(f"<Latest>{block}</Latest>" for block in blocks)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
    send(cloud, "PUT", blob, "upload", content=body, headers={"x-ms-blob-content-type": headers["Content-Type"]}, query={"comp": "blocklist"})


def _blocks(cloud: AzureMlCloud, blob: str, handle: Any, sent: Callable[[int], None]) -> list[str]:
    blocks: list[str] = []
    waiting: list[Future[None]] = []

    def one(block: str, piece: bytes) -> None:
        send(cloud, "PUT", blob, "upload", content=piece, query={"comp": "block", "blockid": block})
        sent(len(piece))

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload") as pool:
        while piece := handle.read(_BLOCK):
            block = base64.b64encode(f"{len(blocks):08d}".encode()).decode()
            blocks.append(block)
            waiting.append(pool.submit(one, block, piece))
            if len(waiting) >= _AT_ONCE:
                waiting.pop(0).result()
        for each in waiting:
            each.result()
    return blocks
