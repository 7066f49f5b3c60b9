"""Ctrl-C for runs that aren't in the main thread."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployer.core.interruption import Interruption, pause
from deployer.events import Event, Noticed, RollbackStarted, StepFailed, silent

NEWS = Noticed(message="on and on")


def test_a_run_hears_each_time_that_it_is_told_once() -> None:
    interruption, heard = Interruption(), list[Event]()
    with interruption.reaching(heard.append) as report:
        report(NEWS)
        for _ in range(2):
            interruption.tell()
            with pytest.raises(KeyboardInterrupt):
                report(NEWS)
            report(NEWS)
    assert len(heard) == 5


def test_a_pause_ends_at_once_and_those_after_it_do_not() -> None:
    interruption, begin = Interruption(), time.monotonic()
    with interruption.reaching(silent), pytest.raises(KeyboardInterrupt):
        threading.Timer(0.05, interruption.tell).start()
        pause(60)
    assert time.monotonic() - begin < 30
    with interruption.reaching(silent):
        begin = time.monotonic()
        pause(0.05)
        assert time.monotonic() - begin >= 0.05


@pytest.mark.parametrize("event", [StepFailed(step="a", label="a"), RollbackStarted(reason="no")])
def test_what_is_told_of_a_failure_is_not_cut_short(event: Event) -> None:
    interruption = Interruption()
    interruption.tell()
    with interruption.reaching(silent) as report:
        report(event)
        with pytest.raises(KeyboardInterrupt):
            report(NEWS)


@pytest.mark.parametrize("lost", [True, False])
def test_threads_of_the_run_hear_it_too_and_it_is_raised_once_in_all(lost: bool) -> None:
    interruption = Interruption()
    with interruption.reaching(silent) as report, ThreadPoolExecutor(1) as pool:
        interruption.tell()
        moved = pool.submit(report, NEWS)
        if lost:  # by a library whose callback it was
            assert isinstance(moved.exception(), KeyboardInterrupt)
            with pytest.raises(KeyboardInterrupt):
                report(NEWS)
        else:
            try:
                moved.result()
            except KeyboardInterrupt:
                report(RollbackStarted(reason="interrupted"))
                report(NEWS)
        report(NEWS)
