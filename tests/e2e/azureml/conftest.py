"""A local Azure for each module here, and a client of its workspace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import deployer
from deployer.client import DeployClient
from tests.azureml import AzureHere, running


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureHere]:
    with running(tmp_path_factory.mktemp("azure")) as made:
        yield made


@pytest.fixture
def client(here: AzureHere) -> DeployClient:
    return deployer.get_deploy_client("azureml", {"timeout_seconds": 120})
