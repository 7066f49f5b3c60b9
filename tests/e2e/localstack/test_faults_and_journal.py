"""Misbehaviour by rule, and the journal that tells of it."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from .conftest import ROLE, User


def test_a_call_is_throttled_once_in_the_services_own_words(user: User) -> None:
    for service, call, code in (
        ("sagemaker", user.sagemaker.list_models, "ThrottlingException"),
        ("s3", user.s3.list_buckets, "SlowDown"),
        ("sts", user.client("sts").get_caller_identity, "Throttling"),
        ("ecr", user.ecr.describe_repositories, "ThrottlingException"),
    ):
        user.control.add_fault("throttle", service=service)
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == code
        call()


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("iam", "simulate_principal_policy", {"PolicySourceArn": f"{ROLE}", "ActionNames": ["s3:GetObject"]}),
        ("service-quotas", "list_service_quotas", {"ServiceCode": "sagemaker"}),
        ("sagemaker", "list_inference_components", {}),
        ("braket", "search_jobs", {"filters": []}),
    ],
)
def test_what_is_not_there_is_refused_at_once_by_name(user: User, service: str, operation: str, parameters: dict[str, object]) -> None:
    client = user.client(service, retries=10)
    with pytest.raises(ClientError, match="The local cloud doesn't do this: ") as caught:
        getattr(client, operation)(**parameters)
    answer = caught.value.response["ResponseMetadata"]
    assert (caught.value.response["Error"]["Code"], answer["HTTPStatusCode"], answer["RetryAttempts"]) == ("NotImplemented", 501, 0)


def test_a_patient_client_never_notices_a_throttle(user: User) -> None:
    user.control.add_fault("throttle", service="*", count=1, per_call=True)
    sagemaker = user.client("sagemaker", retries=3)
    sagemaker.list_models(NameContains="a")
    sagemaker.list_models(NameContains="b")
    assert user.control.faults()[0]["hits"] == 2


def test_the_nth_call_breaks_as_told(user: User) -> None:
    user.control.add_fault("error", service="sagemaker", operation="List*", skip=2, count=2, code="AccessDeniedException", message="no", status=400)
    outcomes = []
    for _ in range(5):
        try:
            user.sagemaker.list_models()
            outcomes.append("ok")
        except ClientError as fault:
            outcomes.append(fault.response["Error"]["Code"])
    assert outcomes == ["ok", "ok", "AccessDeniedException", "AccessDeniedException", "ok"]


def test_a_slow_answer_comes(user: User) -> None:
    user.control.add_fault("slow", operation="ListModels", seconds=0.5)
    began = time.monotonic()
    user.sagemaker.list_models()
    assert time.monotonic() - began > 0.5


def test_a_dropped_call_has_no_effect_and_a_lost_answer_has(user: User, name: str) -> None:
    container = {"Image": user.image(), "ModelDataUrl": user.data(name)}
    for kind, found in (("drop", 0), ("lose-answer", 1)):
        user.control.add_fault(kind, service="sagemaker", operation="CreateModel")
        with pytest.raises(ConnectionClosedError):
            user.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        assert len(user.sagemaker.list_models(NameContains=name)["Models"]) == found


def test_a_lost_answer_to_an_upload_still_uploads(user: User, name: str) -> None:
    user.data(f"{name}-before")
    user.control.add_fault("lose-answer", service="s3", operation="PutObject")
    with pytest.raises(ConnectionClosedError):
        user.data(name)
    assert user.s3.head_object(Bucket="sagemaker-us-east-1-123456789012", Key=name)["ContentLength"]


def test_an_unknown_fault_is_refused(user: User) -> None:
    with pytest.raises(ValueError, match="kind explode: not a fault"):
        user.control.add_fault("explode")
    with pytest.raises(ValueError, match="oparation"):
        user.control.add_fault("throttle", oparation="x")
    with pytest.raises(ValueError, match="no_such is not a setting"):
        user.control.settings(no_such=1)


def test_the_journal_tells_every_call_without_secrets(user: User, name: str) -> None:
    last = max((entry["number"] for entry in user.control.journal()), default=0)
    user.image()
    container = {"Image": user.image(), "ModelDataUrl": user.data(name), "Environment": {"TOKEN": "geheim"}}
    user.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    with pytest.raises(ClientError):
        user.sagemaker.describe_endpoint(EndpointName=name)
    with pytest.raises(ClientError):
        user.client("iam").get_role(RoleName=name)
    entries = user.control.journal(after=last)
    assert "geheim" not in str(entries)
    created = next(entry for entry in entries if entry["operation"] == "CreateModel")
    assert (created["service"], created["region"], created["status"]) == ("sagemaker", "us-east-1", 200)
    assert created["parameters"]["PrimaryContainer"]["Environment"] == {"TOKEN": "***"}
    assert created["user_agent"].startswith("Boto3/")
    refused = {entry["operation"]: entry["error"] for entry in entries if entry["status"] != 200}
    assert refused == {
        "CreateRepository": "RepositoryAlreadyExistsException",
        "DescribeEndpoint": "ValidationException",
        "GetRole": "NoSuchEntity",
    }
    assert {"PutObject", "HeadBucket"} <= {entry["operation"] for entry in user.control.journal(service="s3", after=last)}


def test_multipart_uploads_are_named_and_unfinished_ones_are_listed(user: User, name: str) -> None:
    user.data(f"{name}-before")
    bucket = "sagemaker-us-east-1-123456789012"
    last = user.control.journal()[-1]["number"]
    upload = user.s3.create_multipart_upload(Bucket=bucket, Key=name)["UploadId"]
    user.s3.upload_part(Bucket=bucket, Key=name, UploadId=upload, PartNumber=1, Body=b"x" * 1024)
    assert [each["Key"] for each in user.s3.list_multipart_uploads(Bucket=bucket, Prefix=name)["Uploads"]] == [name]
    user.s3.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=upload)
    assert not user.s3.list_multipart_uploads(Bucket=bucket, Prefix=name).get("Uploads")
    operations = [entry["operation"] for entry in user.control.journal(service="s3", after=last)]
    assert operations == ["CreateMultipartUpload", "UploadPart", "ListMultipartUploads", "AbortMultipartUpload", "ListMultipartUploads"]
