"""A local AWS with a scoring image in its registry, small models to deploy there, and boto3 to look at it behind the target's back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

import deployer_localstack as localstack
from deployer.artifacts import fetch
from deployer.core.state import PackagedModel
from deployer.core.target import Payload, TargetUri
from deployer.events import silent
from deployer.oci import Image, general_tag
from deployer.oci import labels as image_labels
from deployer_images import standin
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.target import SageMaker

ACCOUNT = "123456789012"
REGION = "us-east-1"
BUCKET = f"sagemaker-{REGION}-{ACCOUNT}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deployer-sagemaker"
SCORER = str(Path(__file__).with_name("scorer.py"))
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"

QUESTION = Payload(json.dumps({"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}).encode())


class AwsHere:
    """A running local AWS."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.status = localstack.status(directory)
        self.control = localstack.control(directory)
        self.environment: Mapping[str, str] = localstack.environment(directory)
        self.target = SageMaker()

    def boto(self, service: str) -> Any:
        """A client of boto3's own."""
        return boto3.client(service, region_name=REGION)

    def connect(self, uri: str = f"sagemaker:/{REGION}", **options: Any) -> Aws:
        return self.target.connect(TargetUri.parse(uri), self.target.config.parse(options, target="sagemaker"))

    def push(self, tag: str, *, platform: str = "linux/amd64", name: str = "deployer-scoring", **labels: str) -> Image:
        """An image that is `scorer.py`, and says of itself what a scoring image says."""
        repository = self.target.image_repository(self.connect(), name, create=True)
        known = {
            "io.deployer.command": json.dumps([sys.executable, SCORER]),
            image_labels.PYTHON: MINOR,
            image_labels.RUNTIME: "test",
            image_labels.PACKAGES: "[]",
        }
        standin.push(repository, {**known, **labels}, platform, tag)
        found: Image = repository.describe(tag)
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
    def settings(self, **changes: Any) -> Iterator[None]:
        """While it lasts, the cloud is slower, smaller, ..."""
        before = self.control.settings()
        self.control.settings(**changes)
        try:
            yield
        finally:
            self.control.settings(**{key: before[key] for key in changes})


@contextmanager
def started(directory: Path) -> Iterator[AwsHere]:
    """A local AWS of its own, with a scoring image."""
    try:
        localstack.up(localstack.Options(directory=directory, port=0, runtime="process", registry="python", commands=True))
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


def model_in(directory: Path, factor: float | str, **files: bytes) -> PackagedModel:
    """A model that multiplies x by `factor`; "broken" fails as it loads, "failing" at each request."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "MLmodel").write_text(
        f"flavors:\n  python_function:\n    loader_module: multiplier\n    code: code\n    data: factor.txt\n    python_version: {MINOR}.0\n"
    )
    (directory / "code").mkdir(exist_ok=True)
    (directory / "code" / "multiplier.py").write_text("def _load_pyfunc(path):\n    raise NotImplementedError\n")
    (directory / "factor.txt").write_text(str(factor))
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return fetch(str(directory), silent)
