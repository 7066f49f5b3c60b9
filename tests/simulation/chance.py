"""Histories by chance, each from one number, and the smallest that still fails made from one that does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from tests.simulation.cloud import Behaviour
from tests.simulation.histories import Act, Command, History, Together, digest_named
from tests.simulation.wire import Fault

BROKEN = frozenset({digest_named("broken").removeprefix("sha256:")[:10]})
FAILING = frozenset({digest_named("failing").removeprefix("sha256:")[:10]})
MODELS = ("v1", "v2", "v3")
QUIET = (Command("apply", "v1"), Command("delete"))


def random_history(seed: int) -> History:
    """Some commands of one client after the other, up to two calls of each struck; then what a patient user does: apply, delete."""
    chance = Random(seed)
    acts = [random_command(chance, faults=2) for _ in range(chance.randint(1, 4))]
    return History((*acts, *QUIET), behaviour(chance))


def random_meeting(seed: int) -> History:
    """Two clients at once on a deployment that is there or not, interleaved anyhow; sometimes one is struck. Then apply, delete."""
    chance = Random(seed)
    start: list[Act] = [Command("create", "v1")] if chance.random() < 0.8 else []
    if start and chance.random() < 0.3:
        start.append(Command("update", "v2"))
    both = Together(random_command(chance, faults=chance.random() < 0.2), random_command(chance, faults=0), random_turns(chance))
    return History((*start, both, *QUIET), behaviour(chance))


def random_turns(chance: Random) -> tuple[int, ...]:
    """Half of the time the first stands still somewhere, the second goes on to somewhere, and the first runs to its end."""
    if chance.random() < 0.5:
        return (chance.randint(1, 70), chance.randint(1, 70))
    return tuple(chance.choice((1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 80)) for _ in range(chance.randint(1, 6)))


def behaviour(chance: Random) -> Behaviour:
    return Behaviour(
        rollout=chance.choice((1, 3, 7, 30, 200)),
        deletion=chance.choice((1, 3, 20)),
        lag=chance.choice((0, 0, 5, 40)),
        broken=BROKEN,
    )


def random_command(chance: Random, faults: int) -> Command:
    verb = chance.choice(("create", "update", "update", "update", "apply", "apply", "delete", "prune"))
    if verb == "delete":
        return Command(verb, faults=random_faults(chance, faults))
    options = tuple(
        (name, chance.choice(values))
        for name, values in (("instance_count", (1, 2, 3)), ("instance_type", ("ml.m5.large", "ml.m5.xlarge")), ("keep", (0, 2)))
        if chance.random() < 0.2
    )
    if verb == "prune":
        return Command(verb, "", options[:0], random_faults(chance, faults))
    model = chance.choice((*MODELS, "broken"))
    return Command(verb, "" if verb == "update" and chance.random() < 0.3 else model, options, random_faults(chance, faults))


def random_faults(chance: Random, most: int) -> tuple[tuple[int, Fault], ...]:
    return tuple((chance.randint(0, 80), chance.choice(tuple(Fault))) for _ in range(chance.randint(0, most)))


def shrunk(history: History, fails: Callable[[History], bool]) -> History:
    """The smallest history found that still fails: acts left out, faults left out, turns shortened, one after the other until nothing helps."""
    while True:
        smaller = next((each for each in _smaller(history) if fails(each)), None)
        if smaller is None:
            return history
        history = smaller


def _smaller(history: History) -> Iterator[History]:
    acts = history.acts
    for index in range(len(acts)):
        yield replace(history, acts=acts[:index] + acts[index + 1 :])
    for index, act in enumerate(acts):
        for each in _simpler(act):
            yield replace(history, acts=(*acts[:index], each, *acts[index + 1 :]))
    plain = Behaviour(broken=history.behaviour.broken, failing=history.behaviour.failing)
    if history.behaviour != plain:
        yield replace(history, behaviour=plain)


def _simpler(act: Act) -> Iterator[Act]:
    if isinstance(act, Together):
        yield act.first
        yield act.second
        for length in range(len(act.turns)):
            yield replace(act, turns=act.turns[:length])
        for first in _simpler(act.first):
            if isinstance(first, Command):
                yield replace(act, first=first)
        for second in _simpler(act.second):
            if isinstance(second, Command):
                yield replace(act, second=second)
        return
    for index in range(len(act.faults)):
        yield replace(act, faults=act.faults[:index] + act.faults[index + 1 :])
    for index in range(len(act.options)):
        yield replace(act, options=act.options[:index] + act.options[index + 1 :])
