"""Whether what a deployment names is where its endpoint will be: SageMaker takes data, images and roles of its own region and account alone.

It would say so itself, after the upload, in words that name neither.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from deployer.errors import ConfigInvalid
from deployer_targets.sagemaker import buckets
from deployer_targets.sagemaker.client import Aws

_ROLE = re.compile(r"arn:(?P<partition>[^:]+):iam::(?P<account>\d{12}):role/")
_IMAGE = re.compile(r"\d{12}\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.")
_ENDPOINT = re.compile(r"(?:^|\.)(?:api\.)?sagemaker(?:-fips)?\.(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d+)\.")


def check_endpoint_url(url: str | None, region: str) -> None:
    """Refuse an address of AWS's in another region, which would take no signature for this one.

    Raises:
        ConfigInvalid: with both regions.
    """
    found = _ENDPOINT.search(urlsplit(url or "").hostname or "")
    if found and found["region"] != region:
        raise ConfigInvalid(
            f"endpoint_url is in {found['region']}, the target in {region}", advice=f"-t sagemaker:/{found['region']}, or another endpoint_url"
        )


def check_bucket(cloud: Aws, bucket: str) -> None:
    """Refuse a bucket of another region. One that isn't there, or doesn't say, passes.

    Raises:
        ConfigInvalid: with both regions.
    """
    region = buckets.region_of(cloud, bucket)
    if region and region != cloud.region:
        raise ConfigInvalid(
            f"the bucket {bucket} is in {region}, the target in {cloud.region}",
            advice=f"bucket=NAME names one in {cloud.region}; without it, one is made there; or deploy to -t sagemaker:/{region}",
        )


def check_role(cloud: Aws, arn: str) -> None:
    """Refuse a role of another account or partition.

    Raises:
        ConfigInvalid: with both accounts.
    """
    found, who = _ROLE.match(arn), cloud.identity
    if found and (found["partition"], found["account"]) != (who.partition, who.account):
        raise ConfigInvalid(
            f"the execution role {arn} is of the account {found['account']}, the target is the account {who.account}"
            + ("" if found["partition"] == who.partition else f", and of the partition {found['partition']}, not {who.partition}"),
            advice="execution_role_arn names a role of the target's account; credentials or assume_role_arn choose the account",
        )


def check_image(reference: str, region: str) -> None:
    """Refuse an image in ECR of another region.

    Raises:
        ConfigInvalid: with both regions.
    """
    found = _IMAGE.match(reference)
    if found and found["region"] != region:
        raise ConfigInvalid(
            f"the image {reference} is in {found['region']}, the target in {region}",
            advice=f"push it to ECR in {region}, and name that: image_url=...",
        )
