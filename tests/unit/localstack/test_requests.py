"""Which call a request is, what the journal keeps of it, and what a fault rule makes of it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from deployer_localstack.aws.errors import AwsError, expired, render, throttled
from deployer_localstack.aws.requests import Call, read_call
from deployer_localstack.aws.settings import AwsSettings
from deployer_localstack.control.faults import Faults
from deployer_localstack.control.journal import Journal


def environ(method: str, path: str, query: str = "", body: bytes = b"", service: str = "s3", **headers: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=AKIAX/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        **headers,
    }


@pytest.mark.parametrize(
    ("method", "path", "query", "operation"),
    [
        ("GET", "/", "", "ListBuckets"),
        ("PUT", "/b", "", "CreateBucket"),
        ("HEAD", "/b", "", "HeadBucket"),
        ("GET", "/b", "list-type=2&prefix=a", "ListObjectsV2"),
        ("GET", "/b", "uploads", "ListMultipartUploads"),
        ("GET", "/b", "policy", "GetBucketPolicy"),
        ("POST", "/b", "delete", "DeleteObjects"),
        ("PUT", "/b/k/l", "", "PutObject"),
        ("POST", "/b/k", "uploads", "CreateMultipartUpload"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", "UploadPart"),
        ("POST", "/b/k", "uploadId=u", "CompleteMultipartUpload"),
        ("DELETE", "/b/k", "uploadId=u", "AbortMultipartUpload"),
        ("GET", "/b/k", "uploadId=u", "ListParts"),
    ],
)
def test_calls_of_s3_are_named(method: str, path: str, query: str, operation: str) -> None:
    call = read_call(environ(method, path, query))
    assert (call.service, call.operation, call.region, call.access_key) == ("s3", operation, "eu-west-1", "AKIAX")


def test_a_copy_is_told_from_a_put() -> None:
    assert read_call(environ("PUT", "/b/k", HTTP_X_AMZ_COPY_SOURCE="/a/k")).operation == "CopyObject"


def test_calls_of_json_services_are_named_and_their_body_stays_readable() -> None:
    body = json.dumps({"ModelName": "m"}).encode()
    request = environ("POST", "/", body=body, service="sagemaker", HTTP_X_AMZ_TARGET="SageMaker.DescribeModel")
    call = read_call(request)
    assert (call.service, call.operation, call.parameters) == ("sagemaker", "DescribeModel", {"ModelName": "m"})
    assert request["wsgi.input"].read() == body


def test_calls_of_query_services_are_named() -> None:
    body = b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws"
    call = read_call(environ("POST", "/", body=body, service="sts", CONTENT_TYPE="application/x-www-form-urlencoded"))
    assert (call.service, call.operation, call.parameters["RoleArn"]) == ("sts", "AssumeRole", "arn:aws")


def test_invocations_are_named_and_their_body_is_left_alone() -> None:
    request = environ("POST", "/endpoints/churn/invocations-response-stream", body=b"1,2", service="sagemaker")
    call = read_call(request)
    assert (call.service, call.operation) == ("sagemaker-runtime", "InvokeEndpointWithResponseStream")
    assert call.parameters == {"EndpointName": "churn"}
    assert request["wsgi.input"].read() == b"1,2"


def call(operation: str = "CreateModel", service: str = "sagemaker", **parameters: Any) -> Call:
    return Call(service, operation, "us-east-1", "AKIAX", parameters)


def test_the_journal_hides_values_and_cuts_what_is_long() -> None:
    journal = Journal()
    journal.open(call(PrimaryContainer={"Environment": {"TOKEN": "geheim"}}, Text="x" * 1000), "agent")
    parameters = journal.entries()[0]["parameters"]
    assert parameters["PrimaryContainer"]["Environment"] == {"TOKEN": "***"}
    assert len(parameters["Text"]) < 300


def test_the_journal_is_read_by_service_operation_and_number() -> None:
    journal = Journal()
    for operation in ("A", "B", "A"):
        journal.open(call(operation), "")
    assert [entry["number"] for entry in journal.entries(operation="A")] == [1, 3]
    assert [entry["number"] for entry in journal.entries(after=1)] == [2, 3]
    assert journal.entries(service="s3") == []


def test_a_rule_skips_then_strikes_as_often_as_it_says() -> None:
    faults = Faults()
    faults.add({"kind": "throttle", "operation": "Create*", "skip": 1, "count": 2})
    assert [bool(faults.striking(call(name))) for name in ("CreateModel", "ListModels", "CreateModel", "CreateModel", "CreateModel")] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_a_rule_per_call_strikes_each_distinct_call_once() -> None:
    faults = Faults()
    faults.add({"kind": "throttle", "per_call": True})
    calls = [call(ModelName="a"), call(ModelName="b"), call(ModelName="a"), call("ListModels")]
    assert [bool(faults.striking(each)) for each in calls] == [True, True, False, True]


def test_a_rule_can_be_removed() -> None:
    faults = Faults()
    rule = faults.add({"kind": "drop", "count": None})
    assert faults.striking(call())
    faults.remove(rule.id)
    assert faults.striking(call()) is None


@pytest.mark.parametrize("service", ["s3", "sts", "sagemaker"])
def test_errors_come_in_the_shape_that_botocore_reads(service: str) -> None:
    from botocore.parsers import create_parser

    protocol = {"s3": "rest-xml", "sts": "query", "sagemaker": "json"}[service]
    for error in (throttled(service), expired(service), AwsError("Odd", "a < b & c", 418)):
        status, headers, body = render(error, service)
        response = {"status_code": status, "headers": {name.lower(): value for name, value in headers}, "body": body}
        parsed = create_parser(protocol).parse(response, None)
        assert (parsed["Error"]["Code"], parsed["Error"]["Message"]) == (error.code, error.message)


def test_settings_take_texts_and_refuse_the_wrong_kind() -> None:
    settings = AwsSettings()
    settings.change({"creating_seconds": "2", "quotas": "{'ml.m5.large': 1}", "container_exits": 1})
    assert (settings.creating_seconds, settings.quotas, settings.container_exits) == (2.0, {"ml.m5.large": 1}, 1)
    for wrong in ({"creating_seconds": "soon"}, {"container_exits": 1.5}, {"nothing": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            settings.change(wrong)
    settings.restore()
    assert settings == AwsSettings()
