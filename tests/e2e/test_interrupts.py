"""Ctrl-C at every step: before the switch what was made is gone, after it the cloud goes on, and the same command finishes what it began."""

from __future__ import annotations

import json
import signal
import subprocess
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.stranger import DEPLOY, Ended, Stranger
from tests.e2e.test_bad_input import answers, real_model

BEFORE = {
    "the claim": ("resolved", "", "PutObject"),
    "the look after it": ("resolved", "", "ListModels"),
    "the record": ("step_started", "write_record", "PutObject"),
    "the upload": ("step_started", "upload_model", "HeadObject"),
    "the model": ("step_started", "create_model", "CreateModel"),
    "the config": ("step_started", "create_endpoint_config", "CreateEndpointConfig"),
}
"""Where Ctrl-C is pressed before the switch: the event, and the call that is slow enough to be met by it."""
AFTER = {
    "the switch": ("point_endpoint", 1),
    "the wait": ("await_serving", 1),
    "the second look": ("create_model", 2),
    "the sweep": ("sweep", 1),
}
"""Where it is pressed after: the step, and which time that it starts."""


def _at(event: str, step: str = "", time: int = 1) -> Callable[[dict[str, Any]], bool]:
    seen = 0

    def matches(found: dict[str, Any]) -> bool:
        nonlocal seen
        seen += (found["event"], found.get("step", "")) == (event, step)
        return seen == time

    return matches


@contextmanager
def _slow(stranger: Stranger, **rule: Any) -> Iterator[None]:
    with stranger.here.struck("slow", **{"seconds": 0.4, "count": None, **rule}):
        yield


def _told(ended: Ended) -> str:
    """The message of an interrupt, which must be the whole of the trouble."""
    assert "What to do: " in ended.refused("interrupted", 130)
    assert ended.events[-1]["error"]["exit_code"] == 130
    return str(ended.events[-1]["error"]["message"])


@pytest.mark.parametrize("where", BEFORE)
def test_a_create_interrupted_before_the_switch_leaves_nothing(where: str, untouched: Stranger) -> None:
    event, step, operation = BEFORE[where]
    with _slow(untouched, operation=operation):
        ended = untouched.interrupted("create", "-t", "sagemaker", "-n", "late", "-m", "doubler", at=_at(event, step))
    assert "what was made is removed" in _told(ended) or "before anything was changed" in _told(ended)


@pytest.mark.parametrize("where", ["the switch", "the wait"])
def test_a_create_interrupted_after_the_switch_goes_on_and_is_followed_by_the_same_command(where: str, untouched: Stranger) -> None:
    step, time = AFTER[where]
    with untouched.here.settings(creating_seconds=1.0):
        ended = untouched.interrupted("create", "-t", "sagemaker", "-n", "late", "-m", "doubler", at=_at("step_started", step, time))
        told = _told(ended)
        assert "the cloud goes on with endpoint late" in told
        assert untouched.create("late").exit_code == 0
    assert untouched.answer("late") == [2.0, 4.0]
    assert untouched.deploy("delete", "-t", "sagemaker", "-n", "late").exit_code == 0


def test_an_endpoint_that_is_still_creating_is_waited_for_by_delete(untouched: Stranger) -> None:
    with untouched.here.settings(creating_seconds=2.0):
        ended = untouched.interrupted("create", "-t", "sagemaker", "-n", "late", "-m", "doubler", at=_at("step_started", "await_serving"))
        assert "deploy delete waits for it" in ended.err
        assert untouched.everything()["endpoints"].keys() == {"late"}
        assert untouched.deploy("delete", "-t", "sagemaker", "-n", "late").exit_code == 0


@pytest.fixture(scope="module")
def serving(stranger: Stranger) -> Iterator[str]:
    """A deployment that doubles."""
    assert stranger.create("serving").exit_code == 0
    yield "serving"
    assert stranger.deploy("delete", "-t", "sagemaker", "-n", "serving").exit_code == 0


@pytest.mark.parametrize("where", ["the claim", "the look after it", "the upload", "the config"])
def test_an_update_interrupted_before_the_switch_leaves_all_as_it_was(where: str, serving: str, untouched: Stranger) -> None:
    event, step, operation = BEFORE[where]
    with _slow(untouched, operation=operation):
        ended = untouched.interrupted("update", "-t", "sagemaker", "-n", serving, "-m", "tripler", at=_at(event, step))
    assert "what served still serves" in _told(ended) or "before anything was changed" in _told(ended)
    assert untouched.answer(serving) == [2.0, 4.0]


def test_an_update_interrupted_after_the_switch_is_finished_by_the_same_command(serving: str, stranger: Stranger) -> None:
    models = {"tripler": [3.0, 6.0], "doubler": [2.0, 4.0]}
    for where, model in (("the wait", "tripler"), ("the second look", "doubler"), ("the sweep", "tripler")):
        step, time = AFTER[where]
        with stranger.here.settings(updating_seconds=1.0):
            ended = stranger.interrupted("update", "-t", "sagemaker", "-n", serving, "-m", model, at=_at("step_started", step, time))
            told = _told(ended)
            assert f"the cloud goes on with endpoint {serving}" in told or "what is done so far stays" in told
            assert stranger.deploy("update", "-t", "sagemaker", "-n", serving, "-m", model).exit_code == 0
        assert stranger.answer(serving) == models[model]


