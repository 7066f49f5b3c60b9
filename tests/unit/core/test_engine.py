"""The engine: forward, back, live, sweep; what it tells, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from deployer.core import engine
from deployer.core.plan import Effect, Plan, Progress, Step
from deployer.core.state import Resource
from deployer.errors import (
    ConfigInvalid,
    Conflict,
    CredentialsInvalid,
    DeployerError,
    Interrupted,
    MachineFault,
    ModelInvalid,
    PermissionDenied,
    Refused,
    RollbackFailed,
    RolloutFailed,
    TargetUnavailable,
    TimedOut,
)
from deployer.events import Event, Noticed, Report, RollbackStarted, StepFailed, StepFinished, StepProgressed, StepStarted, silent


@dataclass(frozen=True, slots=True)
class Note(Step[list[str]]):
    """A step that writes its name into the cloud, a list, and then fails if it is told to."""

    name: str
    failure: Callable[[str], BaseException] | None = None
    effect: Effect = Effect.UPDATE

    def describe(self) -> str:
        return self.name

    def run(self, cloud: list[str], progress: Progress) -> bool:
        cloud.append(self.name)
        if self.failure is not None:
            raise self.failure(f"{self.name} failed")
        return self.effect is not Effect.READ


@dataclass(slots=True)
class Told:
    """A report that keeps what it's told."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


SWITCH = Note("switch", effect=Effect.SWITCH)
BACK = (Note("discard"), Note("remove"))


def ran(plan: Plan[list[str]], report: Report = silent) -> tuple[list[str], BaseException | None]:
    cloud: list[str] = []
    try:
        engine.apply(plan, cloud, report)
    except BaseException as error:
        return cloud, error
    return cloud, None


def test_forward_then_live_then_sweep() -> None:
    done = ran(Plan(forward=(Note("make"), SWITCH, Note("wait")), live=(Note("count"),), back=BACK, sweep=(Note("sweep"),)))
    assert done == (["make", "switch", "wait", "count", "sweep"], None)


@pytest.mark.parametrize("failure", [Refused, PermissionDenied, RolloutFailed, ModelInvalid, MachineFault, ConfigInvalid])
def test_a_definite_no_goes_back(failure: type[DeployerError]) -> None:
    cloud, error = ran(Plan(forward=(Note("make"), Note("more", failure), SWITCH), live=(Note("count"),), back=BACK, sweep=(Note("sweep"),)))
    assert cloud == ["make", "more", "discard", "remove"]
    assert isinstance(error, failure)


@pytest.mark.parametrize("definite", [True, False])
def test_whether_a_no_is_definite_is_said_by_the_error_whatever_its_kind(definite: bool) -> None:
    def failure(message: str) -> DeployerError:
        return TargetUnavailable(message, why="no route", definite=definite)

    cloud, error = ran(Plan(forward=(Note("make", failure), SWITCH), back=BACK))
    assert cloud == (["make", "discard", "remove"] if definite else ["make"])
    assert isinstance(error, TargetUnavailable)
    assert (error.why, error.definite) == ("no route", definite)
    assert ("what was made before is removed" in error.message) is definite


def test_a_refused_switch_goes_back() -> None:
    cloud, error = ran(Plan(forward=(Note("make"), Note("switch", Refused, effect=Effect.SWITCH)), back=BACK))
    assert cloud == ["make", "switch", "discard", "remove"]
    assert isinstance(error, Refused)


def test_a_generation_that_can_not_serve_goes_back_after_the_switch() -> None:
    cloud, error = ran(Plan(forward=(SWITCH, Note("wait", RolloutFailed)), back=BACK))
    assert cloud == ["switch", "wait", "discard", "remove"]
    assert isinstance(error, RolloutFailed)


