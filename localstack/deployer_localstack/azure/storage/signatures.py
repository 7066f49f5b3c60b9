"""Who a request to the Blob service comes from, by its signature: a shared key's, or a shared access signature's of the account, of one container or
blob, or by a key that was delegated to a user.

Documented: "Authorize with Shared Key", "Create an account SAS", "Create a service SAS", "Create a user delegation SAS"; what is signed is what
azure-storage-blob 12.31 signs. Codes: "Common REST API error codes"; words shortened.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import product
from urllib.parse import unquote

from deployer_localstack.azure.answers import AzureError
from deployer_localstack.http.server import HEADERS, Environ

_SIGNED_HEADERS = (
    *(f"content-{each}" for each in ("encoding", "language", "length", "md5", "type")),
    *("date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)
_ANSWERED = ("rscc", "rscd", "rsce", "rscl", "rsct")
_FIRST = datetime.min.replace(tzinfo=UTC)
_DELEGATED = ("skoid", "sktid", "skt", "ske", "sks", "skv")
PERMISSIONS: Mapping[str, str] = {
    "ListContainers": "l",
    "CreateContainer": "cw",
    "GetContainerProperties": "r",
    "DeleteContainer": "d",
    "ListBlobs": "l",
    "PutBlob": "cw",
    "PutBlock": "cw",
    "PutBlockList": "cw",
    "SetBlobMetadata": "w",
    "GetBlob": "r",
    "GetBlobProperties": "r",
    "DeleteBlob": "d",
}
"""Of each operation: a signature has to give one of these."""


class Signatures:
    """Checks signatures of the storage account whose key `key` tells."""

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key

    def delegated(self, told: Mapping[str, str]) -> str:
        """The key that a user is given to sign with: what is told of it is part of it, so none has to be kept."""
        return _signed(self._key(), "\n".join(told.get(each, "") for each in _DELEGATED))

    def refuse_shared_key(self, account: str, signature: str, environ: Environ) -> None:
        """Return if an account's key has signed a request.

        Raises:
            AzureError: it hasn't.
        """
        headers = {name.lower(): str(value) for name, value in environ[HEADERS].items()}
        if headers.get("content-length") == "0":
            del headers["content-length"]
        lines = [environ["REQUEST_METHOD"], *(headers.get(each, "") for each in _SIGNED_HEADERS)]
        lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
        raw, _, query = environ["RAW_URI"].partition("?")
        lines.append(f"/{account}{raw}")
        asked = sorted(part.partition("=")[::2] for part in query.split("&") if part)
        lines += [f"{unquote(name).lower()}:{unquote(value)}" for name, value in asked]
        if not hmac.compare_digest(_signed(self._key(), "\n".join(lines)), signature):
            raise _failed("The MAC signature found in the HTTP request is not the same as any computed signature.")

    def refuse_shared_access(self, account: str, path: str, query: Mapping[str, str], operation: str) -> None:
        """Return if a shared access signature is an own one, in its time, and gives what is asked. `path`: container, or container and blob.

        Raises:
            AzureError: it isn't, or doesn't.
        """
        of_account, delegated = "ss" in query, "skoid" in query
        key = self.delegated(query) if delegated else self._key()
        texts = [_of_account(account, query)] if of_account else [*_of_resource(account, path, query, delegated=delegated)]
        if not any(hmac.compare_digest(_signed(key, text), query["sig"]) for text in texts):
            raise _failed(f"Signature did not match. String to sign used was {texts[0]}")
        if not (_moment(query.get("st")) or _FIRST) <= datetime.now(UTC) <= (_moment(query.get("se")) or _FIRST):
            raise _failed(f"Signature not valid in the specified time frame: Start [{query.get('st', '')}] - Expiry [{query.get('se', '')}].")
        kind = "s" if not path else "o" if "/" in path else "c"
        may_list = not of_account and query.get("sr") == "c" and operation == "ListBlobs"
        if (kind not in query.get("srt", "") or "b" not in query["ss"]) if of_account else (kind != "o" and not may_list):
            message = "This request is not authorized to perform this operation using this resource type."
            raise AzureError("AuthorizationResourceTypeMismatch", message, 403)
        if not set(PERMISSIONS.get(operation, "")) & set(query.get("sp", "")):
            message = "This request is not authorized to perform this operation using this permission."
            raise AzureError("AuthorizationPermissionMismatch", message, 403)


def container_signature(key: str, account: str, container: str, query: Mapping[str, str]) -> str:
    """The `sig` of a service SAS of a container, whose other parts are in a query."""
    return _signed(key, next(_of_resource(account, container, query, delegated=False)))


def _signed(key: str, text: str) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), "sha256")).decode()


def _of_account(account: str, query: Mapping[str, str]) -> str:
    scope = ["ses"] if query.get("sv", "") >= "2020-12-06" else []
    return "\n".join([account, *(query.get(each, "") for each in ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", *scope)), ""])


def _of_resource(account: str, path: str, query: Mapping[str, str], *, delegated: bool) -> Iterator[str]:
    """What is signed; of a delegated key's newer versions, each of the forms that there are."""
    place = path.partition("/")[0] if query.get("sr") == "c" else path
    begin = [*(query.get(each, "") for each in ("sp", "st", "se")), f"/blob/{account}/{place}"]
    scope = ["ses"] if query.get("sv", "") >= "2020-12-06" else []
    end = ("sip", "spr", "sv", "sr", "snapshot", *scope)
    if not delegated:
        yield "\n".join([*begin, *(query.get(each, "") for each in ("si", *end, *_ANSWERED))])
        return
    for users, dynamic in product((("skdutid", "sduoid"), ()), (("", ""), ())):
        names = (*_DELEGATED, "saoid", "suoid", "scid", *users, *end)
        yield "\n".join([*begin, *(query.get(each, "") for each in names), *dynamic, *(query.get(each, "") for each in _ANSWERED)])


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _failed(why: str) -> AzureError:
    formed = "Make sure the value of Authorization header is formed correctly including the signature."
    message = f"Server failed to authenticate the request. {formed} {why}"
    return AzureError("AuthenticationFailed", message, 403)
