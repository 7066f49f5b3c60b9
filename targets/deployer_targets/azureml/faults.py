"""What Azure says when something is wrong, as our errors: what is worth asking again, what is a definite no, and what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from deployer.core import seam
from deployer.errors import CredentialsInvalid, DeployerError, PermissionDenied, QuotaExceeded, Refused, TargetUnavailable

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_QUOTA = re.compile(r"quota|OutOfCapacity|SkuNotAvailable|NotEnoughCapacity", re.IGNORECASE)
_WRAPPED = re.compile(r"error detail: (\{.*\})", re.DOTALL)
_SEE = re.compile(r"\s*Please see troubleshooting guide.*", re.DOTALL)
_BLOB_ERROR = re.compile(rb"<Code>([^<]*)</Code>\s*<Message>([^<]*)</Message>")
_LOGIN = "az login, or the AZURE_* variables of an application; -C credential chooses one kind"


class Absent(Refused):
    """There is no such thing."""


class Overtaken(Refused):
    """It isn't as it was when it was looked at, or another operation on it is in progress."""


_KINDS: Mapping[int, type[Refused]] = {404: Absent, 409: Overtaken, 412: Overtaken}


class ApiError(Exception):
    """An answer that isn't a success, as it came.

    Attributes:
        status: of HTTP.
        error_code: Azure's name of what is wrong.
        message: what Azure says, with the innermost detail that it gives.
        model_status: of a scoring URI: what the container answered with, where that wasn't well.
    """

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status, self.body = status, body
        self.model_status = headers.get("ms-azureml-model-error-statuscode", "")
        self.error_code, self.message = _read(body)
        self.error_code = self.error_code or headers.get("x-ms-error-code", "")
        self.message = self.message or body[:500].decode(errors="replace").strip() or f"HTTP {status}"
        super().__init__(f"{status} {self.error_code} {self.message}")


class AzureFaults(seam.FaultTable):
    """Azure's table for the seam. `where` is the workspace, for an error's words."""

    def __init__(self, where: str) -> None:
        self.where = where

    def transient(self, error: BaseException) -> bool:
        if isinstance(error, ApiError):
            return error.status in _TRANSIENT
        return _of_transport(error) and not _of_certificate(error)

    def unreached(self, error: BaseException) -> bool:
        return _named(error, "ServiceRequestError")

    def expired(self, error: BaseException) -> bool:
        return isinstance(error, ApiError) and error.status == 401

    def translated(self, error: Exception, operation: str) -> DeployerError | None:
        if isinstance(error, ApiError):
            return _said(error, operation)
        if _named(error, "ClientAuthenticationError", "CredentialUnavailableError"):
            return CredentialsInvalid(f"no credentials for {self.where}", why=_attempts(str(error)), advice=_LOGIN)
        if _of_transport(error):
            why = re.sub(r"<[^>]*object at 0x[0-9a-f]+>:?\s*", "", str(error))
            advice = (
                "a VPN, a proxy (HTTPS_PROXY) or a certificate (REQUESTS_CA_BUNDLE) may be needed; a private workspace answers in its network alone"
            )
            return TargetUnavailable(f"{self.where} does not answer ({operation})", why=why, advice=advice)
        return None


def reason_of(error: Any) -> str:
    """The innermost words of an error document, with its code: what a failed operation or deployment says."""
    return ": ".join(filter(None, _innermost(error))) if isinstance(error, dict) else ""


def _said(error: ApiError, operation: str) -> DeployerError:
    code, why = error.error_code, f"{error.error_code}: {error.message}" if error.error_code else error.message
    if error.status == 401:
        return CredentialsInvalid(f"{operation}: Azure does not take the credentials", why=why, advice=_LOGIN)
    if error.status not in _TRANSIENT and (_QUOTA.search(code) or _QUOTA.search(error.message)):
        return QuotaExceeded(f"{operation}: the quota doesn't allow it", why=why, advice=_more_quota(error.message))
    if error.status == 403:
        return PermissionDenied(
            f"{operation} is not allowed", why=why, advice="deploy doctor lists what is missing; docs/azureml.md has the role that is needed"
        )
    if (kind := _KINDS.get(error.status)) is not None:
        return kind(f"{operation}: {error.message}", why=code)
    if error.status in _TRANSIENT:
        return TargetUnavailable(f"{operation}: Azure can't do it now", why=why)
    return Refused(f"{operation} is refused", why=why)


def _more_quota(message: str) -> str:
    counted = re.search(r"(endpoint|deployment) quota", message, re.IGNORECASE)
    if counted:
        listing = "deploy list-endpoints" if counted[1].lower() == "endpoint" else "deploy list"
        return f"delete {counted[1].lower()}s that nobody needs ({listing}), or ask for more: the quota page of Azure ML studio"
    return "another instance_type, fewer instances, in_place: true for an update, or ask for more: deploy doctor says what is free"


def _read(body: bytes) -> tuple[str, str]:
    """Code and message of an error's document: ARM's JSON, OAuth's, or storage's XML."""
    if match := _BLOB_ERROR.search(body):
        return match[1].decode(errors="replace"), match[2].decode(errors="replace").partition("\n")[0]
    try:
        document = json.loads(body)
    except ValueError:
        return "", ""
    found = document.get("error") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        return "", ""
    inner, message = _innermost(found)
    return inner, _plain(message)


def _plain(message: str) -> str:
    """What a service behind Azure ML said, without the document that it said it in."""
    if match := _WRAPPED.search(message):
        with suppress(ValueError):
            errors = json.loads(match[1]).get("errors") or {}
            message = next((str(each[0]) for each in errors.values() if each), message)
    return _SEE.sub("", message).strip('"')


def _innermost(error: Mapping[str, Any]) -> tuple[str, str]:
    """Azure ML wraps what went wrong in UserError and the like."""
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    details = [each for each in error.get("details") or () if isinstance(each, dict) and each.get("message")]
    if details and code in ("UserError", "BadRequest", "ValidationError", ""):
        inner = _innermost(details[0])
        return inner[0] or code, inner[1] or message
    return code, message


def _of_transport(error: BaseException) -> bool:
    """Whether nothing was answered: azure-core's own errors, and those below it."""
    return _named(error, "ServiceRequestError", "ServiceResponseError") or isinstance(error, (ConnectionError, TimeoutError))


def _of_certificate(error: BaseException) -> bool:
    return "certificate" in str(error).lower()


def _named(error: BaseException, *names: str) -> bool:
    """Whether an error is one of azure-core's or azure-identity's, which aren't imported before they are used."""
    return any(each.__name__ in names and each.__module__.startswith("azure.") for each in type(error).__mro__)


def _attempts(text: str) -> str:
    """What azure-identity says, a phrase for each credential that it tried: it links to a page after each."""
    first, *tried = (line.strip() for line in text.splitlines() if line.strip())
    phrases = [line.partition(". ")[0].rstrip(".") for line in tried if re.match(r"\w+Credential: ", line)]
    return "; ".join(phrases) if phrases else first
