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


def test_a_generation_without_a_share_is_never_asked() -> None:
    turns = Turns({"old": 0, "new": 100})
    assert {turns.next() for _ in range(100)} == {"new"}


def test_answers_are_counted_with_their_latencies() -> None:
    answers = Answers()
    assert answers.measured() == {"requests": 0, "errors": 0, "latencies": {}}
    for hundredths in range(1, 101):
        answers.add(well=hundredths > 3, took=hundredths / 100)
    assert answers.measured() == {"requests": 100, "errors": 3, "latencies": {"50": 0.5, "90": 0.9, "99": 0.99}}
