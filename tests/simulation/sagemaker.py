"""The real SageMaker target over the simulated cloud: its planner, steps, observer and client as they are; botocore's clients alone are simulated."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError, ReadTimeoutError

from deployer.artifacts import package
from deployer.artifacts.package import TarGz
from deployer.core.state import Digest, Image, digest_of
from deployer.core.target import Target
from deployer_targets.sagemaker import multipart, resolve, store, upload
from deployer_targets.sagemaker.client import Aws, Identity, RegionClients
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.target import SageMaker
from tests.simulation.histories import Command
from tests.simulation.inline import Inline
from tests.simulation.service import LostAnswer, ServiceError
from tests.simulation.wire import Wire

REGION, ACCOUNT = "us-west-2", "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sagemaker"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/deployer-scoring@{digest_of('image')}"
ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "head_bucket": {},
    "describe_scalable_targets": {"ScalableTargets": []},
    "describe_log_streams": {"logStreams": []},
}
"""Of APIs that take no part in the rules; they are called without faults."""


class Service:
    """What botocore gives for one service."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __getattr__(self, api: str) -> Callable[..., Any]:
        def call(**parameters: Any) -> Any:
            if api in ANSWERS:
                return ANSWERS[api]
            try:
                answer = self._wire.call(api, **parameters)
            except ServiceError as error:
                document: Any = {"Error": {"Code": error.code, "Message": error.message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
                raise ClientError(document, api) from error
            except LostAnswer as error:
                raise ReadTimeoutError(endpoint_url="simulated") from error
            return {**answer, "Body": io.BytesIO(answer["Body"])} if "Body" in answer else answer

        return call


class SimulatedConnection(RegionClients):
    """The real one, with simulated services at its end."""

    region = REGION
    endpoint_url = None
    identity = Identity(ACCOUNT, "aws", f"arn:aws:iam::{ACCOUNT}:user/somebody")

    def __init__(self, wire: Wire) -> None:
        super().__init__(REGION, deadline_seconds=10, sleep=wire.wait)
        self._service = Service(wire)

    def client(self, service: str) -> Any:
        return self._service


class Packed:
    """A package that is made once for all histories."""

    def __init__(self, path: Path, *, expecting: Digest) -> None:
        self._chunks = _packed(path, expecting)
        self.size_estimate = sum(map(len, self._chunks))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


@functools.cache
def _packed(path: Path, expecting: Digest) -> tuple[bytes, ...]:
    return tuple(bytes(chunk) for chunk in TarGz(path, expecting=expecting))


class OverSimulatedAws:
    """The SageMaker target. An image is given, where the real one asks ECR."""

    def __init__(self) -> None:
        self.target: Target[Any, Any] = SageMaker()

    def over(self, wire: Wire, run: str) -> Aws:
        return Aws(SimulatedConnection(wire), SageMakerConfig.parse({}, target="sagemaker"))

    def options(self, command: Command) -> Mapping[str, Any]:
        return {"execution_role_arn": ROLE, **dict(command.options)} if command.verb in ("create", "apply", "update") else dict(command.options)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """No threads, small parts, no registry, each model packaged once."""
        with (
            patch.object(store, "ThreadPoolExecutor", Inline),
            patch.object(upload, "ThreadPoolExecutor", Inline),
            patch.object(multipart, "ThreadPoolExecutor", Inline),
            patch.object(upload, "PART", 256),
            patch.object(package, "TarGz", Packed),
            patch.object(resolve, "_image", lambda *_: Image(IMAGE, digest_of("image"))),
        ):
            yield
