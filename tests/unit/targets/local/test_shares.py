"""Turns by shares, and what is known of answers."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from deployer_targets.local.shares import Answers, Turns


@pytest.mark.parametrize("percent", [1, 10, 33, 50, 90, 99])
def test_of_any_hundred_requests_in_a_row_a_generation_takes_its_percent(percent: int) -> None:
    turns = Turns({"old": 100 - percent, "new": percent})
    taken = [turns.next() for _ in range(500)]
    for start in range(400):
        assert Counter(taken[start : start + 100])["new"] == percent


def test_turns_are_spread_evenly() -> None:
    turns = Turns({"old": 90, "new": 10})
    places = [place for place in range(100) if turns.next() == "new"]
    assert {after - before for before, after in pairwise(places)} == {10}


def test_three_generations() -> None:
    turns = Turns({"a": 70, "b": 20, "c": 10})
    assert Counter(turns.next() for _ in range(100)) == {"a": 70, "b": 20, "c": 10}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_answers_are_those_of_the_window() -> None:
    clock = Clock()
    answers = Answers(clock)
    answers.add(well=False, took=9.0)
    clock.now = 1100.0
    for hundredths in range(1, 101):
        answers.add(well=hundredths > 3, took=hundredths / 100)
    assert answers.measured(50) == {"requests": 100, "errors": 3, "latencies": {"50": 0.5, "90": 0.9, "99": 0.99}}
    assert answers.measured(200)["requests"] == 101
    clock.now = 1200.0
    assert answers.measured(50) == {"requests": 0, "errors": 0, "latencies": {}}


def test_what_is_older_than_an_hour_is_forgotten() -> None:
    clock = Clock()
    answers = Answers(clock)
    answers.add(well=True, took=1.0)
    clock.now += 2 * 3600
    answers.add(well=True, took=1.0)
    assert answers.measured(9999)["requests"] == 1
