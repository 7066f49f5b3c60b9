"""The search finds what it is there for: with any one rule broken, it comes upon a history that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import pytest

from deployer.core import generations, rollout
from deployer.core.plan import Effect
from deployer.core.state import Observed
from deployer.core.strategy_options import Checks, Course
from deployer.errors import PermissionDenied, TimedOut
from deployer.verbs import lifecycle
from deployer.verbs.moves import Direction, Move
from deployer_targets.sagemaker import live, names, observe, plan, removal, steps, store, waiting
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.target import SageMaker
from tests.simulation import search
from tests.simulation.chance import random_history
from tests.simulation.histories import Command, Subject
from tests.simulation.sagemaker import OverSimulatedAws
from tests.simulation.search import (
    CHECKED,
    MANUAL,
    UPDATED,
    Tally,
    beside_a_hand,
    by_chance,
    canaries_struck,
    every_call_struck,
    one_across_another,
    one_within_another,
)


def nothing(*_: object, **__: object) -> None:
    """Instead of what a rule asks for."""


@contextmanager
def replaced(place: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """`make` gets what is there and gives what stands there instead."""
    with patch.object(place, name, make(getattr(place, name))):
        yield


def by_name(observed: Observed, keep: int) -> tuple[str, ...]:
    """What serves, and others in an order that isn't descent."""
    others = sorted(observed.records.keys() - {observed.serving})
    return (*([observed.serving] if observed.serving else []), *others)[: keep + 1]


def delete_it(step: removal.DiscardFailed, cloud: Aws, _: object) -> None:
    removal._delete_endpoint(step.name, cloud)


