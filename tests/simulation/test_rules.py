"""The rules of planner and engine, held over tens of thousands of histories of a simulated cloud.

DEPLOYER_SIMULATION_HISTORIES (20000) says how many, DEPLOYER_SIMULATION_SEED (0) where chance begins. A failure prints the smallest history
that still fails, ready to be pasted into `hold`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.simulation.chance import random_history, random_meeting
from tests.simulation.histories import Subject
from tests.simulation.search import BUDGET, SEED, Tally, by_chance, every_call_struck, one_within_another
from tests.simulation.subjects import InMemory

SEARCHES: dict[str, Callable[[Subject], Tally]] = {
    "every call struck by everything, then any command": lambda subject: every_call_struck(subject, BUDGET * 55 // 100),
    "two clients, one within the other at every call": lambda subject: one_within_another(subject, BUDGET * 20 // 100),
    "by chance": lambda subject: by_chance(subject, random_history, range(SEED, SEED + BUDGET * 15 // 100)),
    "two clients by chance": lambda subject: by_chance(subject, random_meeting, range(SEED, SEED + BUDGET * 10 // 100)),
}


@pytest.mark.parametrize("search", SEARCHES, ids=lambda name: name.replace(" ", "-"))
def test_the_rules_hold(search: str, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.perf_counter()
    tally = SEARCHES[search](InMemory())
    with capsys.disabled():
        print(f"\n  {search}: {tally}, in {time.perf_counter() - began:.1f} s", end="")
    assert not tally.failure, tally.failure
