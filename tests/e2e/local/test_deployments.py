"""The local target from end to end: real supervisors, real scoring processes, real sockets."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.client import DeployClient
from deployer.core.state import DeploymentName, Status
from deployer.errors import ConfigInvalid, Conflict, DeploymentExists, DeploymentNotFound, MachineFault, RolloutFailed, TargetUnavailable
from deployer.events import Event, Resolved, StepStarted
from deployer_targets.local.client import LocalCloud
from tests.e2e.local.conftest import ask, containers, eventually, files_below, scoring_processes, stream
from tests.index import serving_index
from tests.models import copied_model, saved_model


def test_a_model_is_created_asked_updated_listed_and_deleted(client: DeployClient, cloud: LocalCloud) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")))
    assert made.status is Status.READY
    assert ask(client, "numbers", 21) == 42

    updated = client.update_deployment("numbers", str(saved_model("tripler")))
    assert ask(client, "numbers", 2) == 6
    assert updated.url == made.url
    assert [each.generation for each in updated.history] == [updated.generation, made.generation]

    (listed,) = client.list_deployments()
    assert (listed.name, listed.generation, listed.columns["URL"]) == ("numbers", updated.generation, made.url)

    assert client.delete_deployment("numbers") is True
    assert client.delete_deployment("numbers") is False
    assert client.list_deployments() == []
    assert files_below(cloud.place.sockets) == files_below(cloud.place.models) == []


@pytest.mark.parametrize(("packages", "has_mlflow"), [("auto", False), ("exact", True)])
def test_processes_have_what_the_layer_would_have(
    client: DeployClient, cloud: LocalCloud, events: list[Event], requiring_mlflow: Path, *, packages: str, has_mlflow: bool
) -> None:
    """mlflow, which our loaders do without, is made for those alone who want each pin."""
    client.create_deployment("numbers", str(requiring_mlflow), packages=packages)
    (serving, *_) = scoring_processes(cloud)
    interpreter = Path("/proc", str(serving), "cmdline").read_text().partition("\0")[0]
    assert bool(list(Path(interpreter).parents[1].glob("lib/*/site-packages/mlflow.py"))) == has_mlflow
    (resolved,) = [event.image for event in events if isinstance(event, Resolved)]
    assert resolved.endswith(", a stand-in: processes of the machine that runs it")


@pytest.fixture
def requiring_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A model of MLflow's that requires an mlflow of the test's own."""
    model = copied_model("chat", tmp_path)
    requirements = (model / "requirements.txt").read_text()
    (model / "requirements.txt").write_text(re.sub("(?m)^mlflow==.*$", "mlflow==99.0\ncloudpickle\npydantic", requirements))
    with serving_index(tmp_path / "index") as index:
        index.wheel("mlflow", "99.0")
        monkeypatch.setenv("UV_INDEX", index.url)
        yield model


def test_the_same_again_changes_nothing_and_another_is_refused(client: DeployClient, events: list[Event]) -> None:
    client.create_deployment("numbers", str(saved_model("doubler")), config={"env": {"WORD": "one"}})
    events.clear()
    client.create_deployment("numbers", str(saved_model("doubler")), config={"env": {"WORD": "one"}})
    assert not [event for event in events if isinstance(event, StepStarted)]
    with pytest.raises(DeploymentExists):
        client.create_deployment("numbers", str(saved_model("tripler")))
    with pytest.raises(DeploymentExists):
        client.create_deployment("numbers", str(saved_model("doubler")), config={"env": {"WORD": "two"}})


def test_updates_under_a_stream_of_requests_lose_none(client: DeployClient) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")))
    with stream(made.url) as asked:
        eventually(lambda: len(asked.answers) > 20)
        client.update_deployment("numbers", str(saved_model("tripler")))
        with pytest.raises(RolloutFailed):
            client.update_deployment("numbers", str(saved_model("broken")), allow_schema_change=True)
        client.update_deployment("numbers", str(saved_model("doubler")))
        seen = len(asked.answers)
        eventually(lambda: len(asked.answers) > seen + 20)
    assert asked.failures == []
    assert asked.answers[0] == asked.answers[-1] == [2.0, 5.0]
    assert [3.0, 7.5] in asked.answers


