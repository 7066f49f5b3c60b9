"""The search finds what it is there for: with any one rule broken, it comes upon a history that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from deployer import engine
from deployer.state import Observed
from deployer_targets.sagemaker import live, names, observe, plan, removal, steps, store, waiting
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.target import SageMaker
from tests.simulation import search
from tests.simulation.chance import random_history, random_meeting
from tests.simulation.sagemaker import OverSimulatedAws
from tests.simulation.search import Tally, by_chance, every_call_struck, one_within_another


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


def refuse(_: steps.PointEndpoint, __: Aws, refusal: Exception) -> None:
    raise refusal


def record_last(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: tuple(sorted(original(*given), key=lambda step: isinstance(step, steps.WriteRecord)))


MUTANTS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "1 it plans without settling": lambda: patch.object(SageMaker, "settle", nothing),
    "2 it doesn't read its claim": lambda: patch.object(Aws, "check", nothing),
    "3 going back takes all that it names": lambda: replaced(
        plan, "_back", lambda back: lambda spec, wanted, seen: back(spec, wanted, replace(seen, traffic=()) if seen else None)
    ),
    "4 removing doesn't look": lambda: patch.object(removal, "in_use", lambda *_: frozenset()),
    "5 a lost answer is a refusal": lambda: patch.object(steps.PointEndpoint, "_agreed_or_raise", refuse),
    "6 going back deletes the endpoint": lambda: patch.object(removal.DiscardFailed, "run", delete_it),
    "6 in service is success": lambda: patch.object(waiting.AwaitServing, "_serves", lambda _, seen, __: seen.status == "InService"),
    "7 a refused live change stays in the record": lambda: patch.object(live, "_restore", nothing),
    "8 kept is not by descent": lambda: patch.object(Observed, "lineage", by_name),
    "9 names aren't digests": lambda: patch.object(names, "content_name", lambda name, kind, _: f"{name}-{kind}"),
    "10 it doesn't look once more": lambda: replaced(plan, "_forward", lambda forward: lambda *given: forward(*given)[:-4]),
    "11 unfinished uploads stay": lambda: patch.object(store, "uploads", lambda *_: []),
    "the record is written last": lambda: replaced(plan, "_forward", record_last),
    "strays aren't looked for": lambda: patch.object(observe, "_strays", lambda *_: frozenset()),
    "an interrupt after the switch goes back": lambda: patch.object(engine, "switches", lambda _: False),
}
