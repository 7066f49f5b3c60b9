"""What a real API server (1.20) says, as our errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployer.errors import CredentialsInvalid, DeployerError, PermissionDenied, QuotaExceeded, Refused, TargetUnavailable
from deployer_targets.kubernetes.faults import Absent, ApiError, KubernetesFaults, Overtaken, refused_the_proxy, unavailable

FAULTS = KubernetesFaults("the cluster")


def api(status: int, reason: str, message: str) -> ApiError:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": status}
    return ApiError(status, json.dumps(said).encode(), "1")


FORBIDDEN = 'services is forbidden: User "ann" cannot list resource "services" in API group "" in the namespace "ml"'
BARE = 'secrets "churn-d4115190ec" is forbidden: '
QUOTA = 'pods "churn-1" is forbidden: exceeded quota: small, requested: limits.memory=2Gi, used: limits.memory=0, limited: limits.memory=1Gi'
SECURITY = 'pods "churn-1" is forbidden: violates PodSecurity "restricted:latest": hostNetwork=true'
WEBHOOK = 'admission webhook "policy.example" denied the request: no team label'
TAKEN = 'Operation cannot be fulfilled on services "churn": the object has been modified; please apply your changes to the latest version'


@pytest.mark.parametrize(
    ("error", "kind", "again"),
    [
        (api(401, "Unauthorized", "Unauthorized"), CredentialsInvalid, False),
        (api(403, "Forbidden", FORBIDDEN), PermissionDenied, False),
        (api(403, "Forbidden", BARE), PermissionDenied, False),
        (api(403, "Forbidden", QUOTA), QuotaExceeded, False),
        (api(403, "Forbidden", SECURITY), Refused, False),
        (api(400, "BadRequest", WEBHOOK), Refused, False),
        (api(404, "NotFound", 'services "churn" not found'), Absent, False),
        (api(409, "Conflict", TAKEN), Overtaken, False),
        (api(422, "Invalid", "the server rejected our request due to an error in our request"), Overtaken, False),
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


RECORDED = json.loads(Path(__file__).with_name("statuses.json").read_text())
"""What a Kubernetes 1.20 has really answered."""
MEANINGS: dict[str, tuple[type[DeployerError], str]] = {
    "not-found": (Absent, 'services "churn" not found'),
    "already-exists": (Overtaken, "already exists"),
    "version-of-update": (Overtaken, "the object has been modified"),
    "version-of-apply": (Overtaken, "the object has been modified"),
    "field-of-another": (Overtaken, 'conflicts with "another"'),
    "uid-of-delete": (Overtaken, "the UID in the precondition"),
    "test-of-patch": (Overtaken, "an error in our request"),
    "path-of-patch": (Overtaken, "an error in our request"),
    "unauthorized": (CredentialsInvalid, "Unauthorized"),
    "forbidden": (PermissionDenied, 'cannot list resource "services"'),
    "forbidden-to-make-by-apply": (PermissionDenied, "the verb create"),
    "key-of-list": (Refused, 'omits key field "protocol"'),
    "invalid": (Refused, "a DNS-1035 label"),
    "unknown-kind": (Absent, "could not find the requested resource"),
    "quota": (QuotaExceeded, "limited: limits.memory=1Gi"),
    "quota-without-limit": (Refused, "must specify limits.memory"),
    "limit-range": (QuotaExceeded, "maximum memory usage per Container is 512Mi"),
    "continue-expired": (Absent, "too old"),
    "namespace-ending": (Refused, "being terminated"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_real_servers_no_is_told_in_its_words_and_not_asked_again(name: str) -> None:
    answer = RECORDED[name]
    error = ApiError(answer["status"], json.dumps(answer["body"]).encode())
    ours = FAULTS.translated(error, "apply Service churn")
    kind, words = MEANINGS[name]
    assert type(ours) is kind, ours
    assert words in f"{ours.message} {ours.why}"
    assert not FAULTS.transient(error)


def test_a_webhook_that_says_no_with_a_server_error_is_not_asked_again() -> None:
    assert not FAULTS.transient(api(500, "InternalError", WEBHOOK))


def test_what_is_none_of_the_clusters_stays() -> None:
    assert FAULTS.translated(KeyError("x"), "list") is None
    assert not FAULTS.transient(KeyError("x"))


def test_pods_that_let_the_proxy_not_in_are_known() -> None:
    reset = "error trying to reach service: read tcp 10.0.0.1:40000->10.1.0.7:8080: read: connection reset by peer"
    assert refused_the_proxy(api(503, "ServiceUnavailable", reset))
    assert refused_the_proxy(api(500, "InternalError", "error trying to reach service: EOF"))
    assert not refused_the_proxy(api(503, "ServiceUnavailable", 'no endpoints available for service "churn"'))
    assert not refused_the_proxy(ApiError(500, b"error trying"))
    assert FAULTS.transient(unavailable("its Service has no endpoints yet"))