def test_a_request_in_progress_is_answered_by_the_generation_that_took_it(client: DeployClient) -> None:
    client.create_deployment("numbers", str(saved_model("slow")))
    answers: list[float] = []
    asking = threading.Thread(target=lambda: answers.append(ask(client, "numbers", 3)))
    asking.start()
    time.sleep(1)
    client.update_deployment("numbers", str(saved_model("tripler")), allow_schema_change=True)
    assert ask(client, "numbers", 1) == 3
    asking.join()
    assert answers == [6]


def test_a_model_that_cannot_load_leaves_what_serves_and_nothing_else(client: DeployClient, cloud: LocalCloud) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")))
    before = cloud.describe("numbers")
    with pytest.raises(RolloutFailed) as failure:
        client.update_deployment("numbers", str(saved_model("broken")), allow_schema_change=True)
    assert "No module named 'a_module_that_is_not_there'" in failure.value.why
    assert any("ModuleNotFoundError" in line for line in failure.value.lines)
    after = cloud.describe("numbers")
    assert before is not None
    assert after is not None
    assert (after.serving, after.models, after.unfinished, set(after.containers)) == (made.generation, before.models, (), {made.generation})
    assert ask(client, "numbers", 1) == 2


def test_a_first_deployment_that_fails_leaves_nothing(client: DeployClient, cloud: LocalCloud) -> None:
    with pytest.raises(RolloutFailed):
        client.create_deployment("numbers", str(saved_model("broken")))
    assert client.list_deployments() == []
    assert files_below(cloud.place.models) == []


def test_what_serves_does_not_change_with_its_source(client: DeployClient, tmp_path: Path) -> None:
    model = copied_model("doubler", tmp_path)
    client.create_deployment("numbers", str(model))
    shutil.rmtree(model)
    client.update_deployment("numbers", config={"env": {"MORE": "1"}})
    assert ask(client, "numbers", 4) == 8


def test_options_that_are_live_start_no_container(client: DeployClient, cloud: LocalCloud) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")))
    updated = client.update_deployment("numbers", config={"max_restarts": 7})
    assert (updated.generation, updated.options["max_restarts"]) == (made.generation, 7)
    assert updated.history[0].time == made.history[0].time
    found = cloud.describe("numbers")
    assert found is not None
    assert found.limits["max_restarts"] == 7


def test_the_port_stays_until_it_is_moved(client: DeployClient) -> None:
    first = client.create_deployment("numbers", str(saved_model("doubler")))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    moved = client.update_deployment("numbers", config={"port": free})
    assert moved.url == f"http://127.0.0.1:{free}" != first.url
    assert moved.generation == first.generation
    assert ask(client, "numbers", 1) == 2


def test_a_port_that_is_taken_is_named_and_nothing_is_left(client: DeployClient) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(MachineFault, match=rf"port {port} of 127\.0\.0\.1 can't be had: it is taken"):
            client.create_deployment("numbers", str(saved_model("doubler")), config={"port": port})
        assert client.list_deployments() == []
        client.create_deployment("numbers", str(saved_model("doubler")))
        with pytest.raises(MachineFault, match="it is taken"):
            client.update_deployment("numbers", config={"port": port})
    assert client.get_deployment("numbers").options["port"] == 0
    assert ask(client, "numbers", 1) == 2


