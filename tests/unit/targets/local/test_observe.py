"""What a supervisor says, in the words that all targets share, and over the wire."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployer.core.container import Container, Mount
from deployer.core.state import DeploymentName, ModelFacts, Provenance, Record, Status, digest_of
from deployer.errors import Conflict, CredentialsInvalid, DeployerError, MachineFault, Refused, TargetUnavailable
from deployer_targets.local import observe, wire
from deployer_targets.local.wire import ContainerState, Description


def record(generation: str) -> Record:
    facts = ModelFacts(uri="models:/churn/3", digest=digest_of("model"))
    when = Provenance(time="2026-11-21T10:00:00+00:00")
    return Record(DeploymentName("churn"), generation, facts, "image", {}, digest_of("revision"), (), provenance=when)


def description(state: str, **more: object) -> Description:
    return Description(
        "churn",
        1,
        host="0.0.0.0",
        port=8000,
        traffic={"new": 100},
        records={"new": record("new")},
        containers={"new": ContainerState(state, reason="" if state == "ready" else "why", runtime="process")},
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("state", "status"),
    [("ready", Status.READY), ("restarting", Status.DEGRADED), ("failed", Status.FAILED), ("stopping", Status.PROGRESSING)],
)
def test_the_container_that_serves_makes_the_status(state: str, status: Status) -> None:
    assert observe.observed(description(state)).status is status


def test_a_container_that_lives_but_does_not_answer_is_degraded() -> None:
    hung = Description("churn", 1, traffic={"new": 100}, containers={"new": ContainerState("ready", reason="it lives, but doesn't answer /ping")})
    assert observe.condition(hung) == (Status.DEGRADED, "it lives, but doesn't answer /ping")


@pytest.mark.parametrize("error", [TargetUnavailable("no index"), CredentialsInvalid("401")])
def test_what_others_are_to_blame_for_keeps_its_exit_code_and_is_a_definite_no(error: DeployerError) -> None:
    with pytest.raises(type(error)) as caught:
        wire.raise_error(json.loads(json.dumps(wire.fault_document(error))))
    assert caught.value.exit_code == error.exit_code
    assert caught.value.definite
    assert wire.fault_document(DeployerError("it can't be loaded")) == wire.fault_document(None) == {}


def test_a_rollout_that_nobody_waits_for_is_progressing() -> None:
    assert observe.observed(description("ready", incoming="newer")).status is Status.PROGRESSING


def test_before_anything_serves_it_progresses_or_has_failed() -> None:
    loading = Description("churn", 1, containers={"new": ContainerState("starting")})
    broken = Description("churn", 1, containers={"new": ContainerState("failed", reason="exit code 1")})
    assert observe.observed(loading).status is Status.PROGRESSING
    assert (observe.observed(broken).status, observe.observed(broken).reason) == (Status.FAILED, "exit code 1")
    assert observe.observed(Description("churn", 1)).reason == "no generation serves"


def test_a_row_of_list_has_what_people_ask_for() -> None:
    row = observe.summary(description("ready"))
    assert (row.model, row.generation, row.columns) == ("models:/churn/3", "new", {"URL": "http://127.0.0.1:8000", "RUNTIME": "process"})
    assert row.created is not None


def test_all_that_is_there_is_a_resource() -> None:
    found = observe.resources(description("ready", models=("0123456789",), unfinished=("9876543210.run",)))
    assert {str(each) for each in found} == {"supervisor/churn", "record/new", "container/new", "model/0123456789", "unfinished/9876543210.run"}


def test_a_description_and_a_container_survive_the_wire() -> None:
    before = description("ready", models=("0123456789",), ending=True)
    assert Description.from_document(json.loads(wire.line(before.to_document()))) == before
    container = Container("image", ("serve",), 8080, {"A": "é"}, (Mount(Path("/m"), "/opt/ml/model"),), user="1:1")
    assert wire.container_from(json.loads(wire.line(wire.container_document(container)))) == container


@pytest.mark.parametrize(
    "error",
    [
        Conflict("a", why="b", advice="c", lines=("d",)),
        MachineFault("a"),
        Refused("a"),
        DeployerError("a"),
        TargetUnavailable("a"),
        TargetUnavailable("a", definite=True),
    ],
)
def test_errors_arrive_as_what_they_are(error: DeployerError) -> None:
    with pytest.raises(type(error)) as raised:
        wire.raise_error(wire.error_document(error))
    found = raised.value
    assert (found.message, found.why, found.advice, found.lines) == (error.message, error.why, error.advice, error.lines)
    assert found.definite is error.definite


def test_addresses_with_colons_are_bracketed() -> None:
    assert Description("churn", 1, host="::1", port=80).url == "http://[::1]:80"
    assert Description("churn", 1, host="::", port=80).url == "http://[::1]:80"
