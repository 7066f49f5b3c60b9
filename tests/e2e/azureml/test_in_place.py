"""Updates that Azure makes in place, on the local Azure: what a way back brings with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import deployer
from deployer.client import DeployClient
from deployer.core.target import Payload
from deployer.errors import ConfigInvalid
from tests.azureml import AzureHere
from tests.local_clouds import model_in

IN_PLACE = {"in_place": True}


@pytest.fixture
def client(here: AzureHere) -> DeployClient:
    return deployer.get_deploy_client("azureml", {"timeout_seconds": 60})


@pytest.fixture
def model(tmp_path: Path) -> str:
    model_in(tmp_path / "doubler", 2)
    return str(tmp_path / "doubler")


def variable(client: DeployClient, name: str, endpoint: str | None = None) -> object:
    answer = client.query(name, Payload(b'{"environment": "GREETING"}'), endpoint)
    return json.loads(answer.body)["predictions"][0]


def secrets_of(here: AzureHere, name: str) -> list[str]:
    return [each for each in here.everything_of(name) if each.startswith("secrets/")]


def test_a_way_back_in_place_has_the_variables_of_before(here: AzureHere, client: DeployClient, model: str) -> None:
    client.create_deployment("churn", model, config={**IN_PLACE, "env": {"GREETING": "hello"}}, packages="image")
    client.update_deployment("churn", config={**IN_PLACE, "env": {"GREETING": "hidden"}})
    assert variable(client, "churn") == "hidden"
    assert len(secrets_of(here, "churn")) == 2
    client.rollback("churn")
    assert variable(client, "churn") == "hello"
    client.rollback("churn")
    assert variable(client, "churn") == "hidden"
    client.update_deployment("churn", config={**IN_PLACE, "instance_type": "Standard_F4s_v2"})
    assert variable(client, "churn") == "hidden"
    client.prune("churn", config={"keep": 0})
    assert len(secrets_of(here, "churn")) == 1
    client.delete_deployment("churn")
    assert here.everything_of("churn") == ()


def test_variables_that_were_given_before_are_the_same_ones(here: AzureHere, client: DeployClient, model: str) -> None:
    """So that what is there already is found, whose deployment is another generation now."""
    client.create_deployment("churn", model, config={**IN_PLACE, "env": {"GREETING": "hello"}}, packages="image")
    first = client.get_deployment("churn").generation
    client.update_deployment("churn", config={**IN_PLACE, "env": {"GREETING": "hidden"}})
    client.update_deployment("churn", config={**IN_PLACE, "env": {"GREETING": "hello"}})
    assert client.get_deployment("churn").generation == first
    assert variable(client, "churn") == "hello"
    client.delete_deployment("churn")


def test_behind_an_endpoint_too(here: AzureHere, client: DeployClient, model: str) -> None:
    client.create_endpoint("shared")
    client.create_deployment("blue", model, config={"env": {"GREETING": "hello"}}, endpoint="shared", packages="image")
    client.update_deployment("blue", config={"env": {"GREETING": "hidden"}}, endpoint="shared")
    client.rollback("blue", endpoint="shared")
    assert variable(client, "blue", "shared") == "hello"
    client.delete_endpoint("shared")
    assert here.blobs("deployer-endpoints/") == []


def test_what_was_made_without_keeps_none(here: AzureHere, client: DeployClient, model: str) -> None:
    client.create_deployment("churn", model, config={"env": {"GREETING": "hello"}}, packages="image")
    assert secrets_of(here, "churn") == []
    client.update_deployment("churn", config={**IN_PLACE, "env": {"GREETING": "hidden"}})
    with pytest.raises(ConfigInvalid, match="made without in_place, it keeps none"):
        client.rollback("churn")
    assert variable(client, "churn") == "hidden"
    client.delete_deployment("churn")