def test_a_refusal_after_the_switch_undoes_nothing() -> None:
    told = Told()
    cloud, error = ran(Plan(forward=(SWITCH, Note("wait", PermissionDenied)), back=BACK, sweep=(Note("sweep"),)), told)
    assert cloud == ["switch", "wait"]
    assert isinstance(error, PermissionDenied)
    assert "RollbackStarted" not in told.kinds
    assert [event.level for event in told.events if isinstance(event, Noticed)] == ["warning"]


@pytest.mark.parametrize("failure", [TargetUnavailable, TimedOut, Conflict])
@pytest.mark.parametrize("switched", [False, True])
def test_an_unknown_outcome_and_a_rival_are_left_alone(failure: type[DeployerError], switched: bool) -> None:
    before = (SWITCH,) if switched else ()
    cloud, error = ran(Plan(forward=(*before, Note("next", failure), Note("never")), live=(Note("count"),), back=BACK, sweep=(Note("sweep"),)))
    assert cloud == [*(step.name for step in before), "next"]
    assert isinstance(error, failure)


def test_a_way_back_that_fails_says_so_with_the_cause() -> None:
    cause = RolloutFailed("no", why="it crashed", lines=("last words",))

    @dataclass(frozen=True, slots=True)
    class Fails(Note):
        def run(self, cloud: list[str], progress: Progress) -> bool:
            raise cause

    cloud, error = ran(Plan(forward=(Fails("wait"),), back=(Note("discard", TargetUnavailable), Note("remove"))))
    assert cloud == ["discard"]
    assert isinstance(error, RollbackFailed)
    assert error.why == "it crashed"
    assert error.lines == ("last words",)
    assert "discard failed" in error.message
    assert "same command" in error.advice


@pytest.mark.parametrize("cause", [PermissionDenied, CredentialsInvalid])
@pytest.mark.parametrize("back", [PermissionDenied, CredentialsInvalid])
def test_what_is_allowed_in_neither_direction_is_told_as_that(cause: type[DeployerError], back: type[DeployerError]) -> None:
    cloud, error = ran(Plan(forward=(Note("make", cause), SWITCH), back=(Note("discard", back), Note("remove"))))
    assert cloud == ["make", "discard"]
    assert (type(error), error.exit_code) == (cause, 4)
    assert "what was made so far stays" in error.message
    assert "deploy delete" in error.advice


@pytest.mark.parametrize(("cause", "back"), [(PermissionDenied, TargetUnavailable), (RolloutFailed, PermissionDenied), (Refused, PermissionDenied)])
def test_any_other_way_back_that_fails_is_told_as_such(cause: type[DeployerError], back: type[DeployerError]) -> None:
    _, error = ran(Plan(forward=(Note("make", cause), SWITCH), back=(Note("discard", back), Note("remove"))))
    assert (type(error), error.exit_code) == (RollbackFailed, 9)


def test_a_rival_met_on_the_way_back_is_a_conflict() -> None:
    cloud, error = ran(Plan(forward=(Note("wait", RolloutFailed),), back=(Note("discard", Conflict), Note("remove"))))
    assert cloud == ["wait", "discard"]
    assert isinstance(error, Conflict)


def test_ctrl_c_before_the_switch_goes_back() -> None:
    cloud, error = ran(Plan(forward=(Note("make", KeyboardInterrupt), SWITCH), back=BACK))
    assert cloud == ["make", "discard", "remove"]
    assert isinstance(error, Interrupted)
    assert "what was made is removed" in error.message


def test_ctrl_c_on_the_way_back_says_that_it_is_not_done() -> None:
    cloud, error = ran(Plan(forward=(Note("make", KeyboardInterrupt),), back=(Note("discard", KeyboardInterrupt), Note("remove"))))
    assert cloud == ["make", "discard"]
    assert isinstance(error, RollbackFailed)


@pytest.mark.parametrize("forward", [(Note("switch", KeyboardInterrupt, effect=Effect.SWITCH),), (SWITCH, Note("wait", KeyboardInterrupt))])
def test_ctrl_c_once_the_switch_may_be_sent_undoes_nothing(forward: tuple[Note, ...]) -> None:
    cloud, error = ran(Plan(forward=forward, back=BACK, sweep=(Note("sweep"),)))
    assert cloud == [step.name for step in forward]
    assert isinstance(error, Interrupted)
    assert "the cloud goes on" in error.message
    assert "same command" in error.advice


