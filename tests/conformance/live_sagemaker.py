"""SageMaker in a user's own account: what scripts/conformance_live runs. pytest doesn't collect it by itself, since it costs.

What it makes carries the run's prefix in its name, or, where that is too short, in a tag: the script finds all of it whatever happened to
this process.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest

from deployer.conformance import Origin, Place, Sample, TargetContract, TrafficContract
from deployer.core.state import DeploymentName
from deployer.core.target import Payload, TargetUri
from deployer_targets.sagemaker import names
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.target import SageMaker
from tests.models import failing_model, saved_model

RUN: dict[str, Any] = json.loads(os.environ.get("DEPLOYER_CONFORMANCE_LIVE", "{}"))
"""What the script decided: prefix, region, role, bucket, image, other_image, instance_type, shortest."""

KINDS = (
    ("model", "list_models", "Models", "ModelName", "ModelArn"),
    ("config", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", "EndpointConfigArn"),
    ("endpoint", "list_endpoints", "Endpoints", "EndpointName", "EndpointArn"),
)


class LivePlace(Place):
    target = SageMaker()
    question = Payload(b'{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}')
    generation_option: Mapping[str, Any] = {"container_startup_timeout": 120}
    live_option: ClassVar[Mapping[str, Any]] = {"instance_count": 2}
    options: ClassVar[Mapping[str, Any]] = {
        "execution_role_arn": RUN.get("role"),
        "instance_type": RUN.get("instance_type"),
        "image_url": RUN.get("image"),
        "timeout_seconds": 1800,
        "tags": {"conformance-live": RUN.get("prefix", "")},
    }

    def __init__(self) -> None:
        self.first = Sample(self.model_at(saved_model("doubler")), {"predictions": [3.0]})
        self.second = Sample(self.model_at(saved_model("tripler")), {"predictions": [4.5]})
        self.broken = self.model_at(saved_model("broken"))
        self.failing = self.model_at(failing_model(Path(tempfile.mkdtemp(prefix="failing-"))))
        self.other_image = RUN["other_image"]
        self.shortest, self.longest = RUN["shortest"], RUN["prefix"].ljust(names.LIMIT, "c")
        self.uri = f"sagemaker:/{RUN['region']}"
        self._numbers = itertools.count()

    def fresh_name(self) -> DeploymentName:
        return DeploymentName(f"{RUN['prefix']}-{next(self._numbers)}")

    def connect(self) -> Aws:
        return self.target.connect(TargetUri.parse(self.uri), self.target.config.parse(self.options, target="sagemaker"))

    def origin(self) -> Origin:
        return Origin("deployer_targets.sagemaker.target:SageMaker", self.uri)

    def everything_of_ours(self, name: DeploymentName) -> tuple[str, ...]:
        sagemaker, s3, found = self._boto("sagemaker"), self._boto("s3"), []
        for kind, operation, key, named, arn in KINDS:
            pages = sagemaker.get_paginator(operation).paginate(NameContains=name[: names.LIMIT - 11].rstrip("-"))
            for each in (each for page in pages for each in page[key] if each[named] == name or names.made_for(name, each[named])):
                if {"Key": names.TAG_DEPLOYMENT, "Value": name} in sagemaker.list_tags(ResourceArn=each[arn])["Tags"]:
                    found.append(f"{kind}/{each[named]}")
        home = names.Home(RUN["bucket"], name)
        with suppress(s3.exceptions.NoSuchBucket):
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=home.bucket, Prefix=home.prefix):
                found += [f"{each['Key'].split('/')[2]}/{each['Key']}" for each in page.get("Contents", ())]
            found += [f"upload/{each['Key']}" for each in s3.list_multipart_uploads(Bucket=home.bucket, Prefix=home.prefix).get("Uploads", ())]
        return tuple(sorted(found))

    def slow_rollouts(self, seconds: float) -> AbstractContextManager[object]:
        """Real ones take minutes anyway."""
        return nullcontext()

    @contextmanager
    def foreign(self, name: DeploymentName) -> Iterator[Callable[[], bool]]:
        sagemaker, theirs, key = self._boto("sagemaker"), f"{name}-theirs", f"{RUN['prefix']}/theirs.tar.gz"
        self._boto("s3").put_object(Bucket=RUN["bucket"], Key=key, Body=self._archive())
        data = f"s3://{RUN['bucket']}/{key}"
        sagemaker.create_model(ModelName=theirs, ExecutionRoleArn=RUN["role"], PrimaryContainer={"Image": RUN["image"], "ModelDataUrl": data})
        variant = {"VariantName": "theirs", "ModelName": theirs, "InstanceType": RUN["instance_type"], "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(EndpointConfigName=theirs, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=theirs)
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name)
        yield lambda: self._stands(name, theirs)
        with suppress(sagemaker.exceptions.ClientError):
            sagemaker.delete_endpoint(EndpointName=name)
            sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name)
        sagemaker.delete_endpoint_config(EndpointConfigName=theirs)
        sagemaker.delete_model(ModelName=theirs)

    def _stands(self, name: str, config: str) -> bool:
        found = self._boto("sagemaker").describe_endpoint(EndpointName=name)
        tags = self._boto("sagemaker").list_tags(ResourceArn=found["EndpointArn"])["Tags"]
        return (found["EndpointStatus"], found["EndpointConfigName"], tags) == ("InService", config, [])

    def _archive(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.add(str(self.first.model.path), ".")
        return buffer.getvalue()

    @staticmethod
    def _boto(service: str) -> Any:
        return boto3.client(service, region_name=RUN["region"])  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def place() -> LivePlace:
    return LivePlace()


class TestSageMakerLive(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = {
        "test_every_call_throttled_once": "never: AWS throttles when it likes",
    }
