"""SageMaker on the local AWS: the contract, over real sockets, with real processes behind the endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import pytest

from deployer.conformance import Place, TargetContract, TrafficContract
from deployer.core.state import DeploymentName
from tests.e2e.sagemaker.cloud import ROLE, AwsHere, running
from tests.local_clouds import ScorerPlace


class SageMakerPlace(ScorerPlace):
    options: ClassVar[Mapping[str, Any]] = {"execution_role_arn": ROLE, "timeout_seconds": 180}
    generation_option: Mapping[str, Any] = {"container_startup_timeout": 120}
    live_option: ClassVar[Mapping[str, Any]] = {"instance_count": 2}
    stride = 3  # the simulation kills it at every call

    here: AwsHere

    @contextmanager
    def everything_struck(self) -> Iterator[None]:
        control = self.here.control
        for service, operation in sorted({(entry["service"], entry["operation"]) for entry in control.journal()}):
            control.add_fault("throttle", service=service, operation=operation, count=1)
        try:
            yield
            assert sum(fault["hits"] for fault in control.faults()) > 20
        finally:
            control.clear_faults()

    @contextmanager
    def slow_rollouts(self, seconds: float) -> Iterator[None]:
        with self.here.settings(creating_seconds=seconds, updating_seconds=seconds):
            yield

    @contextmanager
    def foreign(self, name: DeploymentName) -> Iterator[Callable[[], bool]]:
        sagemaker, theirs = self.here.boto("sagemaker"), f"{name[:50]}-theirs"
        s3 = self.here.boto("s3")
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket="theirs")
        s3.put_object(Bucket="theirs", Key="model.tar.gz", Body=_archive())
        sagemaker.create_model(
            ModelName=theirs, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": self.other_image, "ModelDataUrl": "s3://theirs/model.tar.gz"}
        )
        variant = {"VariantName": "theirs", "ModelName": theirs, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(EndpointConfigName=theirs, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=theirs)
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        yield lambda: self._stands(name, theirs)
        with suppress(sagemaker.exceptions.ClientError):
            sagemaker.delete_endpoint(EndpointName=name)
            sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        sagemaker.delete_endpoint_config(EndpointConfigName=theirs)
        sagemaker.delete_model(ModelName=theirs)

    def _stands(self, name: str, config: str) -> bool:
        sagemaker = self.here.boto("sagemaker")
        found = sagemaker.describe_endpoint(EndpointName=name)
        return (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", config) and not sagemaker.list_tags(
            ResourceArn=found["EndpointArn"]
        )["Tags"]


def _archive() -> bytes:
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("factor.txt")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"7"))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("aws")) as here:
        yield SageMakerPlace(here, tmp_path_factory.mktemp("models"))


class TestSageMaker(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = {}
