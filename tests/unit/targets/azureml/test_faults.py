"""What Azure says, in our errors."""

from __future__ import annotations

import json

import pytest

from deployer.errors import CredentialsInvalid, DeployerError, PermissionDenied, QuotaExceeded, Refused, TargetUnavailable
from deployer_targets.azureml.faults import Absent, ApiError, AzureFaults, Overtaken, reason_of

FAULTS = AzureFaults("workspace w, resource group g")


OUT_OF_CORES = (
    'InferencingClient HttpRequest error, error detail: {"errors":{"VmSize":["Not enough quota available for Standard_F4s_v2. '
    "Current usage/limit: 0/6. Additional needed: 8 Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-outofquota"
    '"]},"type":"https://tools.ietf.org/html/rfc7231#section-6.5.1","title":"One or more validation errors occurred.","status":400}'
)
OUT_OF_ENDPOINTS = '"Endpoint Quota reached for subscription s.Current usage/limit: 300/300.Please clean up existing endpoints and try again"'


def arm(code: str, message: str, *details: dict[str, object]) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "details": list(details)}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (400, arm("BadRequest", "Traffic must sum to 0 or 100"), Refused, "Traffic must sum"),
        (
            400,
            arm("BadRequest", "invalid", {"code": "InferencingClientCallFailed", "message": "instance type X is unknown"}),
            Refused,
            "X is unknown",
        ),
        (400, arm("OutOfQuota", "Not enough quota available for Standard_DS3_v2"), QuotaExceeded, "Not enough quota"),
        (
            400,
            arm("BadRequest", "The request is invalid.", {"code": "InferencingClientCreateDeploymentFailed", "message": OUT_OF_CORES}),
            QuotaExceeded,
            "InferencingClientCreateDeploymentFailed: Not enough quota available for Standard_F4s_v2. Current usage/limit: 0/6. Additional needed: 8",
        ),
        (400, arm("InferencingClientCallFailed", OUT_OF_ENDPOINTS), QuotaExceeded, "Failed: Endpoint Quota reached"),
        (409, arm("InferencingClientCallFailed", OUT_OF_ENDPOINTS), QuotaExceeded, "try again"),
        (401, arm("ExpiredAuthenticationToken", "The access token expiry UTC time"), CredentialsInvalid, "expiry"),
        (403, arm("AuthorizationFailed", "does not have authorization to perform action"), PermissionDenied, "perform action"),
        (
            403,
            b"<Error><Code>AuthorizationPermissionMismatch</Code><Message>not authorized\nRequestId:1</Message></Error>",
            PermissionDenied,
            "Mismatch",
        ),
        (404, arm("ResourceNotFound", "was not found"), Absent, "not found"),
        (409, arm("Conflict", "another operation is in progress"), Overtaken, "in progress"),
        (412, b"<Error><Code>ConditionNotMet</Code><Message>is not met.\nRequestId:2</Message></Error>", Overtaken, "not met"),
        (429, arm("TooManyRequests", "throttled"), TargetUnavailable, "throttled"),
        (503, b"upstream connect error", TargetUnavailable, "upstream"),
    ],
)
def test_answers(status: int, body: bytes, kind: type[DeployerError], says: str) -> None:
    error = FAULTS.translated(ApiError(status, body, {}), "PUT onlineEndpoints/churn")
    assert type(error) is kind
    assert says in f"{error.message} {error.why}"
    assert "RequestId" not in error.why
    assert error.definite is (status not in (429, 503))


def test_what_is_worth_asking_again() -> None:
    assert [status for status in (400, 401, 403, 404, 408, 409, 412, 429, 500, 502, 503, 504) if FAULTS.transient(ApiError(status, b"", {}))] == [
        408, 429, 500, 502, 503, 504
    ]  # fmt: skip


def test_a_missing_sign_in_names_each_way_that_was_tried() -> None:
    identity = pytest.importorskip("azure.identity")
    said = (
        "DefaultAzureCredential failed.\nAttempted credentials:\n\tAzureCliCredential: Azure CLI not found on path. See https://x\nTo mitigate this"
    )
    error = FAULTS.translated(identity.CredentialUnavailableError(said), "list")
    assert isinstance(error, CredentialsInvalid)
    assert error.why == "AzureCliCredential: Azure CLI not found on path"
    assert "az login" in error.advice


def test_the_reason_of_a_failed_operation_is_the_innermost() -> None:
    inner = {"code": "ResourceNotReady", "message": "User container has crashed"}
    assert reason_of({"code": "BadRequest", "message": "failed", "details": [inner]}) == "ResourceNotReady: User container has crashed"
    assert reason_of(None) == ""
