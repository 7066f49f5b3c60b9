"""Azure Storage's Blob service, as far as block blobs go: what azure-storage-blob and Azure ML's SDK send.

Documented: the REST API's pages by operation (Put Blob, Put Block, Put Block List, Get Blob, List Blobs, ...) and "Blob service error codes".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from urllib.parse import parse_qsl

from deployer_localstack.azure.account import CLIENT_ID, TENANT_ID
from deployer_localstack.azure.answers import AzureError, send, status_line
from deployer_localstack.azure.entra import STORAGE, Entra
from deployer_localstack.azure.storage import listing
from deployer_localstack.azure.storage.signatures import Signatures
from deployer_localstack.azure.storage.store import Blob, BlobContainer, BlobStore
from deployer_localstack.http.server import HEADERS, Environ, StartResponse

_PIECE = 1024 * 1024
_METADATA = "x-ms-meta-"
_LISTED = re.compile(r"<(?:Latest|Uncommitted|Committed)>([^<]*)</")
_WITHIN = re.compile(r"<(Start|Expiry)>([^<]*)</")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class BlobRequest:
    """A request to the Blob service: account, container and blob of its path, empty where it has none."""

    method: str
    account: str
    container: str
    blob: str
    query: Mapping[str, str]

    @property
    def operation(self) -> str:
        """As the REST API's pages name it."""
        restype, comp = self.query.get("restype", ""), self.query.get("comp", "")
        level = "Blob" if self.blob else "Container" if self.container else "Account"
        return _OPERATIONS.get((level, self.method, restype, comp), f"{self.method} {level} {restype}{comp}".strip())


_OPERATIONS = {
    ("Account", "GET", "", "list"): "ListContainers",
    ("Account", "POST", "service", "userdelegationkey"): "GetUserDelegationKey",
    ("Container", "PUT", "container", ""): "CreateContainer",
    ("Container", "GET", "container", ""): "GetContainerProperties",
    ("Container", "HEAD", "container", ""): "GetContainerProperties",
    ("Container", "DELETE", "container", ""): "DeleteContainer",
    ("Container", "GET", "container", "list"): "ListBlobs",
    ("Blob", "PUT", "", ""): "PutBlob",
    ("Blob", "PUT", "", "block"): "PutBlock",
    ("Blob", "PUT", "", "blocklist"): "PutBlockList",
    ("Blob", "PUT", "", "metadata"): "SetBlobMetadata",
    ("Blob", "GET", "", ""): "GetBlob",
    ("Blob", "HEAD", "", ""): "GetBlobProperties",
    ("Blob", "DELETE", "", ""): "DeleteBlob",
}


def asked_of(method: str, path: str, query: str) -> BlobRequest:
    """What a request asks whose path is /ACCOUNT/CONTAINER/BLOB, as for an emulator ("Use the Azurite emulator": IP-style URLs)."""
    account, container, blob = [*path.lstrip("/").split("/", 2), "", ""][:3]
    return BlobRequest(method, account, container, blob, dict(parse_qsl(query, keep_blank_values=True)))


