"""The scoring image in the local cloud: as processes where there is no docker, in docker where there is; the same line either way."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import deployer_localstack as localstack
from deployer.events import silent
from deployer.oci import Repository
from deployer.oci.credentials import Credentials
from deployer_images.builder import BuildOptions, build_and_push
from tests.docker import base_image, docker_engine, scoring_image  # noqa: F401
from tests.models import saved_model

from .conftest import BUCKET, ROLE, User, eventually
from .test_dataplane import log_lines

if TYPE_CHECKING:
    from docker import DockerClient

QUESTION = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.5]]}})


@pytest.fixture(scope="module", params=["process", pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow])])
def scoring(request: pytest.FixtureRequest, start: Callable[..., localstack.CloudStatus]) -> tuple[User, str]:
    """A cloud with the scoring image in its registry."""
    base = None
    if request.param == "docker":
        base = request.getfixturevalue("base_image")
        request.getfixturevalue("scoring_image")
    user = User(start())
    user.s3.create_bucket(Bucket=BUCKET)
    user.ecr.create_repository(repositoryName="deployer-scoring")
    password = user.registry().authorization
    assert password
    repository = Repository(user.status.registry, "deployer-scoring", credentials(user))
    options = BuildOptions(base_image=base, python="3.11", runtime=request.param)
    return user, build_and_push(options, repository, silent).reference


def credentials(user: User) -> Credentials:
    import base64

    token = user.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    name, _, password = base64.b64decode(token).decode().partition(":")
    return Credentials(name, password)


def deploy(user: User, image: str, name: str, model: str, *, isolated: bool = False) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(saved_model(model), arcname=".")
    user.s3.put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=buffer.getvalue())
    container = {"Image": image, "ModelDataUrl": f"s3://{BUCKET}/{name}.tar.gz"}
    user.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container, EnableNetworkIsolation=isolated)
    user.config(name, name)
    return name


def test_a_model_of_the_real_mlflow_is_served_and_updated(scoring: tuple[User, str], name: str) -> None:
    user, image = scoring
    deploy(user, image, name, "doubler")
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert user.settled(name, 120) == "InService", log_lines(user, name)
    assert json.loads(user.ask(name, QUESTION, ContentType="application/json"))["predictions"] == [2.0, 5.0]
    deploy(user, image, f"{name}-2", "tripler", isolated=True)
    user.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-2")
    while user.status_of(name) == "Updating":
        assert json.loads(user.ask(name, QUESTION, ContentType="application/json"))["predictions"] in ([2.0, 5.0], [3.0, 7.5])
    assert json.loads(user.ask(name, QUESTION, ContentType="application/json"))["predictions"] == [3.0, 7.5]
    assert user.sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"] == f"{name}-2"


def test_a_model_that_does_not_load_fails_with_its_reason_in_the_log(scoring: tuple[User, str], name: str) -> None:
    user, image = scoring
    user.control.settings(container_exits=1)
    deploy(user, image, name, "broken")
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert user.settled(name, 60) == "Failed"
    eventually(lambda: any("a_module_that_is_not_there" in line for line in log_lines(user, name)))


@pytest.mark.docker
@pytest.mark.slow
def test_a_killed_cloud_leaves_no_containers(
    docker_engine: DockerClient,  # noqa: F811
    scoring_image: str,  # noqa: F811
    base_image: str,  # noqa: F811
    start: Callable[..., localstack.CloudStatus],
    name: str,
) -> None:
    user = User(start())
    user.s3.create_bucket(Bucket=BUCKET)
    user.ecr.create_repository(repositoryName="deployer-scoring")
    repository = Repository(user.status.registry, "deployer-scoring", credentials(user))
    image = build_and_push(BuildOptions(base_image=base_image, python="3.11", runtime="docker"), repository, silent).reference
    deploy(user, image, name, "doubler")
    user.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert user.settled(name, 60) == "InService"

    def running() -> list[str]:
        found = docker_engine.containers.list(all=True, filters={"label": f"io.deployer.name={name}/AllTraffic"}, ignore_removed=True)
        return [str(each.id) for each in found]

    assert len(running()) == 1
    os.kill(user.status.pid, signal.SIGKILL)
    deadline = time.monotonic() + 40
    while running() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert running() == []
