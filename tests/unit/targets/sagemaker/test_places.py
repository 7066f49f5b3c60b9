"""Buckets, roles, images and addresses of another region or account, told before anything is uploaded."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from deployer.errors import ConfigInvalid, PermissionDenied
from deployer_targets.sagemaker import buckets, places
from deployer_targets.sagemaker.client import Identity
from tests.unit.targets.sagemaker.test_client import Answering, with_client


class S3(Answering):
    head_bucket = Answering.describe_endpoint


def answering(status: int, region: str = "") -> S3:
    """An S3 that answers HeadBucket with a status, and with the region of the bucket."""
    document = {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"x-amz-bucket-region": region} if region else {}}}
    if status == 200:
        return S3(document)
    return S3(ClientError({"Error": {"Code": str(status), "Message": ""}, **document}, "HeadBucket"))  # type: ignore[arg-type,typeddict-item]


@pytest.mark.parametrize("status", [200, 301, 403])
def test_a_bucket_of_another_region_is_refused_with_both_whatever_s3_answers_and_asked_once(status: int) -> None:
    cloud, s3 = with_client(Answering()), answering(status, "eu-west-1")
    s3.outcomes *= 3  # it would be told again
    cloud.connection._clients["s3"] = s3
    for _ in range(2):
        with pytest.raises(ConfigInvalid, match="the bucket ours is in eu-west-1, the target in us-west-2"):
            places.check_bucket(cloud, "ours")
    assert s3.calls == 1


@pytest.mark.parametrize(("status", "region"), [(200, "us-west-2"), (200, ""), (403, "us-west-2"), (403, ""), (404, "")])
def test_a_bucket_that_is_here_absent_or_silent_passes(status: int, region: str) -> None:
    cloud = with_client(Answering())
    cloud.connection._clients["s3"] = answering(status, region)
    places.check_bucket(cloud, "ours")
    if status == 403:
        with pytest.raises(PermissionDenied, match="the bucket ours may not be used"):
            buckets.ensure(cloud, "ours")


@pytest.mark.parametrize("arn", ["arn:aws:iam::210987654321:role/x", "arn:aws-cn:iam::123456789012:role/x"])
def test_a_role_of_another_account_is_refused_with_both(arn: str) -> None:
    cloud = with_client(Answering())
    cloud.connection.identity = Identity("123456789012", "aws", "arn:aws:iam::123456789012:user/me")
    places.check_role(cloud, "arn:aws:iam::123456789012:role/path/ours")
    with pytest.raises(ConfigInvalid, match="the target is the account 123456789012"):
        places.check_role(cloud, arn)


@pytest.mark.parametrize(
    ("image", "fits"),
    [
        ("123456789012.dkr.ecr.us-west-2.amazonaws.com/x:1", True),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/x:1", False),
        ("registry.example.com/x:1", True),
    ],
)
def test_an_image_of_another_region_is_refused(image: str, fits: bool) -> None:
    if fits:
        places.check_image(image, "us-west-2")
    else:
        with pytest.raises(ConfigInvalid, match="is in eu-west-1, the target in us-west-2"):
            places.check_image(image, "us-west-2")


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:7755", "https://api.sagemaker.us-west-2.amazonaws.com"])
def test_an_address_of_this_region_or_of_none_passes(url: str | None) -> None:
    places.check_endpoint_url(url, "us-west-2")


def test_an_address_of_another_region_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="endpoint_url is in eu-west-1, the target in us-west-2"):
        places.check_endpoint_url("https://vpce-1.api.sagemaker.eu-west-1.vpce.amazonaws.com", "us-west-2")
