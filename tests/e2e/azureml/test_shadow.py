"""A new generation that gets a copy of the traffic, on the local Azure, which really sends it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import deployer
from deployer.client import DeployClient
from deployer.conformance.looks import done, flawless, serves, steps
from deployer.core.state import DeploymentName, Status
from deployer.errors import ConfigInvalid
from tests.azureml import AzureHere, AzureMlPlace
from tests.local_clouds import model_in

ROWS = {"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}
DOUBLED, TRIPLED = [2.0, 4.0], [3.0, 6.0]
SHADOW = {"strategy": "shadow", "mirror": "50%"}


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
        ({"strategy": "canary", "mirror": 10}, "mirror goes with strategy shadow"),
        ({**SHADOW, "compute": "aks", "compute_target": "aks"}, "copies no requests"),
    ):
        with pytest.raises(ConfigInvalid, match=says):
            client.plan(tried, str(tmp_path / "tripler"), config=options)
    with pytest.raises(ConfigInvalid, match="can't do strategy shadow"):
        deployer.get_deploy_client("local").plan("churn", str(tmp_path / "tripler"), config={"strategy": "shadow"})


@pytest.fixture(scope="module")
def place(here: AzureHere, tmp_path_factory: pytest.TempPathFactory) -> AzureMlPlace:
    return AzureMlPlace(here, tmp_path_factory.mktemp("models"))


@pytest.fixture
def serving(place: AzureMlPlace) -> Iterator[DeploymentName]:
    name = DeploymentName("risk")
    done(place.run(place.command("create", name, place.first.model)))
    yield name
    done(place.run(place.command("delete", name)))
    assert not place.everything_of_ours(name)


def test_a_copy_that_fails_a_check_is_removed_and_nobody_got_its_answers(place: AzureMlPlace, serving: DeploymentName) -> None:
    shape = place.shape(serving)
    waited = {**SHADOW, "pause": "60s", "checks": {"error_rate": "10%", "min_requests": 3}}
    with place.stream(serving) as stream:
        failed = place.run(place.command("update", serving, place.failing, **waited))
    assert failed.code == "rollout-failed"
    assert "error_rate is 100%, and the limit is 10%" in failed.why
    flawless(stream, place.first)
    serves(place, serving, place.first)
    assert place.shape(serving) == shape


def test_a_copy_that_passes_its_checks_gets_the_traffic(place: AzureMlPlace, serving: DeploymentName) -> None:
    waited = {**SHADOW, "pause": "1s", "checks": {"error_rate": "1%", "latency_p99": "1s", "min_requests": 3}}
    with place.stream(serving) as stream:
        done(place.run(place.command("update", serving, place.second.model, **waited)))
    flawless(stream, place.first, place.second)
    serves(place, serving, place.second)


def test_killed_anywhere_it_is_gone_on_with_or_given_up(here: AzureHere, place: AzureMlPlace, serving: DeploymentName) -> None:
    shape, update = place.shape(serving), place.command("update", serving, place.second.model, **SHADOW)
    abort, promote = place.command("abort", serving), place.command("promote", serving)
    made = done(place.run(update)).steps
    paused = place.shape(serving)
    given_up = done(place.run(abort)).steps
    switch = made.index("set_traffic")
    for step in sorted({*place.boundaries(made, strided=True), switch, switch + 1}):
        with place.stream(serving) as stream:
            assert place.killed(update, step) is None
            done(place.run(update), f"killed before step {step}, update")
            assert place.shape(serving) == paused, f"killed before step {step}"
            assert _mirrored(here, serving) == 50, f"killed before step {step}"
            if step < len(given_up):
                assert place.killed(abort, step) is None
            done(place.run(abort), f"killed before step {step}, abort")
        flawless(stream, place.first)
        assert (place.shape(serving), _mirrored(here, serving)) == (shape, 0), f"killed before step {step}"
    done(place.run(update))
    for step in place.boundaries(steps(place, promote)):
        with place.stream(serving) as stream:
            assert place.killed(promote, step) is None
            done(place.run(promote), f"killed before step {step}, promote")
        serves(place, serving, place.second)
        flawless(stream, place.first, place.second)
        done(place.run(place.command("rollback", serving)))
        done(place.run(place.command("prune", serving, keep=0)))
        done(place.run(update))
    done(place.run(abort))


def test_another_command_takes_the_place_of_one_that_was_killed(place: AzureMlPlace, serving: DeploymentName) -> None:
    update = place.command("update", serving, place.second.model, **SHADOW)
    switch = done(place.run(update)).steps.index("set_traffic")
    done(place.run(place.command("abort", serving)))
    for step in (switch, switch + 1):
        assert place.killed(update, step) is None
        done(place.run(place.command("apply", serving, place.second.model)))
        serves(place, serving, place.second)
        done(place.run(place.command("apply", serving, place.first.model)))
        done(place.run(place.command("prune", serving, keep=0)))


def _mirrored(here: AzureHere, name: str) -> int:
    return sum(here.arm("GET", f"onlineEndpoints/{name}")["properties"]["mirrorTraffic"].values())
