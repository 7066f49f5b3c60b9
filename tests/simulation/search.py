"""Ways through the space of histories: everything that can strike every call, one client within another at every call, and by chance."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from tests.simulation.chance import BROKEN, FAILING, QUIET, shrunk
from tests.simulation.cloud import Behaviour, Cloud
from tests.simulation.histories import HAND, Command, History, Subject, Together
from tests.simulation.rules import hold
from tests.simulation.wire import Fault

BUDGET = int(os.environ.get("DEPLOYER_SIMULATION_HISTORIES", "10000"))
SEED = int(os.environ.get("DEPLOYER_SIMULATION_SEED", "0"))
USUAL = Behaviour(broken=BROKEN, failing=FAILING)

ABSENT: tuple[Command, ...] = ()
SERVING = (Command("create", "v1"),)
UPDATED = (*SERVING, Command("update", "v2"))
FIRST: tuple[tuple[tuple[Command, ...], Command], ...] = (
    (ABSENT, Command("create", "v1")),
    (ABSENT, Command("create", "broken")),
    (SERVING, Command("update", "v2", (("instance_count", 2),))),
    (SERVING, Command("update", "broken")),
    (SERVING, Command("update", "", (("instance_count", 3),))),
    (SERVING, Command("delete")),
)
LATER: tuple[tuple[tuple[Command, ...], Command], ...] = (
    (UPDATED, Command("update", "v3")),
    (UPDATED, Command("update", "v1")),
    (UPDATED, Command("apply", "v2", (("instance_type", "ml.m5.xlarge"),))),
    (UPDATED, Command("prune", "", (("keep", 0),))),
    (UPDATED, Command("delete")),
)
AFTERWARDS = (
    Command("delete"),
    Command("update", "v4"),
    Command("apply", "v1"),
    Command("apply", "v2"),
    Command("create", "v5"),
    Command("update", "broken"),
    Command("update", "", (("instance_count", 2),)),
    Command("prune"),
)
RIVALS = (
    Command("create", "v1"),
    Command("apply", "v2"),
    Command("apply", "v3", (("instance_count", 2),)),
    Command("update", "broken"),
    Command("update", "", (("instance_type", "ml.m5.xlarge"),)),
    Command("delete"),
)

CANARY = (("strategy", "canary"), ("steps", (10, 50)), ("pause", "5s"))
MANUAL = (("strategy", "canary"), ("steps", (10, 50)), ("pause", "manual"))
CHECKED = (*CANARY, ("checks", {"error_rate": "5%"}))
KEPT = (("strategy", "blue_green"), ("pause", "manual"))
SPLIT = (*UPDATED, Command("update", "v3", MANUAL))
CANARIES: tuple[tuple[tuple[Command, ...], Command], ...] = (
    (SERVING, Command("update", "v2", CANARY)),
    (UPDATED, Command("update", "v1", MANUAL)),
    (UPDATED, Command("update", "broken", CANARY)),
    (UPDATED, Command("update", "failing", CHECKED)),
    (SERVING, Command("update", "v2", CHECKED)),
    (UPDATED, Command("update", "v3", KEPT)),
    (SPLIT, Command("promote")),
    (SPLIT, Command("promote", "", (("pause", "0s"),))),
    (SPLIT, Command("abort")),
    (SPLIT, Command("update", "v3", CANARY)),
    (SPLIT, Command("update", "v4", MANUAL)),
    (SPLIT, Command("prune", "", (("keep", 0),))),
    (SPLIT, Command("delete")),
)
AFTER_CANARIES = (
    Command("abort"),
    Command("promote", "", (("pause", "0s"),)),
    Command("apply", "v1", (("strategy", "all_at_once"),)),
    Command("update", "v4", CANARY),
    Command("delete"),
    Command("prune"),
    Command("update", "v2", (("strategy", "all_at_once"),)),
)
CANARY_RIVALS = (
    Command("update", "v3", CANARY),
    Command("update", "v1", MANUAL),
    Command("promote", "", (("pause", "0s"),)),
    Command("abort"),
    Command("apply", "v4", (("strategy", "all_at_once"),)),
    Command("delete"),
)

REMOVERS = (Command("prune", "", (("keep", 0),)), Command("apply", "v3", (("keep", 0),)), Command("update", "broken"), Command("delete"))
RETURNERS = (Command("apply", "v1"), Command("apply", "v2"), Command("update", "v1", (("instance_count", 2),)))


@dataclass(slots=True)
class Tally:
    """How many histories were held to the rules, how their clients ended, and the smallest one that broke a rule."""

    histories: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    failure: str = ""

    def add(self, subject: Subject, history: History, cloud: Cloud | None = None) -> bool:
        """Hold one more; false where it broke a rule. `cloud` is where its acts begin, if not from nothing."""
        report = hold(subject, history, cloud)
        self.histories += 1
        self.ended.update(outcome.ended for outcome in report.outcomes)
        return not report.problems

    def tell(self, subject: Subject, history: History, origin: str) -> None:
        """Shrink a history that failed, and say how to see it again."""
        small = shrunk(history, lambda each: bool(hold(subject, each).problems))
        acts = "\n".join(f"  {act}" for act in small.acts)
        problems = "\n".join(f"  {problem}" for problem in hold(subject, small).problems)
        self.failure = f"{origin} breaks a rule; the smallest that does:\n{acts}\n  on {small.behaviour}\n{problems}\n{small!r}"

    def __str__(self) -> str:
        return f"{self.histories} histories: " + ", ".join(f"{count} {ended}" for ended, count in self.ended.most_common())


def every_call_struck(
    subject: Subject, budget: int, cases: Sequence[tuple[tuple[Command, ...], Command]], afterwards: tuple[Command, ...] = AFTERWARDS
) -> Tally:
    """Each command of the cases, each of its calls, each fault; then as many follow-up commands, in turn, as the budget allows.

    A budget smaller than that takes some of the calls and faults, spread evenly.
    """
    tally, struck = Tally(), list(_struck(subject, cases))
    each = max(1, round(budget / len(struck)) - 1)
    for number, (start, base, command) in enumerate(struck[:: max(1, 2 * len(struck) // budget)]):
        cloud = base.fork()
        if not tally.add(subject, History((command,)), cloud):
            tally.tell(subject, History((*start, command), USUAL), str(command))
            return tally
        again = (replace(command, faults=()), *afterwards)
        for turn in range(min(each, len(again))):
            after = again[(number + turn) % len(again)]
            if not tally.add(subject, History((after,)), cloud.fork()):
                tally.tell(subject, History((*start, command, after), USUAL), f"{command}, then {after}")
                return tally
    return tally


def _struck(subject: Subject, cases: Sequence[tuple[tuple[Command, ...], Command]]) -> Iterator[tuple[tuple[Command, ...], Cloud, Command]]:
    for start, command in cases:
        base = _begun(subject, start)
        plain = hold(subject, History((command,)), base.fork())
        calls = plain.outcomes[0].wire.calls
        for call in range(calls):
            for fault in Fault:
                yield start, base, replace(command, faults=((call, fault),))
            # The answer is lost, and what asks afterwards is refused.
            for later in range(call + 1, call + 5):
                yield start, base, replace(command, faults=((call, Fault.LOST), (later, Fault.REFUSED)))


def one_within_another(
    subject: Subject, budget: int, starts: tuple[tuple[Command, ...], ...] = (SERVING, UPDATED), rivals: tuple[Command, ...] = RIVALS
) -> Tally:
    """Two clients: the first stands still before each of its calls in turn while the second runs to its end; then a third, alone, to the same end."""
    tally = Tally()
    cases = [
        (start, base, Together(first, second, (call, 1_000_000)))
        for start in starts
        for base in (_begun(subject, start),)
        for first in rivals
        for second in rivals
        for call in range(hold(subject, History((first,)), base.fork()).outcomes[0].wire.calls)
    ]
    step = max(1, len(cases) // budget)
    for start, base, both in cases[::step]:
        last = Command("delete") if both.second.verb == "delete" else Command("apply", "v2", (("strategy", "all_at_once"),))
        if not tally.add(subject, History((both, last)), base.fork()):
            tally.tell(subject, History((*start, both, last), USUAL), str(both))
            return tally
    return tally


def canaries_struck(subject: Subject, budget: int) -> Tally:
    """Rollouts by steps, each call of them struck by everything; then run again, given up, gone on with, or replaced."""
    return every_call_struck(subject, budget, CANARIES, AFTER_CANARIES)


def canaries_within_another(subject: Subject, budget: int) -> Tally:
    """Two clients about a rollout by steps, one within the other."""
    return one_within_another(subject, budget, (UPDATED, SPLIT), CANARY_RIVALS)


def one_across_another(subject: Subject, budget: int) -> Tally:
    """Two clients: the first stands still before a call, the second before one of its own while the first ends; then both are done, and a third."""
    tally, chance = Tally(), Random(SEED)
    base = _begun(subject, UPDATED)
    cases = [(first, second) for first in REMOVERS for second in RETURNERS]
    for _ in range(budget):
        first, second = chance.choice(cases)
        both = Together(first, second, (chance.randint(20, 75), chance.randint(20, 65)))
        if not tally.add(subject, History((both, Command("apply", "v3"))), base.fork()):
            tally.tell(subject, History((*UPDATED, both, Command("apply", "v3")), USUAL), str(both))
            return tally
    return tally


def beside_a_hand(subject: Subject, budget: int) -> Tally:
    """Somebody points the endpoint back to what we are about to remove, in the console, before each of our calls in turn. It is there at once."""
    tally, base, hand = Tally(), _begun(subject, UPDATED), Command(HAND, "v1")
    base.behaviour = quick = replace(USUAL, rollout=1)
    cases = [
        Together(first, hand, (call, 1_000_000))
        for first in REMOVERS[:2]
        for call in range(1, hold(subject, History((first,)), base.fork()).outcomes[0].wire.calls)
    ]
    for both in cases[:budget]:
        if not tally.add(subject, History((both,)), base.fork()):
            tally.tell(subject, History((*UPDATED, both), quick), str(both))
            return tally
    return tally


def by_chance(subject: Subject, make: Callable[[int], History], seeds: Iterable[int]) -> Tally:
    """One history a seed."""
    tally = Tally()
    for seed in seeds:
        history = make(seed)
        if not tally.add(subject, history):
            tally.tell(subject, history, f"{make.__name__}({seed})")
            return tally
    return tally


def _begun(subject: Subject, start: tuple[Command, ...]) -> Cloud:
    cloud = Cloud(USUAL)
    report = hold(subject, History(start), cloud)
    assert not report.problems, report.problems
    return cloud


__all__ = [
    "BUDGET",
    "FIRST",
    "LATER",
    "QUIET",
    "SEED",
    "Tally",
    "beside_a_hand",
    "by_chance",
    "canaries_struck",
    "canaries_within_another",
    "every_call_struck",
    "one_across_another",
    "one_within_another",
]