class BlobService:
    """Answers requests."""

    def __init__(self, store: BlobStore, entra: Entra, signatures: Signatures) -> None:
        self._store, self._entra, self._signatures = store, entra, signatures
        self._answers: Mapping[str, Callable[[BlobRequest, Environ, StartResponse], Iterable[bytes]]] = {
            "ListContainers": self._list_containers,
            "GetUserDelegationKey": self._delegate,
            "CreateContainer": self._create_container,
            "GetContainerProperties": self._container_properties,
            "DeleteContainer": self._delete_container,
            "ListBlobs": self._list_blobs,
            "PutBlob": self._put_blob,
            "PutBlock": self._put_block,
            "PutBlockList": self._put_block_list,
            "SetBlobMetadata": self._set_metadata,
            "GetBlob": self._get_blob,
            "GetBlobProperties": self._blob_properties,
            "DeleteBlob": self._delete_blob,
        }

    def answer(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The answer as a WSGI application gives it.

        Raises:
            AzureError: a refusal.
        """
        self._refuse_stranger(asked, environ)
        answer = self._answers.get(asked.operation)
        if answer is None:
            raise AzureError("NotImplemented", f"The local Azure's storage has no {asked.operation}.", 501)
        return answer(asked, environ, start_response)

    def _refuse_stranger(self, asked: BlobRequest, environ: Environ) -> None:
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        kind, _, told = authorization.partition(" ")
        kind = kind.lower()
        if kind == "sharedkey" and told.startswith(f"{asked.account}:") and asked.operation != "GetUserDelegationKey":
            return self._signatures.refuse_shared_key(asked.account, told.partition(":")[2], environ)
        if not kind and asked.query.get("sig"):
            return self._signatures.refuse_shared_access(asked.account, f"{asked.container}/{asked.blob}".rstrip("/"), asked.query, asked.operation)
        if kind == "bearer" and self._entra.is_for(authorization, STORAGE):
            return None
        if not kind:
            raise AzureError(
                "NoAuthenticationInformation",
                "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.",
                401,
            )
        raise AzureError(
            "AuthenticationFailed",
            "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.",
            403,
        )

    def _delegate(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """A key for who has a token, which signs for as long as is asked."""
        wanted = dict(_WITHIN.findall(b"".join(_body(environ)).decode()))
        told = {"skoid": CLIENT_ID, "sktid": TENANT_ID, "skt": wanted.get("Start", ""), "ske": wanted.get("Expiry", ""), "sks": "b"}
        told["skv"] = environ.get("HTTP_X_MS_VERSION", "")
        names = ("SignedOid", "SignedTid", "SignedStart", "SignedExpiry", "SignedService", "SignedVersion", "Value")
        values = (*told.values(), self._signatures.delegated(told))
        inside = "".join(f"<{name}>{value}</{name}>" for name, value in zip(names, values, strict=True))
        body = f'<?xml version="1.0" encoding="utf-8"?><UserDelegationKey>{inside}</UserDelegationKey>'.encode()
        return send(start_response, 200, {"Content-Type": "application/xml"}, body)

    def _list_containers(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = listing.of_containers(_endpoint(environ, asked), self._store.containers(asked.account), asked.query)
        return send(start_response, 200, {"Content-Type": "application/xml"}, body)

    def _create_container(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if self._store.find(asked.account, asked.container):
            raise AzureError("ContainerAlreadyExists", "The specified container already exists.", 409)
        return send(start_response, 201, _tag(self._store.create(asked.account, asked.container)))

    def _container_properties(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        states = {"x-ms-lease-status": "unlocked", "x-ms-lease-state": "available"}
        return send(start_response, 200, {**_tag(self._container(asked)), **states})

    def _delete_container(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with self._store.lock:
            container = self._container(asked)
            for name in [*container.blobs]:
                self._store.delete(container, name)
            del self._store.containers(asked.account)[asked.container]
        return send(start_response, 202, {})

    def _list_blobs(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self._container(asked)
        found = self._store.below(asked.account, asked.container, asked.query.get("prefix", ""))
        body = listing.of_blobs(_endpoint(environ, asked), asked.container, found, asked.query)
        return send(start_response, 200, {"Content-Type": "application/xml"}, body)

    def _put_blob(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        kind = environ.get("HTTP_X_MS_BLOB_TYPE")
        if kind != "BlockBlob" or "HTTP_X_MS_COPY_SOURCE" in environ:
            raise AzureError("NotImplemented", f"The local Azure's storage has block blobs alone, and no copies: this is {kind or 'a copy'}.", 501)
        container = self._container(asked)
        _refuse_condition(environ, container.blobs.get(asked.blob), writes=True)
        file, size, md5 = self._store.write(_body(environ))
        _refuse_digest(environ, md5)
        return self._made(asked, environ, start_response, container, Blob(file, size, md5, *_described(environ)))

    def _put_block(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        container = self._container(asked)
        file, _, md5 = self._store.write(_body(environ))
        _refuse_digest(environ, md5)
        with self._store.lock:
            container.blocks.setdefault(asked.blob, {})[asked.query.get("blockid", "")] = file
        return send(start_response, 201, {"Content-MD5": md5, "x-ms-request-server-encrypted": "true"})

    def _put_block_list(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        container, listed = self._container(asked), _LISTED.findall(environ["wsgi.input"].read().decode())
        _refuse_condition(environ, container.blobs.get(asked.blob), writes=True)
        with self._store.lock:
            blocks = dict(container.blocks.get(asked.blob, {}))
        if not all(block in blocks for block in listed):
            raise AzureError("InvalidBlockList", "The specified block list is invalid.", 400)
        file, size = self._store.joined([blocks[block] for block in listed])
        # Of blocks that are put together, only their writer knows the whole's digest.
        blob = Blob(file, size, environ.get("HTTP_X_MS_BLOB_CONTENT_MD5", ""), *_described(environ))
        return self._made(asked, environ, start_response, container, blob)

    def _made(self, asked: BlobRequest, environ: Environ, start_response: StartResponse, container: BlobContainer, blob: Blob) -> Iterable[bytes]:
        with self._store.lock:
            # Somebody may have been faster while the body came.
            _refuse_condition(environ, container.blobs.get(asked.blob), writes=True)
            self._store.put(container, asked.blob, blob)
        digest = {"Content-MD5": blob.md5} if blob.md5 else {}
        return send(start_response, 201, {**_tag(blob), **digest, "x-ms-request-server-encrypted": "true"})

    def _set_metadata(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with self._store.lock:
            blob = self._blob(asked)
            _refuse_condition(environ, blob, writes=True)
            blob.metadata = _metadata(environ)
            blob.etag = self._store.new_etag()
        return send(start_response, 200, {**_tag(blob), "x-ms-request-server-encrypted": "true"})

    def _get_blob(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        blob = self._blob(asked)
        _refuse_condition(environ, blob, writes=False)
        begin, end, headers, status = 0, blob.size, _properties(blob), 200
        if match := _RANGE.fullmatch(environ.get("HTTP_X_MS_RANGE") or environ.get("HTTP_RANGE", "")):
            begin, end, status = int(match[1]), min(int(match[2]) + 1 if match[2] else blob.size, blob.size), 206
            if begin >= blob.size:
                message = "The range specified is invalid for the current size of the resource."
                raise AzureError("InvalidRange", message, 416, headers={"Content-Range": f"bytes */{blob.size}"})
            whole = {"x-ms-blob-content-md5": headers.pop("Content-MD5")} if blob.md5 else {}
            headers |= {"Content-Range": f"bytes {begin}-{end - 1}/{blob.size}", **whole}
        start_response(status_line(status), [*{**headers, "Content-Length": str(end - begin)}.items()])
        return blob.pieces(begin, end)

    def _blob_properties(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        blob = self._blob(asked)
        _refuse_condition(environ, blob, writes=False)
        return send(start_response, 200, {**_properties(blob), "Content-Length": str(blob.size)})

    def _delete_blob(self, asked: BlobRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with self._store.lock:
            _refuse_condition(environ, self._blob(asked), writes=True)
            self._store.delete(self._container(asked), asked.blob)
        return send(start_response, 202, {"x-ms-delete-type-permanent": "true"})

    def _container(self, asked: BlobRequest) -> BlobContainer:
        found = self._store.find(asked.account, asked.container)
        if found is None:
            raise AzureError("ContainerNotFound", "The specified container does not exist.", 404)
        return found

    def _blob(self, asked: BlobRequest) -> Blob:
        found = self._container(asked).blobs.get(asked.blob)
        if found is None:
            raise AzureError("BlobNotFound", "The specified blob does not exist.", 404)
        return found


def refusal(error: AzureError) -> tuple[dict[str, str], bytes]:
    """Headers and body of a refusal in the Blob service's words."""
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{error.code}</Code><Message>{error.message}</Message></Error>'
    return {"x-ms-error-code": error.code, "Content-Type": "application/xml", **error.headers}, body.encode()


def _endpoint(environ: Environ, asked: BlobRequest) -> str:
    return f"https://{environ.get('HTTP_HOST', '')}/{asked.account}"


def _body(environ: Environ) -> Iterator[bytes]:
    return iter(partial(environ["wsgi.input"].read, _PIECE), b"")


def _metadata(environ: Environ) -> dict[str, str]:
    return {name[len(_METADATA) :]: value for name, value in environ[HEADERS].items() if name.lower().startswith(_METADATA)}


def _described(environ: Environ) -> tuple[str, dict[str, str]]:
    kind = environ.get("HTTP_X_MS_BLOB_CONTENT_TYPE") or environ.get("CONTENT_TYPE") or "application/octet-stream"
    return kind, _metadata(environ)


def _tag(what: Blob | BlobContainer) -> dict[str, str]:
    return {"ETag": what.etag, "Last-Modified": formatdate(what.modified, usegmt=True)}


def _properties(blob: Blob) -> dict[str, str]:
    return {
        **_tag(blob),
        "Content-Type": blob.content_type,
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-creation-time": formatdate(blob.created, usegmt=True),
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-server-encrypted": "true",
        "x-ms-access-tier": "Hot",
        **({"Content-MD5": blob.md5} if blob.md5 else {}),
        **{f"x-ms-meta-{name}": value for name, value in blob.metadata.items()},
    }


def _refuse_condition(environ: Environ, blob: Blob | None, *, writes: bool) -> None:
    """ "Specifying conditional headers for Blob service operations"."""
    if (wanted := environ.get("HTTP_IF_MATCH")) and (blob is None or wanted not in {"*", blob.etag}):
        raise AzureError("ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.", 412)
    unwanted = environ.get("HTTP_IF_NONE_MATCH")
    if blob is None or unwanted not in {"*", blob.etag}:
        return
    if writes and unwanted == "*":
        raise AzureError("BlobAlreadyExists", "The specified blob already exists.", 409)
    raise AzureError("ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.", 412 if writes else 304)


def _refuse_digest(environ: Environ, md5: str) -> None:
    if (said := environ.get("HTTP_CONTENT_MD5")) and said != md5:
        message = "The MD5 value specified in the request did not match with the MD5 value calculated by the server."
        raise AzureError("Md5Mismatch", message, 400)


def parameters(asked: BlobRequest) -> Mapping[str, str]:
    """What the journal has of a request: all but signatures."""
    named = {"account": asked.account, "container": asked.container, "blob": asked.blob}
    return {**{key: value for key, value in named.items() if value}, **{key: asked.query[key] for key in ("prefix", "blockid") if key in asked.query}}
