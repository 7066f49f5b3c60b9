"""Buckets: whether they are there, where, and making them. S3 is asked once a run for each."""

from __future__ import annotations

from typing import Any

from deployer.errors import CredentialsInvalid, DeployerError, PermissionDenied, Refused
from deployer_targets.sagemaker import faults
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.faults import AlreadyThere

_REGION = "x-amz-bucket-region"


def region_of(cloud: Aws, bucket: str) -> str | None:
    """Where the bucket is, which S3 tells of those of others, too; None where it doesn't say, or where there is none."""
    try:
        headers = faults.headers_of(_head(cloud, bucket))
    except CredentialsInvalid:
        raise
    except (PermissionDenied, Refused) as error:
        headers = faults.headers_of(getattr(error.__cause__, "response", None))
    return headers.get(_REGION)


def is_there(cloud: Aws, bucket: str) -> bool:
    """Whether there is such a bucket.

    Raises:
        PermissionDenied: it may not be seen.
    """
    return _head(cloud, bucket) is not None


def ensure(cloud: Aws, bucket: str) -> None:
    """The bucket, made where absent, closed to the public as AWS's defaults have it.

    Raises:
        PermissionDenied: it is somebody else's, or ours may not be read or made.
    """
    try:
        if is_there(cloud, bucket):
            return
    except PermissionDenied as error:
        # All that S3 says of a bucket that isn't ours to see is 403.
        if isinstance(error, CredentialsInvalid):
            raise
        raise PermissionDenied(
            f"the bucket {bucket} may not be used with these credentials: it is another account's, or s3:ListBucket on it is not allowed",
            why=error.why,
            advice="bucket=NAME names another; docs/sagemaker.md has the policy that is needed",
        ) from error
    place = {} if cloud.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": cloud.region}}
    try:
        cloud.call("s3", "create_bucket", Bucket=bucket, **place)
    except AlreadyThere as error:
        if cloud.find("s3", "head_bucket", Bucket=bucket) is None:
            raise PermissionDenied(f"the bucket {bucket} belongs to another account", why=error.why, advice="bucket=NAME names another") from error
    cloud.connection.buckets.pop(bucket, None)


def _head(cloud: Aws, bucket: str) -> Any | None:
    """HeadBucket's answer, or None where there is none; raises what it raised, each time alike."""
    known = cloud.connection.buckets
    if bucket not in known:
        try:
            known[bucket] = cloud.find("s3", "head_bucket", Bucket=bucket)
        except CredentialsInvalid:
            raise
        except (PermissionDenied, Refused) as error:
            known[bucket] = error
    if isinstance(known[bucket], DeployerError):
        raise known[bucket]
    return known[bucket]
