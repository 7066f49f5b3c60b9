"""Calling a cloud: what is asked again, when credentials are renewed, what errors become; looking until it is so; lost answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from deployer.core.seam import AT_ONCE, DOUBLING, Pauses, Seam, ensure, poll
from deployer.errors import Conflict, CredentialsInvalid, DeployerError, Refused, TargetUnavailable, TimedOut


class Busy(Exception):
    """Passes by itself."""


class Nobody(Exception):
    """Who isn't there."""


class Expired(Exception):
    """Credentials that ran out."""


class No(Exception):
    """A definite no."""


class Table:
    def transient(self, error: BaseException) -> bool:
        return isinstance(error, (Busy, Nobody))

    def unreached(self, error: BaseException) -> bool:
        return isinstance(error, Nobody)

    def expired(self, error: BaseException) -> bool:
        return isinstance(error, Expired)

    def translated(self, error: Exception, operation: str) -> DeployerError | None:
        kinds: dict[type, type[DeployerError]] = {Busy: TargetUnavailable, Nobody: TargetUnavailable, Expired: CredentialsInvalid, No: Refused}
        ours = kinds.get(type(error))
        return ours(f"{operation} failed") if ours else None


@dataclass(slots=True)
class Clock:
    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def saying(*outcomes: object) -> Callable[[], object]:
    """An action that raises or gives these in turn, the last one for ever."""
    left = list(outcomes)

    def action() -> object:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return action


def test_what_passes_is_asked_again_and_the_guard_looks_before_each_further_try() -> None:
    looked: list[str] = []
    assert Seam(Table()).call(saying(Busy(), Busy(), "fine"), "x", guard=lambda: looked.append("look")) == "fine"
    assert looked == ["look", "look"]


def test_who_lost_the_claim_meanwhile_asks_no_more() -> None:
    def lost() -> None:
        raise Conflict("a newer run has it")

    with pytest.raises(Conflict):
        Seam(Table()).call(saying(Busy(), "never"), "x", guard=lost)


def test_a_definite_no_is_asked_once_and_said_in_our_words(clock: Clock) -> None:
    with pytest.raises(Refused, match="CreateModel failed") as told:
        Seam(Table()).call(saying(No(), "never"), "CreateModel")
    assert isinstance(told.value.__cause__, No)
    assert clock.slept == []


def test_what_is_none_of_the_clouds_faults_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        Seam(Table()).call(saying(ZeroDivisionError()), "x")


@pytest.mark.parametrize(("outcomes", "least", "most"), [((Nobody(),), 4, 16), ((Busy(),), 100, 140)])
def test_who_never_answered_is_given_up_soon(clock: Clock, outcomes: tuple[Exception, ...], least: float, most: float) -> None:
    with pytest.raises(TargetUnavailable):
        Seam(Table(), deadline_seconds=120).call(saying(*outcomes), "x")
    assert least < clock.now < most


def test_who_has_answered_once_is_waited_for(clock: Clock) -> None:
    seam = Seam(Table(), deadline_seconds=120)
    seam.call(saying("fine"), "x")
    with pytest.raises(TargetUnavailable):
        seam.call(saying(Nobody()), "x")
    assert clock.now > 100


def test_what_can_not_be_sent_twice_is_not() -> None:
    with pytest.raises(TargetUnavailable):
        Seam(Table()).call(saying(Busy(), "never"), "x", retry=False)


def test_credentials_are_renewed_once() -> None:
    renewed: list[BaseException] = []
    seam = Seam(Table(), renew=renewed.append)
    assert seam.call(saying(Expired(), Busy(), "fine"), "x") == "fine"
    with pytest.raises(CredentialsInvalid):
        seam.call(saying(Expired()), "x")
    assert [type(each) for each in renewed] == [Expired, Expired]


def test_a_renewal_is_asked_again_as_any_call() -> None:
    outcomes: Iterator[Exception | None] = iter((Busy(), None))

    def renew(_: BaseException) -> None:
        if fault := next(outcomes):
            raise fault

    assert Seam(Table(), renew=renew).call(saying(Expired(), "fine"), "x") == "fine"


def test_looks_are_rarer_the_longer_it_takes(clock: Clock) -> None:
    assert len(list(poll(lambda: "there", seconds=3600))) < 300
    assert clock.slept == sorted(clock.slept)
    assert (clock.slept[0], clock.slept[-1]) == (0.2, 15.0)
    assert clock.now <= 3600


def test_doubling_looks_are_few(clock: Clock) -> None:
    assert len(list(poll(lambda: "there", seconds=12, pauses=DOUBLING))) == 8


def test_who_waits_too_long_is_told_of_what_was_seen_last(clock: Clock) -> None:
    look = saying("Creating", "Updating")
    with pytest.raises(TimedOut, match="Updating"):
        list(poll(look, seconds=1, late=lambda seen: TimedOut(f"still {seen}")))
    assert clock.now <= 1


def test_it_is_looked_at_once_where_there_is_no_time() -> None:
    assert list(poll(lambda: 1, seconds=0, pauses=Pauses())) == [1]


def test_a_look_that_waits_itself_is_repeated_at_once(clock: Clock) -> None:
    def look() -> float:
        clock.now += 1
        return clock.now

    assert list(poll(look, seconds=3, pauses=AT_ONCE)) == [1, 2, 3, 4]
    assert set(clock.slept) == {0.0}


@pytest.mark.parametrize("agrees", [True, False])
def test_a_no_is_none_where_the_cloud_is_as_wanted(agrees: bool) -> None:
    def refused() -> None:
        raise Refused("it is there already")

    if agrees:
        ensure(refused, lambda: True)
    else:
        with pytest.raises(Refused):
            ensure(refused, lambda: False)


def test_who_does_not_know_what_happened_does_not_look() -> None:
    def unknown() -> None:
        raise TargetUnavailable("no answer")

    def look() -> bool:
        raise AssertionError

    with pytest.raises(TargetUnavailable):
        ensure(unknown, look)


def test_what_the_look_finds_goes_before_the_no() -> None:
    def refused() -> None:
        raise Refused("in use")

    def look() -> bool:
        raise Conflict("somebody else changed it")

    with pytest.raises(Conflict):
        ensure(refused, look)