def test_ctrl_c_where_there_is_no_way_back_promises_none() -> None:
    _, error = ran(Plan(forward=(Note("remove", KeyboardInterrupt),)))
    assert isinstance(error, Interrupted)
    assert "removed" not in error.message


def test_a_refused_live_change_is_told_and_takes_nothing_back() -> None:
    cloud, error = ran(Plan(forward=(SWITCH,), live=(Note("count", Refused), Note("tags")), back=BACK, sweep=(Note("sweep"),)))
    assert cloud == ["switch", "count"]
    assert isinstance(error, Refused)


def test_a_sweep_that_fails_is_a_warning() -> None:
    told = Told()
    cloud, error = ran(Plan(forward=(SWITCH,), sweep=(Note("old model", Refused), Note("old data"))), told)
    assert (cloud, error) == (["switch", "old model", "old data"], None)
    (warning,) = [event for event in told.events if isinstance(event, Noticed)]
    assert warning.level == "warning"
    assert "old model" in warning.message
    assert "next run" in warning.message


def test_a_rival_met_while_sweeping_ends_it() -> None:
    cloud, error = ran(Plan(forward=(SWITCH,), sweep=(Note("old model", Conflict), Note("old data"))))
    assert cloud == ["switch", "old model"]
    assert isinstance(error, Conflict)


def test_each_step_is_told_from_start_to_end() -> None:
    told = Told()
    ran(Plan(forward=(Note("make"), Note("wait", RolloutFailed)), back=(Note("remove"),)), told)
    assert told.kinds == ["StepStarted", "StepFinished", "StepStarted", "StepFailed", "RollbackStarted", "StepStarted", "StepFinished"]
    started, finished = told.events[:2]
    assert isinstance(started, StepStarted)
    assert isinstance(finished, StepFinished)
    assert (started.step, started.label) == (finished.step, finished.label) == ("note", "make")
    failed, back = told.events[3:5]
    assert isinstance(failed, StepFailed)
    assert isinstance(back, RollbackStarted)
    assert failed.reason == back.reason == "wait failed"


def test_each_step_tells_its_effect_what_it_makes_and_whether_it_changed_anything() -> None:
    @dataclass(frozen=True, slots=True)
    class Upload(Note):
        @property
        def makes(self) -> Resource:
            return Resource("object", self.name)

    told = Told()
    ran(Plan(forward=(Upload("data", effect=Effect.CREATE), Note("wait", effect=Effect.READ), SWITCH)), told)
    finished = [event for event in told.events if isinstance(event, StepFinished)]
    assert [(event.step, event.effect, event.resource, event.changed) for event in finished] == [
        ("upload", "create", "object/data", True),
        ("note", "read", "", False),
        ("note", "switch", "", True),
    ]


def test_what_a_step_tells_while_it_runs_carries_its_name() -> None:
    @dataclass(frozen=True, slots=True)
    class Count(Step[list[str]]):
        effect = Effect.UPDATE

        def describe(self) -> str:
            return "3 instances"

        def run(self, cloud: list[str], progress: Progress) -> bool:
            progress.note("Updating")
            progress.moved(1, 3, unit="instances")
            progress.warn("slow today")
            return True

    told = Told()
    ran(Plan(live=(Count(),)), told)
    progressed = [event for event in told.events if isinstance(event, StepProgressed)]
    assert [(each.step, each.label) for each in progressed] == [("count", "3 instances")] * 2
    assert [event.message for event in told.events if isinstance(event, Noticed)] == ["slow today"]


def test_an_empty_plan_does_nothing() -> None:
    told = Told()
    assert ran(Plan(), told) == ([], None)
    assert told.events == []
    assert Plan().empty
    assert not Plan(sweep=(Note("sweep"),)).empty
