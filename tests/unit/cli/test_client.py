"""The Python API over the in-memory target: MLflow's calls, and ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import deployer
from deployer.artifacts import fetch
from deployer.core.state import Status
from deployer.core.target import TargetUri
from deployer.errors import ConfigInvalid, DeploymentExists, DeploymentNotFound, Interrupted, RolloutFailed
from deployer.events import Event, Resolved, StepFinished, StepProgressed
from docs.examples.memory_cloud import Cloud
from docs.examples.memory_target import Memory
from tests.unit.cli.conftest import deployed, saved

FRAME = pd.DataFrame({"x": [1.0, 2.0]}, index=["a", "b"])


@pytest.fixture
def client(cloud: Cloud, churn: Path) -> deployer.DeployClient:
    return deployer.get_deploy_client("memory:/here")


def test_a_deployment_has_attributes_and_keys(client: deployer.DeployClient) -> None:
    deployment = client.create_deployment("churn", "churn", config={"instance_type": "large"})
    assert (deployment.name, deployment["name"]) == ("churn", "churn")
    assert deployment.status is Status.READY
    assert deployment.options["instance_type"] == deployment["options"]["instance_type"] == "large"
    assert dict(deployment)["generation"] == deployment.generation
    assert deployment["flavor"] == "python_function"
    assert "name" in deployment
    with pytest.raises(KeyError):
        deployment["nothing"]


def test_mlflows_calls_do_what_they_say(client: deployer.DeployClient, workspace: Path) -> None:
    client.create_deployment("churn", "churn", "python_function", {"instance_count": "2"})
    assert [each["name"] for each in client.list_deployments()] == ["churn"]
    saved(workspace / "next", "another pickle")
    client.update_deployment("churn", "next")
    found = client.get_deployment("churn")
    assert (found["model"], found["options"]["instance_count"]) == ("next", 2)
    assert client.delete_deployment("churn") is True
    assert client.delete_deployment("churn") is False
    with pytest.raises(DeploymentNotFound):
        client.get_deployment("churn")


def test_create_refuses_what_is_there_with_another_spec(client: deployer.DeployClient) -> None:
    client.create_deployment("churn", "churn")
    client.create_deployment("churn", "churn")
    with pytest.raises(DeploymentExists):
        client.create_deployment("churn", "churn", config={"instance_type": "large"})


def test_the_calls_config_wins_over_the_clients(cloud: Cloud, churn: Path) -> None:
    client = deployer.get_deploy_client("memory:/here", {"instance_type": "medium", "instance_count": 2})
    deployment = client.create_deployment("churn", "churn", config={"instance_count": 3})
    assert (deployment.options["instance_type"], deployment.options["instance_count"]) == ("medium", 3)


def test_a_wrong_option_says_which_config_it_stands_in(cloud: Cloud, churn: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"did you mean instance_count\? \(the client's config\)"):
        deployer.get_deploy_client("memory:/here", {"instance_cont": 2}).list_deployments()
    with pytest.raises(ConfigInvalid, match=r"not 'many' \(the call's config\)"):
        deployer.get_deploy_client("memory:/here").create_deployment("churn", "churn", config={"instance_count": "many"})


def test_a_missing_name_is_the_models_made_valid(client: deployer.DeployClient, workspace: Path) -> None:
    saved(workspace / "Fraud Model_v2")
    assert client.apply(None, "Fraud Model_v2").name == "fraud-model-v2"


def test_flavors_and_endpoints_that_are_not_there_are_refused(client: deployer.DeployClient) -> None:
    with pytest.raises(ConfigInvalid, match="the flavor sklearn can't be served"):
        client.create_deployment("churn", "churn", flavor="sklearn")
    with pytest.raises(ConfigInvalid, match="memory can't have endpoints apart from deployments"):
        client.create_deployment("churn", "churn", endpoint="prod")
    for call in (client.list_endpoints, lambda: client.create_endpoint("a"), lambda: client.get_endpoint("a"), lambda: client.delete_endpoint("a")):
        with pytest.raises(ConfigInvalid, match="endpoints apart"):
            call()
    with pytest.raises(ConfigInvalid, match="memory can't explain predictions"):
        client.explain("churn", FRAME)


def test_a_frame_in_gives_predictions_with_its_index(client: deployer.DeployClient) -> None:
    client.create_deployment("churn", "churn")
    found = client.predict("churn", FRAME)
    assert found.to_dict() == {"a": 2.0, "b": 4.0}
    assert client.predict("churn", {"inputs": [1]}) == {"inputs": [1]}
    assert client.predict("churn", np.array([1]), params={"top": 3}) == {"inputs": [1], "params": {"top": 3}}
    assert client.predict("churn", b"x\n1\n", content_type="text/csv") == b"x\n1\n"
    assert b"".join(client.predict_stream("churn", [1])) == b"one\ntwo\n"


def test_events_are_told_as_they_happen(cloud: Cloud, churn: Path) -> None:
    events: list[Event] = []
    client = deployer.get_deploy_client("memory:/here", on_event=events.append)
    client.create_deployment("churn", "churn")
    assert isinstance(events[0], Resolved)
    assert [each.label for each in events if isinstance(each, StepFinished)] == [
        "record",
        "model data",
        "version 5d53276b93",
        "service",
        "service answers",
        "record",
        "model data",
        "version 5d53276b93",
        "what is not needed",
    ]


def test_apply_streams_its_events_and_ends_with_the_deployment(client: deployer.DeployClient) -> None:
    stream = client.apply("churn", "churn", stream=True)
    events = []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as end:
            deployment = end.value
            break
    assert isinstance(events[0], Resolved)
    assert any(isinstance(event, StepProgressed) and event.unit == "bytes" for event in events)
    assert deployment.status is Status.READY


def test_a_streamed_failure_is_raised_where_the_events_end(client: deployer.DeployClient, cloud: Cloud) -> None:
    cloud.broken.add(fetch("churn").digest)
    with pytest.raises(RolloutFailed, match=r"churn was not created, and everything made for .* is removed") as caught:
        list(client.apply("churn", "churn", stream=True))
    assert caught.value.lines[-1] == "ModuleNotFoundError: No module named 'lightgbm'"
    assert not deployed(cloud)


def test_a_plan_is_data_and_text_and_changes_nothing(client: deployer.DeployClient, cloud: Cloud) -> None:
    changes = client.plan("churn", "churn")
    assert not changes.empty
    assert str(changes).startswith("churn on memory:/here: new, generation ")
    assert not deployed(cloud)
    client.apply("churn", "churn")
    assert client.plan("churn", "churn").empty
    assert not client.diff("churn", config={"instance_count": 1}).differs
    assert client.diff("churn", config={"instance_count": 2}).differs


def test_a_connection_is_kept_while_its_options_stay(client: deployer.DeployClient, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[Any] = []
    connect = Memory.connect

    def counted(self: Memory, uri: TargetUri, config: Any) -> Cloud:
        connected.append(config)
        return connect(self, uri, config)

    monkeypatch.setattr(Memory, "connect", counted)
    client.create_deployment("churn", "churn")
    client.get_deployment("churn")
    client.predict("churn", [1])
    assert len(connected) == 1
    client.update_deployment("churn", config={"instance_count": 2})
    assert len(connected) == 2


def test_prune_gives_what_it_removed(client: deployer.DeployClient, workspace: Path) -> None:
    client.create_deployment("churn", "churn")
    saved(workspace / "next", "another pickle")
    client.update_deployment("churn", "next")
    assert client.prune("churn") == ()
    assert client.prune("churn", {"keep": 0}) == ("data/6cf75871f6", "record/5d53276b93", "version/5d53276b93")


def test_interrupts_are_errors_of_ours(client: deployer.DeployClient, cloud: Cloud) -> None:
    cloud.faults["put data"] = KeyboardInterrupt()
    with pytest.raises(Interrupted):
        client.create_deployment("churn", "churn")


def test_target_help_names_every_option(client: deployer.DeployClient) -> None:
    text = deployer.target_help("memory")
    assert text == client.target_help()
    assert all(f"  {name} (" in text for name in client.target.config.model_fields)
