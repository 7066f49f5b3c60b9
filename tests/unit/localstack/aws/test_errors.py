"""Errors as clients read them."""

from __future__ import annotations

import pytest

from deployer_localstack.aws.errors import AwsError, expired, render, throttled


@pytest.mark.parametrize("service", ["s3", "sts", "sagemaker"])
def test_errors_come_in_the_shape_that_botocore_reads(service: str) -> None:
    from botocore.parsers import create_parser

    protocol = {"s3": "rest-xml", "sts": "query", "sagemaker": "json"}[service]
    for error in (throttled(service), expired(service), AwsError("Odd", "a < b & c", 418)):
        status, headers, body = render(error, service)
        response = {"status_code": status, "headers": {name.lower(): value for name, value in headers}, "body": body}
        parsed = create_parser(protocol).parse(response, None)
        assert (parsed["Error"]["Code"], parsed["Error"]["Message"]) == (error.code, error.message)