def test_secrets_are_in_no_record_and_stay_over_an_update(client: DeployClient, cloud: LocalCloud) -> None:
    client.create_deployment("numbers", str(saved_model("doubler")), config={"env": {"TOKEN": "hunter2"}})
    client.update_deployment("numbers", str(saved_model("tripler")))
    found = cloud.describe("numbers")
    assert found is not None
    assert "hunter2" not in str(found.to_document())
    assert "hunter2" not in str(client.get_deployment("numbers").document())
    assert cloud.environments("numbers")[found.serving or ""] == {"TOKEN": "hunter2"}


def test_the_slower_of_two_clients_is_told_and_touches_nothing(client: DeployClient, cloud: LocalCloud) -> None:
    client.create_deployment("numbers", str(saved_model("doubler")))
    name = DeploymentName("numbers")
    slower = cloud.claim(name)
    faster = cloud.claim(name)
    with pytest.raises(Conflict, match="a newer run has claimed it"):
        slower.sweep(name, records=(), containers=(), models=())
    with pytest.raises(Conflict):
        slower.stop(name)
    faster.stop(name)
    with pytest.raises(Conflict, match="was deleted meanwhile"):
        faster.listen(name, "127.0.0.1", 0)


def test_a_container_that_ends_is_started_again_and_at_last_given_up(client: DeployClient, cloud: LocalCloud) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")), config={"max_restarts": 1})

    def end_the_container() -> None:
        (process,) = containers(cloud)
        os.kill(process, signal.SIGKILL)

    end_the_container()
    eventually(lambda: restarts(cloud, made.generation) == 1 and client.get_deployment("numbers").status is Status.READY)
    assert ask(client, "numbers", 1) == 2
    end_the_container()
    failed = eventually(lambda: (found := client.get_deployment("numbers")).status is Status.FAILED and found)
    assert "the container exited with code 137 while it served" in failed.reason
    with pytest.raises(TargetUnavailable):
        ask(client, "numbers", 1)
    # The same command mends it.
    assert client.create_deployment("numbers", str(saved_model("doubler")), config={"max_restarts": 1}).status is Status.READY
    assert ask(client, "numbers", 1) == 2


def test_a_container_that_hangs_is_told_and_forgiven(client: DeployClient, cloud: LocalCloud) -> None:
    client.create_deployment("numbers", str(saved_model("doubler")))
    processes = scoring_processes(cloud)
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    hung = eventually(lambda: (found := client.get_deployment("numbers")).status is Status.DEGRADED and found, seconds=60)
    assert hung.reason == "it lives, but doesn't answer /ping"
    for process in processes:
        os.kill(process, signal.SIGCONT)
    eventually(lambda: client.get_deployment("numbers").status is Status.READY, seconds=60)
    assert ask(client, "numbers", 1) == 2


