"""A new generation that gets a copy of the traffic, on the local Azure, which really sends it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import deployer
from deployer.client import DeployClient
from deployer.core.state import Status
from deployer.errors import ConfigInvalid
from tests.azureml import AzureHere, running
from tests.local_clouds import model_in

ROWS = {"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}
DOUBLED, TRIPLED = [2.0, 4.0], [3.0, 6.0]
SHADOW = {"strategy": "shadow", "mirror": "50%"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureHere]:
    with running(tmp_path_factory.mktemp("azure")) as here:
        yield here


@pytest.fixture
def client(here: AzureHere) -> DeployClient:
    return deployer.get_deploy_client("azureml", {"timeout_seconds": 120})


@pytest.fixture
def tried(client: DeployClient, tmp_path: Path) -> Iterator[str]:
    """A deployment whose next generation gets a copy of half of the requests."""
    model_in(tmp_path / "doubler", 2)
    model_in(tmp_path / "tripler", 3)
    client.create_deployment("churn", str(tmp_path / "doubler"), packages="image")
    client.update_deployment("churn", str(tmp_path / "tripler"), config=SHADOW)
    yield "churn"
    client.delete_deployment("churn")


def endpoint(here: AzureHere) -> tuple[dict[str, int], dict[str, int]]:
    told = here.arm("GET", "onlineEndpoints/churn")["properties"]
    return {name: share for name, share in told["traffic"].items() if share}, told["mirrorTraffic"]


def test_it_gets_a_copy_and_nobody_its_answers_until_it_is_promoted(here: AzureHere, client: DeployClient, tried: str) -> None:
    assert client.get_deployment(tried).status == Status.PAUSED
    (live, mirrored) = endpoint(here)
    ((shadow, share),) = mirrored.items()
    assert (list(live.values()), share) == ([100], 50)
    assert shadow not in live
    assert all(client.predict(tried, ROWS) == DOUBLED for _ in range(40))
    deadline = time.monotonic() + 10
    while not any(line.source == shadow and "scoring 2 rows" in line.text for line in client.logs(tried)):
        assert time.monotonic() < deadline, "no request was copied"
        time.sleep(0.1)
    assert client.promote(tried).status == Status.READY
    assert client.predict(tried, ROWS) == TRIPLED
    assert endpoint(here) == ({shadow: 100}, {})
    client.rollback(tried)
    assert client.predict(tried, ROWS) == DOUBLED


def test_it_is_given_up(here: AzureHere, client: DeployClient, tried: str, tmp_path: Path) -> None:
    again = client.plan(tried, str(tmp_path / "tripler"), config=SHADOW)
    assert not any("a copy of" in line for line in again.lines()), "it has its copy already"
    client.abort(tried)
    live, mirrored = endpoint(here)
    assert mirrored == {}
    assert [each["name"] for each in here.all("onlineEndpoints/churn/deployments")] == list(live)
    assert client.predict(tried, ROWS) == DOUBLED


def test_what_azure_does_not_copy_is_refused(client: DeployClient, tried: str, tmp_path: Path) -> None:
    for options, says in (
        ({**SHADOW, "mirror": 60}, "at most 50"),
        ({**SHADOW, "checks": {"error_rate": "1%"}}, "no checks for strategy shadow"),
        ({"strategy": "canary", "mirror": 10}, "mirror goes with strategy shadow"),
        ({**SHADOW, "compute": "aks", "compute_target": "aks"}, "copies no requests"),
    ):
        with pytest.raises(ConfigInvalid, match=says):
            client.plan(tried, str(tmp_path / "tripler"), config=options)
    with pytest.raises(ConfigInvalid, match="can't do strategy shadow"):
        deployer.get_deploy_client("local").plan("churn", str(tmp_path / "tripler"), config={"strategy": "shadow"})
