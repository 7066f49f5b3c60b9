"""What an API server says when something is wrong, as our errors: what is worth asking again, what is a definite no, and what to do about it."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from typing import Any

from deployer.core import seam
from deployer.errors import Conflict, CredentialsInvalid, DeployerError, PermissionDenied, QuotaExceeded, Refused, TargetUnavailable

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_OF_JSON_PATCH = "the server rejected our request due to an error in our request"
"""All that is said where a test of a JSON patch fails, or what it changes isn't there."""


class Absent(Refused):
    """There is no such thing."""


class Overtaken(Refused):
    """A precondition doesn't hold: the thing isn't as it was when it was looked at."""


class ApiError(Exception):
    """An answer that isn't a success, as it came.

    Attributes:
        status: of HTTP. `reason` and `message` are those of the Status that came with it, if one did.
        retry_after: seconds that the server asks to wait; 0 where it doesn't.
    """

    def __init__(self, status: int, body: bytes, retry_after: str = "") -> None:
        said, self.body = status_of(body) or {}, body
        self.status, self.reason = status, str(said.get("reason") or "")
        self.message = str(said.get("message") or body[:500].decode(errors="replace").strip() or f"HTTP {status}")
        self.retry_after = float(retry_after) if retry_after.isdigit() else 0.0
        super().__init__(f"{status} {self.reason} {self.message}")


class KubernetesFaults(seam.FaultTable):
    """Kubernetes' table for the seam. `where` is the cluster, for an error's words."""

    def __init__(self, where: str) -> None:
        self.where = where

    def transient(self, error: BaseException) -> bool:
        if isinstance(error, ApiError):
            return error.status in _TRANSIENT and not _definite(error)
        return _of_transport(error) and not _of_certificate(error)

    def unreached(self, error: BaseException) -> bool:
        return _of_transport(error)

    def expired(self, error: BaseException) -> bool:
        return isinstance(error, ApiError) and error.status == 401

    def translated(self, error: Exception, operation: str) -> DeployerError | None:
        if isinstance(error, ApiError):
            return _said(error, operation)
        if _of_transport(error):
            why = re.sub(r"<[^>]*object at 0x[0-9a-f]+>:?\s*", "", str(error))
            advice = "kubectl --context CONTEXT get --raw /readyz asks the same server; a VPN or a proxy may be needed"
            return TargetUnavailable(f"{self.where} does not answer ({operation})", why=why, advice=advice)
        return None


def status_of(body: bytes) -> Mapping[str, Any] | None:
    """The API server's own Status in a body; None where the body is something else, as a container's answer is."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("kind") == "Status" and found.get("apiVersion") == "v1" else None


def unavailable(why: str) -> ApiError:
    """What an API server says where it can't do something now, and may a moment later."""
    status = {"kind": "Status", "apiVersion": "v1", "reason": "ServiceUnavailable", "code": 503, "message": why}
    return ApiError(503, json.dumps(status).encode())


def refused_the_proxy(error: ApiError) -> bool:
    """Whether the API server's proxy found a pod, and wasn't let in."""
    return error.status in (500, 502, 503) and "error trying to reach service" in error.message


def refusal(message: str, operation: str) -> DeployerError:
    """What a no of admission comes to, said at a call or of the pods that a controller couldn't make."""
    if "exceeded quota" in message or "maximum cpu usage" in message or "maximum memory usage" in message:
        return QuotaExceeded(
            f"{operation}: the namespace has no room for it",
            why=message,
            advice="-C resources asks for less, -C replicas for fewer; or raise the quota",
        )
    if "violates PodSecurity" in message:
        advice = "what -C patch adds to the pods has to keep the namespace's Pod Security standard; without a patch they keep the restricted one"
        return Refused(f"{operation}: the namespace's Pod Security refuses it", why=message, advice=advice)
    if "admission webhook" in message:
        return Refused(
            f"{operation}: an admission webhook of the cluster refuses it",
            why=message,
            advice="-C labels, annotations or patch may add what it asks for",
        )
    return Refused(f"{operation} is refused", why=message)


def _said(error: ApiError, operation: str) -> DeployerError:
    message = error.message
    if error.status == 401:
        return CredentialsInvalid(
            f"{operation}: the cluster does not take the credentials", why=message, advice="log in to the cluster again, then run the same command"
        )
    if error.status == 403 and (why := _forbidden(message)):
        return PermissionDenied(
            f"{operation} is not allowed", why=why, advice="deploy doctor lists what is missing; docs/kubernetes.md has the Role that is needed"
        )
    if error.status in (404, 410):
        return Absent(f"{operation}: {message}")
    if error.status == 409 or (error.status == 422 and message == _OF_JSON_PATCH):
        return Overtaken(f"{operation}: {message}")
    if error.status in _TRANSIENT and not _definite(error):
        return TargetUnavailable(f"{operation}: the API server can't do it now", why=message)
    return refusal(message, operation)


def _forbidden(message: str) -> str:
    """Which right is missing, in words; empty where it is admission that says no."""
    if message.endswith("is forbidden: "):  # all that is said where an apply would make something
        return f"{message}the verb create, which an apply of what isn't there needs beside patch"
    return message if "is forbidden: User" in message and "cannot " in message else ""


def _definite(error: ApiError) -> bool:
    """Some admission plugins say no with a 5xx, and so is it said that an apply can't be read."""
    denied = "admission webhook" in error.message and "denied the request" in error.message
    return denied or error.message.startswith("failed to create typed patch object")


def _of_transport(error: BaseException) -> bool:
    """Whether nothing was answered: urllib3's own errors, and those below it."""
    return isinstance(error, (OSError, ssl.SSLError)) or type(error).__module__.startswith(("urllib3.", "http.client"))


def _of_certificate(error: BaseException) -> bool:
    return "certificate" in str(error).lower()


def taken_by_another(name: str) -> Conflict:
    return Conflict(f"{name} is changed by somebody else, again and again", advice="deploy get shows what is there; the same command starts from it")
