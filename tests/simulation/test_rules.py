"""The rules of planner and engine, held over thousands of histories of a simulated cloud, on each target that has one.

DEPLOYER_SIMULATION_HISTORIES (10000) says how many on each, DEPLOYER_SIMULATION_SEED (0) where chance begins. A failure prints the smallest history
that still fails, ready to be pasted into `hold`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import pytest

from tests.simulation.chance import random_history, random_meeting
from tests.simulation.histories import Subject
from tests.simulation.sagemaker import OverSimulatedAws
from tests.simulation.search import (
    BUDGET,
    FIRST,
    LATER,
    SEED,
    Tally,
    beside_a_hand,
    by_chance,
    canaries_struck,
    canaries_within_another,
    every_call_struck,
    one_across_another,
    one_within_another,
)

SUBJECTS: Mapping[str, Callable[[], Subject]] = {"the SageMaker target": OverSimulatedAws}
SEARCHES: Mapping[str, Callable[[Subject, int], Tally]] = {
    "every call struck by everything, then any command": lambda subject, budget: every_call_struck(subject, budget * 40 // 100, FIRST),
    "the same of later generations": lambda subject, budget: every_call_struck(subject, budget * 40 // 100, LATER),
    "rollouts by steps, struck by everything": lambda subject, budget: canaries_struck(subject, budget * 20 // 100),
    "rollouts by steps, one client within another": lambda subject, budget: canaries_within_another(subject, budget * 4 // 100),
    "two clients, one within the other at every call": lambda subject, budget: one_within_another(subject, budget * 4 // 100),
    "two clients, one across the other": lambda subject, budget: one_across_another(subject, budget * 4 // 100),
    "two clients by chance": lambda subject, budget: by_chance(subject, random_meeting, range(SEED, SEED + budget * 3 // 100)),
    "one client by chance": lambda subject, budget: by_chance(subject, random_history, range(SEED, SEED + budget * 7 // 100)),
    "beside a hand in the console": lambda subject, budget: beside_a_hand(subject, budget * 2 // 100),
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_rules_hold(subject: str, search: str, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.perf_counter()
    tally = SEARCHES[search](SUBJECTS[subject](), BUDGET)
    with capsys.disabled():
        print(f"\n  {subject}, {search}: {tally}, in {time.perf_counter() - began:.1f} s", end="")
    assert not tally.failure, tally.failure