@pytest.mark.parametrize("step", ["delete_endpoint", "remove"])
def test_a_delete_interrupted_is_finished_by_the_same_command(step: str, untouched: Stranger) -> None:
    assert untouched.create("late").exit_code == 0
    with untouched.here.settings(deleting_seconds=0.5):
        ended = untouched.interrupted("delete", "-t", "sagemaker", "-n", "late", at=_at("step_started", step))
        assert ended.exit_code == 0 or "what was done stays done" in _told(ended)
        assert untouched.deploy("delete", "-t", "sagemaker", "-n", "late").exit_code == 0


def test_an_impatient_second_ctrl_c_leaves_nothing_that_delete_does_not_find(untouched: Stranger) -> None:
    ended = untouched.interrupted("create", "-t", "sagemaker", "-n", "late", "-m", "doubler", at=_at("step_started", "create_model"), blows=3)
    assert ended.exit_code in (9, 130, -signal.SIGINT), ended.said
    assert "Traceback" not in ended.said
    assert untouched.deploy("delete", "-t", "sagemaker", "-n", "late").exit_code == 0


def test_ctrl_c_while_the_cloud_is_asked_changes_nothing(untouched: Stranger) -> None:
    control = untouched.here.control
    after = len(control.journal(operation="DescribeEndpoint"))
    with (
        _slow(untouched, operation="DescribeEndpoint", seconds=3.0),
        subprocess.Popen(
            [DEPLOY, "create", "-t", "sagemaker", "-n", "late", "-m", "doubler"],
            stderr=subprocess.PIPE,
            text=True,
            env=untouched.environment,
            cwd=untouched.directory,
        ) as process,
    ):
        _until(lambda: len(control.journal(operation="DescribeEndpoint")) > after)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert "interrupted before anything was changed" in Ended(process.returncode, "", err).refused("interrupted", 130)


def test_of_many_each_ends_as_it_would_alone_and_the_same_command_finishes_them(untouched: Stranger) -> None:
    """A dozen, one of which can't serve, where every fifth answer of SageMaker is that it is asked too often."""
    names, fleet = [f"many-{number}" for number in range(12)], untouched.directory / "fleet.yaml"
    models = [("broken" if name == "many-3" else "doubler") for name in names]
    fleet.write_text(json.dumps([{"name": name, "model": model, "targets": {"sagemaker": {}}} for name, model in zip(names, models, strict=True)]))
    command = ("-f", str(fleet), "--concurrency", "6")
    with untouched.here.struck("throttle", service="sagemaker", every=5, count=None):
        ended = untouched.interrupted("apply", *command, at=_at("deployed", time=3))
        assert ended.exit_code == 130, ended.said
        ends = {each["name"]: each["event"] for each in ended.events if each["event"] in ("deployed", "failed", "not_begun")}
        assert ends.keys() == set(names)
        assert "not_begun" in ends.values()
        assert "Traceback" not in ended.said
        done = untouched.deploy("apply", *command, "-o", "json", timeout=120)
    assert done.exit_code == 5, done.said
    found = {each["name"]: each.get("error", {}).get("code", each.get("status")) for each in json.loads(done.out)}
    assert found == {name: "rollout-failed" if name == "many-3" else "ready" for name in names}
    listed = untouched.deploy("list", "-t", "sagemaker", "-o", "name").out.split()
    assert [name for name in listed if name in names] == sorted(set(names) - {"many-3"})
    assert untouched.answer("many-11") == [2.0, 4.0]
    assert untouched.deploy("delete", *command).exit_code == 0


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_run_local_takes_everything_with_it_however_it_ends(blow: signal.Signals, stranger: Stranger) -> None:
    command = [DEPLOY, "run-local", "-t", "sagemaker", "-m", real_model(stranger), "--runtime", "process", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=stranger.environment) as process:
        assert process.stdout is not None and process.stderr is not None
        url = process.stdout.readline().split()[2]
        process.send_signal(blow)
        err = process.stderr.read()  # ends when nobody holds it any more: neither the supervisor nor the container
        assert process.wait(30) == (-signal.SIGKILL if blow is signal.SIGKILL else 0)
    ports = [int(url.rpartition(":")[2]), *(int(line.rpartition(" ")[2]) for line in err.splitlines() if "listening on 127.0.0.1 port" in line)]
    _until(lambda: not any(answers("127.0.0.1", port) for port in ports))
    _until(lambda: stranger.deploy("list", "-t", "local", "-o", "json").out.strip() in ("[]", ""))
    assert "Traceback" not in err


def _until(done: Callable[[], bool], tries: int = 40) -> None:
    for _ in range(tries):
        if done():
            return
        clock.sleep(0.25)
    raise AssertionError("it never came to be")
