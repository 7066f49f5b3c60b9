"""Which call a request is."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from deployer_localstack.aws.requests import Call, read_call


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
