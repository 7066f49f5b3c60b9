"""A local cloud for the tests of the local cloud, and a user with plain boto3 in front of it."""

from __future__ import annotations

import base64
import io
import json
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

import deployer_localstack as localstack

from .registry_client import Client

ROLE = "arn:aws:iam::123456789012:role/deployer-sagemaker"
BUCKET = "sagemaker-us-east-1-123456789012"
SERVER = str(Path(__file__).with_name("server_in_container.py"))


class User:
    """Somebody who works with the cloud by boto3 alone."""

    def __init__(self, status: localstack.CloudStatus) -> None:
        self.status = status
        self.control = localstack.control(status.directory)
        self.sagemaker = self.client("sagemaker")
        self.runtime = self.client("sagemaker-runtime")
        self.s3 = self.client("s3")
        self.ecr = self.client("ecr")
        self.logs = self.client("logs")

    def client(self, service: str, *, region: str = "us-east-1", retries: int = 0, **credentials: str) -> Any:
        keys = credentials or {"aws_access_key_id": "AKIADEPLOYERLOCAL000", "aws_secret_access_key": "secret"}
        config = Config(
            retries={"total_max_attempts": retries + 1},
            max_pool_connections=50,
            read_timeout=30,
            connect_timeout=5,
            parameter_validation=False,  # it is the cloud that must refuse
        )
        return boto3.client(service, endpoint_url=self.status.url, region_name=region, config=config, **keys)

    def registry(self) -> Client:
        data = self.ecr.get_authorization_token()["authorizationData"][0]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        client = Client(data["proxyEndpoint"].removeprefix("http://"))
        client.login(user, password)
        return client

    def image(self, repository: str = "scoring", tag: str = "1") -> str:
        """An image that is the server of these tests."""
        with suppress(self.ecr.exceptions.RepositoryAlreadyExistsException):
            self.ecr.create_repository(repositoryName=repository)
        labels = {"io.deployer.stand-in": "command", "io.deployer.command": json.dumps([sys.executable, SERVER])}
        assert self.registry().push_image(repository, tag, labels).status_code == 201
        return f"{self.status.registry}/{repository}:{tag}"

    def data(self, key: str, **files: str) -> str:
        """Model data in S3, with these files (answer="a" is answer.txt)."""
        try:
            self.s3.head_bucket(Bucket=BUCKET)
        except self.s3.exceptions.ClientError:
            self.s3.create_bucket(Bucket=BUCKET)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(f"{name}.txt")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content.encode()))
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())
        return f"s3://{BUCKET}/{key}"

    def model(self, name: str, **files: str) -> str:
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": self.image(), "ModelDataUrl": self.data(f"{name}.tar.gz", **files), "Environment": {"A": "b"}},
        )
        return name

    def config(self, name: str, model: str, **more: Any) -> str:
        variant = {"VariantName": "AllTraffic", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        options = more.pop("options", {})
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{**variant, **more}], **options)
        return name

    def endpoint(self, name: str, *, answer: str = "one", wait: bool = True, **files: str) -> str:
        """An endpoint whose server answers with `answer`."""
        self.config(f"{name}-1", self.model(f"{name}-1", answer=answer, **files))
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
        if wait:
            assert self.settled(name) == "InService"
        return name

    def status_of(self, name: str) -> str:
        return str(self.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"])

    def settled(self, name: str, seconds: float = 60) -> str:
        """The endpoint's status once it isn't on its way any more; "gone" where it isn't there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                status = self.status_of(name)
            except self.sagemaker.exceptions.ClientError:
                return "gone"
            if status not in {"Creating", "Updating", "RollingBack", "Deleting"}:
                return status
            time.sleep(0.03)
        raise AssertionError(f"{name} is still {status} after {seconds} s")

    def ask(self, name: str, body: bytes | str = "?", **more: Any) -> str:
        return str(self.runtime.invoke_endpoint(EndpointName=name, Body=body, **more)["Body"].read().decode())


def eventually(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `holds` gives once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.03)
    return found


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., localstack.CloudStatus]]:
    """Starts clouds of their own, which all go down in the end."""
    directories: list[Path] = []

    def starter(**options: Any) -> localstack.CloudStatus:
        directory = options.pop("directory", None) or tmp_path_factory.mktemp("localstack")
        directories.append(directory)
        return localstack.up(localstack.StartOptions(directory=directory, port=0, commands=True, **options))

    yield starter
    for directory in directories:
        localstack.down(directory)


@pytest.fixture(scope="session")
def shared(start: Callable[..., localstack.CloudStatus]) -> User:
    return User(start(registry="auto", azure=True, azure_port=0))


@pytest.fixture
def user(shared: User) -> Iterator[User]:
    """A user of the shared cloud. Faults and settings are as at the start again afterwards."""
    before = shared.control.settings()
    yield shared
    shared.control.clear_faults()
    shared.control.settings(**before)


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"t-{uuid.uuid4().hex[:8]}"
