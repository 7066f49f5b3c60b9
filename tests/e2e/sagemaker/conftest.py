"""A local AWS for the tests of the SageMaker target."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from deployer.client import DeployClient, get_deploy_client
from deployer.events import Event
from tests.e2e.sagemaker.cloud import REGION, ROLE, AwsHere, started
from tests.local_clouds import model_in


@dataclass(frozen=True)
class Models:
    doubler: str
    tripler: str
    broken: str


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsHere]:
    with started(tmp_path_factory.mktemp("aws")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def here(shared: AwsHere) -> Iterator[AwsHere]:
    """The cloud of all modules here; what runs between them in the same process knows nothing of it."""
    with shared.named():
        yield shared


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    place = tmp_path_factory.mktemp("models")
    for name, factor in (("doubler", 2), ("tripler", 3), ("broken", "broken")):
        model_in(place / name, factor)
    return Models(*(str(place / name) for name in ("doubler", "tripler", "broken")))


class User:
    """Somebody who deploys, sees the events, and names what is usual here."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.names: list[str] = []

    def client(self, uri: str = f"sagemaker:/{REGION}", **options: Any) -> DeployClient:
        return get_deploy_client(uri, {"execution_role_arn": ROLE, "timeout_seconds": 180, **options}, on_event=self.events.append)

    def name(self) -> str:
        self.names.append(f"t-{uuid.uuid4().hex[:6]}")
        return self.names[-1]


@pytest.fixture
def user(here: AwsHere) -> Iterator[User]:
    user = User()
    yield user
    here.control.clear_faults()
    for name in user.names:
        user.client().delete_deployment(name)