def test_a_package_index_that_does_not_answer_is_no_fault_of_the_model(
    client: DeployClient, cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    model = copied_model("doubler", tmp_path)
    with (model / "requirements.txt").open("a") as requirements:
        requirements.write("\npackaging!=0.1\n")  # no lock of these is kept
    with pytest.raises(TargetUnavailable, match=r"no package index answers.*what was made before is removed") as caught:
        client.create_deployment("numbers", str(model))
    assert caught.value.exit_code == 6
    assert cloud.names() == []


def test_a_killed_supervisor_takes_everything_with_it_and_the_next_look_clears_up(client: DeployClient, cloud: LocalCloud) -> None:
    client.create_deployment("numbers", str(saved_model("doubler")))
    found = cloud.describe("numbers")
    assert found is not None
    assert len(containers(cloud)) == 1
    os.kill(found.pid, signal.SIGKILL)
    eventually(lambda: scoring_processes(cloud) == [])
    assert client.list_deployments() == []
    assert files_below(cloud.place.models) == files_below(cloud.place.sockets) == []
    with pytest.raises(DeploymentNotFound):
        client.get_deployment("numbers")


def test_who_does_not_wait_is_followed_by_the_supervisor_and_settled_by_the_next_run(client: DeployClient) -> None:
    first = client.create_deployment("numbers", str(saved_model("slow")), config={"synchronous": False})
    assert first.status is Status.PROGRESSING
    second = client.update_deployment("numbers", str(saved_model("doubler")))
    assert second.status is Status.READY
    assert ask(client, "numbers", 1) == 2
    assert len(second.history) == 2


def test_one_who_does_not_wait_for_a_broken_model_keeps_what_serves(client: DeployClient) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")))
    client.update_deployment("numbers", str(saved_model("broken")), config={"synchronous": False}, allow_schema_change=True)
    found = eventually(lambda: (seen := client.get_deployment("numbers")).reason and seen)
    assert (found.status, found.generation) == (Status.READY, made.generation)
    assert "exited with code 1" in found.reason
    assert ask(client, "numbers", 1) == 2


def test_what_is_only_starting_can_be_deleted_at_once(client: DeployClient, cloud: LocalCloud) -> None:
    client.create_deployment("numbers", str(saved_model("doubler")))  # so that the environment is made
    client.update_deployment("numbers", str(saved_model("slow")), config={"synchronous": False}, allow_schema_change=True)
    name, begun = DeploymentName("numbers"), time.monotonic()
    cloud.claim(name).stop(name)
    assert time.monotonic() - begun < 25  # not the 30 s until SIGKILL
    assert scoring_processes(cloud) == []


def test_going_back_to_the_generation_before_needs_no_copy(client: DeployClient, tmp_path: Path) -> None:
    model = copied_model("doubler", tmp_path)
    first = client.create_deployment("numbers", str(model))
    client.update_deployment("numbers", str(saved_model("tripler")))
    again = client.update_deployment("numbers", str(model))
    assert again.generation == first.generation
    assert again.history[0].generation == first.generation
    assert client.prune("numbers", config={"keep": 0}) != ()
    assert [each.generation for each in client.get_deployment("numbers").history] == [first.generation]


def test_logs_are_kept_and_followed(client: DeployClient) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")))
    eventually(lambda: any("ready" in line.text and line.source == made.generation for line in client.logs("numbers")))
    (last,) = client.logs("numbers", tail=1)
    assert last in client.logs("numbers")
    followed = client.logs("numbers", follow=True, tail=1)
    next(followed)
    ask(client, "numbers", 1)
    assert any("POST /invocations 200" in line.text for line in followed)  # follows until it comes
    followed.close()  # type: ignore[attr-defined]


def test_bad_input_is_refused_in_the_models_own_words(client: DeployClient) -> None:
    client.create_deployment("numbers", str(saved_model("doubler")))
    with pytest.raises(ConfigInvalid) as refusal:
        client.predict("numbers", [{"y": 1.0}])
    assert "x" in refusal.value.why


def test_a_streaming_model_streams_through_the_port(client: DeployClient) -> None:
    client.create_deployment("numbers", str(saved_model("streamer")))
    body = b'{"dataframe_split": {"columns": ["x"], "data": [[2.0]]}}'
    said = b"".join(client.predict_stream("numbers", body, accept="text/event-stream"))
    assert b"that was all" in said


def test_long_names_and_prefixes_of_each_other_live_side_by_side(client: DeployClient) -> None:
    names = ["n", "n" * 63, "n" * 62]
    for name in names:
        client.create_deployment(name, str(saved_model("doubler")))
    client.delete_deployment(names[2])
    assert sorted(each.name for each in client.list_deployments()) == sorted(names[:2])
    assert ask(client, names[1], 1) == 2


def test_doctor_looks_at_each_deployment(client: DeployClient) -> None:
    client.create_deployment("numbers", str(saved_model("doubler")))
    found = {each.subject: each for each in client.doctor()}
    assert found["directories"].verdict == "ok"
    assert (found["deployment numbers"].verdict, found["deployment numbers"].detail) == ("ok", "ready")


def restarts(cloud: LocalCloud, generation: str) -> int:
    found = cloud.describe("numbers")
    assert found is not None
    return found.containers[generation].restarts
