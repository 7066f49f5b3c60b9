"""Names the API call that an HTTP request makes: service, operation, who, where, with what."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from deployer_localstack.aws.account import DEFAULT_REGION
from deployer_localstack.control.calls import Call
from deployer_localstack.http.server import Environ

_TARGETS = {
    "SageMaker": "sagemaker",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "Logs_20140328": "logs",
    "AnyScaleFrontendService": "application-autoscaling",
}
_RUNTIME_OPERATIONS = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}
_CREDENTIAL = re.compile(r"Credential=([^/,]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_RUNTIME_PATH = re.compile(r"/endpoints/([^/]+)/([a-z-]+)")


def read_call(environ: Environ) -> Call:
    """The call behind the request. Reads the body of JSON and form requests, and puts it back."""
    access_key, region, signing_name = _credential(environ)
    path: str = environ["PATH_INFO"]
    signed = bool(access_key)
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        prefix, _, operation = target.rpartition(".")
        body = _take_body(environ)
        return Call(_TARGETS.get(prefix, signing_name), operation, region, access_key, _json(body), body, signed)
    if match := _RUNTIME_PATH.fullmatch(path):
        operation = _RUNTIME_OPERATIONS.get(match[2], "")
        return Call("sagemaker-runtime", operation, region, access_key, {"EndpointName": match[1]}, None, signed)
    if path.startswith("/service/") and "/operation/" in path:
        return Call(signing_name, path.rpartition("/")[2], region, access_key, {}, None, signed)
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = _take_body(environ)
        form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        service = signing_name or ("sts" if form.get("Version") == "2011-06-15" else "iam")
        return Call(service, form.pop("Action", ""), region, access_key, form, body, signed)
    return _s3_call(environ, path, region, access_key, signing_name or "s3")


def _credential(environ: Environ) -> tuple[str, str, str]:
    source = environ.get("HTTP_AUTHORIZATION", "")
    if "Credential=" not in source:
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        source = "Credential=" + query["X-Amz-Credential"] if "X-Amz-Credential" in query else ""
    match = _CREDENTIAL.search(source)
    return (match[1], match[2], match[3]) if match else ("", DEFAULT_REGION, "")


def _take_body(environ: Environ) -> bytes:
    body: bytes = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    return body


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


_OBJECT_QUERIES = {
    ("POST", "uploads"): "CreateMultipartUpload",
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", "uploadId"): "ListParts",
    ("GET", "tagging"): "GetObjectTagging",
    ("PUT", "tagging"): "PutObjectTagging",
}
_BUCKET_QUERIES = {
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "versions"): "ListObjectVersions",
    ("GET", "location"): "GetBucketLocation",
    ("POST", "delete"): "DeleteObjects",
}
_OBJECT_METHODS = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject", "POST": "PostObject"}
_BUCKET_METHODS = {"GET": "ListObjects", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}


def _s3_call(environ: Environ, path: str, region: str, access_key: str, service: str) -> Call:
    if service != "s3":
        return Call(service, "", region, access_key, {"Path": path}, None, bool(access_key))
    method: str = environ["REQUEST_METHOD"]
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    bucket, _, key = path.lstrip("/").partition("/")
    parameters: dict[str, Any] = {"Bucket": bucket}
    if key:
        parameters["Key"] = key
    parameters |= {name: query[name] for name in ("prefix", "partNumber", "uploadId", "part-number-marker", "max-parts") if name in query}
    table, methods = (_OBJECT_QUERIES, _OBJECT_METHODS) if key else (_BUCKET_QUERIES, _BUCKET_METHODS)
    operation = next((name for (verb, mark), name in table.items() if verb == method and mark in query), methods.get(method, ""))
    if not bucket:
        operation = "ListBuckets"
    elif operation == "PutObject" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        operation = "CopyObject"
    elif operation == "UploadPart" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        operation = "UploadPartCopy"
    elif operation == "ListObjects":
        operation = "ListObjectsV2" if query.get("list-type") == "2" else _other_bucket_query(query)
    return Call("s3", operation, region, access_key, parameters, None, bool(access_key))


def _other_bucket_query(query: Mapping[str, str]) -> str:
    """GET ?policy is GetBucketPolicy, and so on for the dozen that look alike."""
    for name in ("policy", "tagging", "versioning", "encryption", "lifecycle", "cors", "acl"):
        if name in query:
            return "GetBucket" + name.capitalize()
    return "ListObjects"
