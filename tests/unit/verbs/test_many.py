"""Runs side by side: how many at a time, in which order, and what an interrupt does to them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from deployer.core.interruption import pause
from deployer.errors import QuotaExceeded
from deployer.events import Noticed, Report, silent
from deployer.verbs.many import Task, TaskOutcome, run_all

Ran = Callable[[Report], str]


def task(name: str, run: Ran = lambda _: "done") -> Task[str]:
    return Task(name, "memory:/here", run)


def failing(_: Report) -> str:
    raise QuotaExceeded("no more")


def states(outcomes: list[TaskOutcome[str]]) -> list[str]:
    return [each.result or each.reason or "not begun" for each in outcomes]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_so_many_at_most_go_on_at_a_time(concurrency: int) -> None:
    under_way, most, lock, together = set[str](), [0], threading.Lock(), threading.Barrier(concurrency)

    def run(name: str) -> Ran:
        def ran(_: Report) -> str:
            with lock:
                under_way.add(name)
                most[0] = max(most[0], len(under_way))
            together.wait(10)  # so many do go on
            with lock:
                under_way.remove(name)
            return name

        return ran

    names = [str(number) for number in range(6)]
    outcomes = run_all([[task(name, run(name))] for name in names], lambda _: silent, concurrency=concurrency)
    assert states(outcomes) == names
    assert most[0] == concurrency


def test_a_chain_ends_where_one_of_it_fails_and_others_go_on() -> None:
    chains = [[task("a"), task("b", failing), task("c")], [task("d")]]
    assert states(run_all(chains, lambda _: silent)) == ["done", "no more", "not begun", "done"]


def test_fail_fast_begins_no_more_and_lets_the_others_end() -> None:
    both, failed, outcomes = threading.Barrier(2), threading.Event(), list[TaskOutcome[str]]()

    def waits(_: Report) -> str:
        both.wait(10)
        failed.wait(10)
        return "done"

    def fails(report: Report) -> str:
        both.wait(10)
        return failing(report)

    def ended(_: Task[str], outcome: TaskOutcome[str]) -> None:
        outcomes.append(outcome)
        if outcome.error:
            failed.set()

    chains = [[task("a", waits)], [task("b", fails)], [task("c")], [task("d")]]
    assert states(run_all(chains, lambda _: silent, concurrency=2, fail_fast=True, ended=ended)) == ["done", "no more", "not begun", "not begun"]
    assert [each.name for each in outcomes] == ["b", "a"]


def test_ctrl_c_reaches_all_that_are_under_way_and_waits_for_what_they_do_then(ctrl_c: Callable[[], None]) -> None:
    begun, taken_back = threading.Barrier(3), list[str]()

    def run(name: str, *, strikes: bool = False) -> Ran:
        def ran(report: Report) -> str:
            begun.wait(10)
            try:
                if strikes:
                    ctrl_c()
                pause(60)
            except KeyboardInterrupt:
                report(Noticed(message="going back"))
                taken_back.append(name)
                raise
            return "done"

        return ran

    chains = [[task("a", run("a"))], [task("b", run("b", strikes=True)), task("after b")], [task("c", run("c"))], [task("d")]]
    outcomes = run_all(chains, lambda _: silent, concurrency=3)
    assert states(outcomes) == ["interrupted", "interrupted", "not begun", "interrupted", "not begun"]
    assert sorted(taken_back) == ["a", "b", "c"]
    assert [each.interrupted for each in outcomes] == [True, True, False, True, False]
