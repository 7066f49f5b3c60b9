"""AWS's answers as our errors: which are asked again, which are a definite no, and of what kind."""

from __future__ import annotations

import pytest
from botocore import exceptions

from deployer.errors import ConfigInvalid, CredentialsInvalid, DeployerError, PermissionDenied, QuotaExceeded, Refused, TargetUnavailable
from deployer_targets.sagemaker.faults import Absent, AlreadyThere, transient, translated


def answer(code: str, message: str = "", status: int = 400) -> exceptions.ClientError:
    return exceptions.ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "CreateModel")


@pytest.mark.parametrize(
    "error",
    [
        answer("ThrottlingException"),
        answer("SlowDown", status=503),
        answer("TooManyRequestsException", status=429),
        answer("InternalFailure", status=500),
        answer("ServiceUnavailable", status=503),
        answer("ConcurrentUpdateException"),
        exceptions.EndpointConnectionError(endpoint_url="https://x"),
        exceptions.ReadTimeoutError(endpoint_url="https://x"),
        exceptions.ConnectionClosedError(endpoint_url="https://x"),
    ],
)
def test_throttling_server_errors_and_lost_connections_are_asked_again(error: Exception):
    assert transient(error)
    assert isinstance(translated(error, "sagemaker CreateModel", "us-west-2"), TargetUnavailable)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (answer("AccessDeniedException"), PermissionDenied),
        (answer("403", status=403), PermissionDenied),
        (answer("ExpiredToken"), CredentialsInvalid),
        (answer("InvalidClientTokenId", status=403), CredentialsInvalid),
        (exceptions.NoCredentialsError(), CredentialsInvalid),
        (exceptions.ProfileNotFound(profile="x"), ConfigInvalid),
        (answer("ResourceLimitExceeded", "The account-level service limit 'ml.m5.large for endpoint usage' is 0"), QuotaExceeded),
        (answer("ValidationException", 'Could not find endpoint "arn:..."'), Absent),
        (answer("NoSuchKey", status=404), Absent),
        (answer("404", status=404), Absent),
        (answer("ValidationException", 'Cannot create already existing endpoint "arn:..."'), AlreadyThere),
        (answer("RepositoryAlreadyExistsException"), AlreadyThere),
        (answer("ValidationException", "Could not access model data at s3://b/k"), Refused),
        (exceptions.SSLError(endpoint_url="https://x", error="certificate verify failed"), TargetUnavailable),
    ],
)
def test_a_definite_no_is_never_asked_again_and_has_its_kind(error: Exception, ours: type[DeployerError]):
    assert not transient(error)
    found = translated(error, "sagemaker CreateModel", "us-west-2")
    assert type(found) is ours
    assert found.why or found.advice


def test_the_error_says_what_was_asked_and_what_came_back():
    found = translated(answer("AccessDeniedException", "User x is not authorized"), "sagemaker CreateModel", "us-west-2")
    assert "sagemaker CreateModel" in found.message
    assert "User x is not authorized" in found.why
