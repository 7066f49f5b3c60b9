"""What a real API server (1.20) says, as our errors."""

from __future__ import annotations

import json

import pytest

from deployer.errors import CredentialsInvalid, DeployerError, PermissionDenied, QuotaExceeded, Refused, TargetUnavailable
from deployer_targets.kubernetes.faults import Absent, ApiError, KubernetesFaults, Overtaken

FAULTS = KubernetesFaults("the cluster")


def api(status: int, reason: str, message: str) -> ApiError:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": status}
    return ApiError(status, json.dumps(said).encode(), "1")


FORBIDDEN = 'services is forbidden: User "ann" cannot list resource "services" in API group "" in the namespace "ml"'
QUOTA = 'pods "churn-1" is forbidden: exceeded quota: small, requested: limits.memory=2Gi, used: limits.memory=0, limited: limits.memory=1Gi'
SECURITY = 'pods "churn-1" is forbidden: violates PodSecurity "restricted:latest": hostNetwork=true'
WEBHOOK = 'admission webhook "policy.example" denied the request: no team label'
TAKEN = 'Operation cannot be fulfilled on services "churn": the object has been modified; please apply your changes to the latest version'


@pytest.mark.parametrize(
    ("error", "kind", "again"),
    [
        (api(401, "Unauthorized", "Unauthorized"), CredentialsInvalid, False),
        (api(403, "Forbidden", FORBIDDEN), PermissionDenied, False),
        (api(403, "Forbidden", QUOTA), QuotaExceeded, False),
        (api(403, "Forbidden", SECURITY), Refused, False),
        (api(400, "BadRequest", WEBHOOK), Refused, False),
        (api(404, "NotFound", 'services "churn" not found'), Absent, False),
        (api(409, "Conflict", TAKEN), Overtaken, False),
        (api(422, "Invalid", "the server rejected our request due to an error in our request"), Refused, False),
        (api(429, "TooManyRequests", "too many requests"), TargetUnavailable, True),
        (api(500, "InternalError", "etcdserver: leader changed"), TargetUnavailable, True),
        (api(503, "ServiceUnavailable", "apiserver is shutting down"), TargetUnavailable, True),
        (ApiError(502, b"<html>Bad Gateway</html>"), TargetUnavailable, True),
        (ConnectionRefusedError(111, "Connection refused"), TargetUnavailable, True),
    ],
)
def test_what_is_said_and_what_is_asked_again(error: Exception, kind: type[DeployerError], again: bool) -> None:
    ours = FAULTS.translated(error, "list Services")
    assert type(ours) is kind, ours
    assert FAULTS.transient(error) is again
    assert ours.definite is issubclass(kind, Refused)


def test_what_is_none_of_the_clusters_stays() -> None:
    assert FAULTS.translated(KeyError("x"), "list") is None
    assert not FAULTS.transient(KeyError("x"))
