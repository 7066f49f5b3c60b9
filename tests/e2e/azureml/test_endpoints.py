"""Several named deployments behind one endpoint, on the local Azure, as a program and a command line have them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deployer.cli.program import program
from deployer.client import DeployClient
from deployer.core.state import Status
from deployer.errors import ConfigInvalid, DeploymentExists, DeploymentNotFound, NotOurs
from tests.azureml import AzureHere
from tests.local_clouds import model_in

ROWS = {"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}
DOUBLED, TRIPLED = [2.0, 4.0], [3.0, 6.0]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, factor in (("doubler", 2), ("tripler", 3)):
        model_in(folder / name, factor)
    return folder


@pytest.fixture
def churn(client: DeployClient) -> Iterator[str]:
    """An endpoint."""
    client.create_endpoint("churn", {"tags": {"team": "growth"}})
    yield "churn"
    client.delete_endpoint("churn")


def create(client: DeployClient, name: str, model: Path, endpoint: str = "churn", **options: object) -> None:
    client.create_deployment(name, str(model), config=options, endpoint=endpoint, packages="image")


def answers(client: DeployClient, name: str | None = None, count: int = 1) -> Counter[str]:
    return Counter(json.dumps(client.predict(name, ROWS, "churn")) for _ in range(count))


def test_traffic_goes_by_the_endpoint_and_a_name_asks_one(here: AzureHere, client: DeployClient, churn: str, models: Path) -> None:
    create(client, "blue", models / "doubler")
    create(client, "green", models / "tripler")
    assert client.predict("blue", ROWS, churn) == DOUBLED
    assert client.predict("green", ROWS, churn) == TRIPLED
    with pytest.raises(DeploymentNotFound):
        client.predict(None, ROWS, churn)
    told = client.update_endpoint(churn, {"traffic": {"blue": 50, "green": 50}})
    assert (told["traffic"], told["tags"]) == ({"blue": 50, "green": 50}, {"team": "growth"})
    assert set(answers(client, count=40)) == {json.dumps(DOUBLED), json.dumps(TRIPLED)}
    assert {each.name: each.columns["TRAFFIC"] for each in client.list_deployments(churn)} == {"blue": "50 %", "green": "50 %"}
    assert churn not in {each.name for each in client.list_deployments()}
    assert [each["name"] for each in client.list_endpoints()] == [churn]
    assert client.get_deployment("blue", churn).status == Status.READY
    assert {line.source for line in client.logs("green", churn)} == {"green"}
    with pytest.raises(ConfigInvalid, match="blue has 50 % of the traffic"):
        client.delete_deployment("blue", endpoint=churn)
    client.update_endpoint(churn, {"traffic": {"green": "100"}})
    assert client.delete_deployment("blue", endpoint=churn)
    assert not client.delete_deployment("blue", endpoint=churn)
    assert here.everything_behind(churn, "blue") == ()
    assert answers(client).keys() == {json.dumps(TRIPLED)}


def test_an_update_is_made_in_place_and_leaves_the_traffic(here: AzureHere, client: DeployClient, churn: str, models: Path) -> None:
    create(client, "blue", models / "doubler", instance_count=2, tags={"colour": "blue"})
    client.update_endpoint(churn, {"traffic": {"blue": 100}})
    changes = client.plan("blue", str(models / "tripler"), endpoint=churn)
    assert "deployment blue in place of" in str(changes.document())
    client.update_deployment("blue", str(models / "tripler"), endpoint=churn)
    assert answers(client).keys() == {json.dumps(TRIPLED)}
    assert client.get_endpoint(churn)["traffic"] == {"blue": 100}
    assert client.rollback("blue", endpoint=churn).options["instance_count"] == 2
    client.update_deployment("blue", config={"tags": {"colour": "azure"}}, endpoint=churn)
    tags = here.arm("GET", "onlineEndpoints/churn/deployments/blue")["tags"]
    assert (tags["colour"], client.get_endpoint(churn)["tags"]) == ("azure", {"team": "growth"})
    assert answers(client).keys() == {json.dumps(DOUBLED)}
    with pytest.raises(ConfigInvalid, match="update-endpoint"):
        client.update_deployment("blue", str(models / "tripler"), config={"strategy": "canary"}, endpoint=churn)


def test_a_copy_of_the_traffic_goes_to_one_that_answers_nobody(client: DeployClient, churn: str, models: Path) -> None:
    create(client, "blue", models / "doubler")
    create(client, "green", models / "tripler")
    client.update_endpoint(churn, {"traffic": {"blue": 100}, "mirror_traffic": {"green": 50}})
    assert answers(client, count=40).keys() == {json.dumps(DOUBLED)}
    deadline = time.monotonic() + 10
    while not [line for line in client.logs("green", churn) if "scoring 2 rows" in line.text]:
        assert time.monotonic() < deadline, "no request was copied"
        time.sleep(0.1)
    with pytest.raises(ConfigInvalid, match="gets a copy"):
        client.update_endpoint(churn, {"traffic": {"green": 100}})
    client.delete_deployment("green", endpoint=churn)
    assert client.get_endpoint(churn)["mirror_traffic"] == {}


def test_what_cannot_be_is_refused_in_words(here: AzureHere, client: DeployClient, churn: str, models: Path) -> None:
    with pytest.raises(DeploymentNotFound, match="no endpoint other"):
        create(client, "blue", models / "doubler", "other")
    with pytest.raises(DeploymentNotFound, match="no deployment blue behind endpoint churn"):
        client.update_endpoint(churn, {"traffic": {"blue": 100}})
    for options, says in (
        ({"traffic": {"blue": 60}}, "come to 60 percent"),
        ({"mirror_traffic": {"blue": 60}}, "at most 50"),
        ({"traffic": {"blue": 100}, "mirror_traffic": {"blue": 10}}, "traffic of its own"),
        ({"instance_type": "Standard_F4s_v2"}, "no option of an endpoint"),
        ({"auth_mode": "aml_token"}, "which Azure can't change"),
    ):
        with pytest.raises(ConfigInvalid, match=says):
            client.update_endpoint(churn, options)
    with pytest.raises(DeploymentExists):
        client.create_endpoint(churn, {"auth_mode": "aml_token"})
    here.arm("PUT", "onlineEndpoints/foreign", {"location": "eastus", "properties": {"authMode": "Key"}})
    here.wait("onlineEndpoints/foreign")
    with pytest.raises(NotOurs):
        client.delete_endpoint("foreign")
    with pytest.raises(NotOurs):
        client.update_endpoint("foreign", {"tags": {"a": "b"}})
    assert client.update_endpoint("foreign", {"tags": {"a": "b"}}, adopt=True)["tags"] == {"a": "b"}
    assert client.delete_endpoint("foreign")


def test_a_deployment_of_its_own_shares_its_endpoint_with_nobody(client: DeployClient, models: Path) -> None:
    client.create_deployment("single", str(models / "doubler"), packages="image")
    try:
        for call in (
            lambda: create(client, "blue", models / "tripler", "single"),
            lambda: client.update_endpoint("single", {"tags": {}}),
            lambda: client.delete_endpoint("single"),
            lambda: client.list_deployments("single"),
        ):
            with pytest.raises(ConfigInvalid, match="the deployment single itself"):
                call()
    finally:
        client.delete_deployment("single")


def test_an_endpoint_goes_with_all_that_is_behind_it(here: AzureHere, client: DeployClient, models: Path) -> None:
    client.create_endpoint("going")
    for name in ("blue", "green"):
        create(client, name, models / "doubler", "going")
    assert client.delete_endpoint("going")
    assert here.everything_behind("going", "blue") == here.everything_behind("going", "green") == ()
    assert here.blobs("deployer-endpoints/going") == []
    assert client.delete_endpoint("going") is False
    with pytest.raises(DeploymentNotFound):
        client.get_endpoint("going")


def test_the_command_line(here: AzureHere, models: Path) -> None:
    def deploy(*words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(program, [*words[:1], "-t", "azureml", *words[1:]], standalone_mode=True)
        assert done.exit_code == code, done.output
        return done

    deploy("create-endpoint", "--endpoint", "line")
    deploy("create", "blue", "--endpoint", "line", "-m", str(models / "doubler"), "--packages", "image")
    deploy("create", "green", "--endpoint", "line", "-m", str(models / "tripler"), "--packages", "image")
    told = deploy("update-endpoint", "--endpoint", "line", "--traffic", "blue=90", "--traffic", "green=10").stdout
    assert "blue 90 %, green 10 %" in told
    assert "line" in deploy("list-endpoints").stdout
    assert json.loads(deploy("get-endpoint", "--endpoint", "line", "-o", "json").stdout)["properties"]["scoringUri"]
    deploy("update-endpoint", "--endpoint", "line", "--traffic", "blue=100", "--mirror", "green=20")
    assert json.loads(deploy("predict", "--endpoint", "line", "-q", "-d", json.dumps(ROWS)).stdout) == {"predictions": DOUBLED}
    assert json.loads(deploy("predict", "green", "--endpoint", "line", "-q", "-d", json.dumps(ROWS)).stdout) == {"predictions": TRIPLED}
    assert "TRAFFIC" in deploy("list", "--endpoint", "line").stdout
    assert "write it as --traffic" in deploy("update-endpoint", "--endpoint", "line", "--traffic", "blue", code=2).stderr
    deploy("update-endpoint", "--endpoint", "line", "--traffic", "none", "--mirror", "none")
    deploy("delete", "blue", "green", "--endpoint", "line")
    assert "is deleted" in deploy("delete-endpoint", "--endpoint", "line").stdout
    assert "nothing to do" in deploy("delete-endpoint", "--endpoint", "line").stdout
