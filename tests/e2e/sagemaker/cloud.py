"""A local AWS with a scoring image in its registry, and boto3 to look at it behind the target's back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

import deployer_localstack as localstack
from deployer.oci import general_tag
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.target import SageMaker
from tests.local_clouds import MINOR, CloudHere

ACCOUNT = "123456789012"
REGION = "us-east-1"
BUCKET = f"sagemaker-{REGION}-{ACCOUNT}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deployer-sagemaker"


class AwsHere(CloudHere):
    """A running local AWS."""

    uri = f"sagemaker:/{REGION}"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.status = localstack.status(directory)
        self.target = SageMaker()

    def boto(self, service: str) -> Any:
        """A client of boto3's own."""
        return boto3.client(service, region_name=REGION)

    def connect(self, uri: str = "", **options: Any) -> Aws:
        found: Aws = super().connect(uri, **options)
        return found

    def everything_of(self, name: str) -> tuple[str, ...]:
        """All that is there because of a deployment, "kind/name"; the captured data and logs, which stay on purpose, left out."""
        sagemaker, s3 = self.boto("sagemaker"), self.boto("s3")
        kinds = (
            ("model", "list_models", "Models", "ModelName", "ModelArn"),
            ("config", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", "EndpointConfigArn"),
            ("endpoint", "list_endpoints", "Endpoints", "EndpointName", "EndpointArn"),
        )
        found = []
        for kind, operation, key, named, arn in kinds:
            for each in (each for page in sagemaker.get_paginator(operation).paginate() for each in page[key]):
                tags = sagemaker.list_tags(ResourceArn=each[arn])["Tags"]
                if {"Key": "deployer:deployment", "Value": name} in tags:
                    found.append(f"{kind}/{each[named]}")
        if BUCKET in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            prefix = f"deployer/{name}/"
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
                found += [f"{each['Key'].split('/')[2]}/{each['Key']}" for each in page.get("Contents", ())]
            uploads = s3.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", ())
            found += [f"upload/{each['Key']}" for each in uploads]
        return tuple(sorted(found))

    @contextmanager
    def struck(self, kind: str, **rule: Any) -> Iterator[None]:
        """While it lasts, calls go wrong by this rule."""
        self.control.add_fault(kind, **rule)
        try:
            yield
        finally:
            self.control.clear_faults()

    @contextmanager
    def named(self) -> Iterator[None]:
        """While it lasts, this process's environment names this cloud and no other."""
        before = dict(os.environ)
        for name in [each for each in os.environ if each.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(localstack.environment(self.directory))
        os.environ.update({"XDG_CONFIG_HOME": str(self.directory / "config"), "XDG_CONFIG_DIRS": str(self.directory / "config")})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def started(directory: Path) -> Iterator[AwsHere]:
    """A local AWS of its own, with a scoring image."""
    try:
        localstack.up(localstack.StartOptions(directory=directory, port=0, runtime="process", registry="python", commands=True))
        here = AwsHere(directory)
        with here.named():
            here.push(general_tag(MINOR))
        yield here
    finally:
        localstack.down(directory)


@contextmanager
def running(directory: Path) -> Iterator[AwsHere]:
    """A local AWS of its own, with a scoring image, in this process's environment."""
    with started(directory) as here, here.named():
        yield here