def record_last(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: tuple(sorted(original(*given), key=lambda step: isinstance(step, steps.WriteRecord)))


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule broken, and the search that comes upon it soonest."""

    broken: Callable[[], AbstractContextManager[object]]
    found_by: Callable[[Subject], Tally]


def by_one_client(subject: Subject) -> Tally:
    return by_chance(subject, random_history, range(500))


def by_two_clients(subject: Subject) -> Tally:
    return one_within_another(subject, 500)


def by_crossing_clients(subject: Subject) -> Tally:
    return one_across_another(subject, 2000)


def by_faults(verb: str, model: str = "", **options: int) -> Callable[[Subject], Tally]:
    """Of every call of one command, on a deployment that was updated or, for create, on none."""
    case = (() if verb == "create" else UPDATED, Command(verb, model, tuple(options.items())))
    return lambda subject: every_call_struck(subject, 1200, [case])


def by_canaries(subject: Subject) -> Tally:
    """Of every call of rollouts by steps."""
    return canaries_struck(subject, 1500)


def by_one_canary(subject: Subject) -> Tally:
    """Of every call of one that stops at its first step."""
    return every_call_struck(subject, 500, [(UPDATED, Command("update", "v3", MANUAL))])


def by_one_that_fails(subject: Subject) -> Tally:
    """Of every call of one that fails its checks, and is run again."""
    return every_call_struck(subject, 300, [(UPDATED, Command("update", "failing", CHECKED))], (Command("abort"),))


def by_a_hand(subject: Subject) -> Tally:
    """In the console, beside us."""
    return beside_a_hand(subject, 500)


def without_second_look(step: removal.Remove, config: str, cloud: Aws) -> None:
    removal._agreed(lambda: cloud.change("sagemaker", "delete_endpoint_config", EndpointConfigName=config))


def wherever_it_is(original: Callable[..., bool]) -> Callable[..., bool]:
    """The switch from whatever is in service by then."""

    def run(step: steps.PointEndpoint, cloud: Aws, progress: Any) -> bool:
        endpoint = steps.describe(step.name, cloud)
        return original(replace(step, expecting=endpoint.carried if endpoint else None), cloud, progress)

    return run


@contextmanager
def without_any_look() -> Iterator[None]:
    with patch.object(removal, "in_use", lambda *_: frozenset()), patch.object(removal.Remove, "_fence", without_second_look):
        yield


MUTANTS: dict[str, Mutant] = {
    "1 it plans without settling": Mutant(lambda: patch.object(SageMaker, "settle", nothing), by_one_client),
    "2 it doesn't read its claim": Mutant(lambda: patch.object(Aws, "check", nothing), by_two_clients),
    "3 going back takes all that it names": Mutant(
        lambda: replaced(plan, "_back", lambda back: lambda spec, wanted, seen: back(spec, wanted, replace(seen, traffic=()) if seen else None)),
        by_faults("update", "v1"),
    ),
    "4 removing doesn't look": Mutant(without_any_look, by_a_hand),
    "4 removing looks once": Mutant(lambda: patch.object(removal.Remove, "_fence", without_second_look), by_a_hand),
    "5 a lost answer is a refusal": Mutant(lambda: patch.object(steps.PointEndpoint, "_agreed", lambda *_: False), by_faults("update", "v3")),
    "6 going back deletes the endpoint": Mutant(lambda: patch.object(removal.DiscardFailed, "run", delete_it), by_one_client),
    "6 in service is success": Mutant(
        lambda: patch.object(waiting.AwaitServing, "_serves", lambda _, seen, __: seen.status == "InService"), by_one_client
    ),
    "7 a refused live change stays in the record": Mutant(lambda: patch.object(live, "_restore", nothing), by_faults("update", instance_count=3)),
    "7 a refused live change is recorded as it was asked for": Mutant(
        lambda: patch.object(generations, "as_before", lambda record, *_: record), by_faults("update", instance_count=3)
    ),
    "8 kept is not by descent": Mutant(lambda: patch.object(generations, "lineage", by_name), by_one_client),
    "8 a generation too many is kept": Mutant(
        lambda: replaced(generations, "lineage", lambda lineage: lambda seen, keep: lineage(seen, keep + 1)), by_one_client
    ),
    "8 what is recorded alone is in use": Mutant(
        lambda: replaced(generations, "in_use", lambda in_use: lambda records, _, doomed: in_use(records, (), doomed)), by_a_hand
    ),
    "8 a successor names no predecessor": Mutant(lambda: patch.object(generations, "successor", lambda record, _: record), by_one_client),
    "8 what serves is its own successor": Mutant(
        lambda: patch.object(generations, "successor", lambda record, seen: replace(record, replaces=seen.serving if seen else None)), by_one_client
    ),
    "8 a way back forgets what its record said": Mutant(lambda: patch.object(generations, "succeeded", lambda record, seen: seen), by_one_client),
    "8 the way back takes what serves": Mutant(
        lambda: patch.object(generations, "undone", lambda record, _: generations.own(record)),
        by_faults("update", "v1"),
    ),
    "8 a kept generation's data goes": Mutant(
        lambda: patch.object(generations, "belongings", lambda _, of: frozenset(map(generations.record_resource, of))), by_one_client
    ),
    "8 pruning takes all but what serves": Mutant(
        lambda: replaced(generations, "prunable", lambda prunable: lambda seen, _: prunable(seen, 0)), by_one_client
    ),
    "9 names aren't digests": Mutant(lambda: patch.object(names, "content_name", lambda name, kind, _: f"{name}-{kind}"), by_one_client),
    "10 it doesn't look once more": Mutant(
        lambda: replaced(plan, "_forward", lambda forward: lambda *given: forward(*given)[:-4]), by_crossing_clients
    ),
    "11 unfinished uploads stay": Mutant(lambda: patch.object(store, "uploads", lambda *_: []), by_one_client),
    "the switch has no precondition": Mutant(lambda: replaced(steps.PointEndpoint, "run", wherever_it_is), by_a_hand),
    "the record is written last": Mutant(lambda: replaced(plan, "_forward", record_last), by_one_client),
    "a failed candidate counts as one of before": Mutant(lambda: patch.object(generations, "given_back", lambda _, seen: seen), by_one_that_fails),
    "to give up is to go on": Mutant(
        lambda: replaced(Move, "_record", lambda record: lambda _, seen: record(Move(Direction.PROMOTE), seen)), by_canaries
    ),
    "a rollout goes by no steps": Mutant(lambda: patch.object(Course, "after", lambda *_: ()), by_one_canary),
    "a rollout forgets the pause that a killed run never told": Mutant(lambda: patch.object(lifecycle, "rests", lambda *_: False), by_one_canary),
    "no check ever fails": Mutant(lambda: patch.object(Checks, "failed", lambda *_: ""), by_one_that_fails),
    "a failed check stops the rollout where it is": Mutant(lambda: patch.object(rollout, "RolloutFailed", TimedOut), by_one_that_fails),
    "a rollout does not stop for anybody": Mutant(lambda: patch.object(Course, "manual", False), by_one_canary),
    "strays aren't looked for": Mutant(lambda: patch.object(observe, "_strays", lambda *_: {}), by_two_clients),
    "an interrupt after the switch goes back": Mutant(
        lambda: patch.object(steps.PointEndpoint, "effect", Effect.UPDATE), by_faults("create", "broken")
    ),
    "who can't see goes back": Mutant(lambda: patch.object(steps, "TargetUnavailable", PermissionDenied), by_faults("create", "broken")),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "shrunk", lambda history, _: history)
    mutant = MUTANTS[name]
    with mutant.broken():
        tally = mutant.found_by(OverSimulatedAws())
    assert tally.failure, f"not found in {tally}"


def test_what_fails_is_shrunk_to_what_matters() -> None:
    with MUTANTS["6 going back deletes the endpoint"].broken():
        tally = by_chance(OverSimulatedAws(), random_history, range(500))
    acts = [line for line in tally.failure.splitlines() if line.startswith("  ") and "act " not in line and "Behaviour" not in line]
    assert 1 <= len(acts) <= 2, tally.failure
    assert acts[-1].split()[:2] in (["update", "broken"], ["apply", "broken"], ["create", "broken"]), tally.failure
