"""The window that Azure leaves open, simulated: nothing of Resource Manager's is compared before it is changed, so between a run's look at the claim
and its change a newer run may claim the name; and the store, where the claim is, may stop answering at any call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from deployer.core.plan import Plan
from deployer.core.state import Record
from deployer.errors import TargetUnavailable
from deployer_targets.azureml import plan, removal
from deployer_targets.azureml.assets import RegisterAsset
from deployer_targets.azureml.client import AzureMlCloud
from tests.simulation.azure import OverSimulatedAzure
from tests.simulation.azure_cloud import SimulatedAzure
from tests.simulation.histories import NAME, Command, Outcome, Together, digest_named, hollow_models, run, run_together, virtual_time
from tests.simulation.wire import Sent

SERVING = (Command("create", "v1"),)
UPDATED = (*SERVING, Command("update", "v2"))
STARTS = (SERVING, UPDATED)
BUDGET = int(os.environ.get("DEPLOYER_SIMULATION_HISTORIES", "10000")) // 40
RIVALS = (
    Command("apply", "v1"),
    Command("apply", "v3"),
    Command("update", "broken"),
    Command("update", "", (("instance_count", 2),)),
    Command("delete"),
)
TOGETHER = ("DELETE blob", "DELETE generations")
TO_THE_END, NEVER = 1_000_000, float("inf")
BROKEN = frozenset({digest_named("broken").removeprefix("sha256:")[:10]})


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two clients: the first stands still before its call of a number, while the second runs, to its own call of a number; then the first ends, and
    the second. `outage`: the first has no store from where it stands still.
    """

    start: tuple[Command, ...]
    first: Command
    second: Command
    turns: tuple[int, int]
    outage: bool = False


def within(*, outage: bool = False) -> Iterator[Meeting]:
    """The second within the first, at each of its calls."""
    for start in STARTS:
        base = begun(start)
        for first in RIVALS:
            calls = alone(first, base.fork()).wire.calls
            for second in RIVALS:
                yield from (Meeting(start, first, second, (call, TO_THE_END), outage) for call in range(calls))


def across(seed: int = 0) -> Iterator[Meeting]:
    """The one across the other, by chance."""
    chance = Random(seed)
    while True:
        turns = (chance.randint(10, 55), chance.randint(10, 45))
        yield Meeting(chance.choice(STARTS), chance.choice(RIVALS), chance.choice(RIVALS), turns)


def begun(start: tuple[Command, ...]) -> SimulatedAzure:
    cloud = SimulatedAzure(broken=BROKEN)
    for number, command in enumerate(start):
        assert alone(command, cloud, f"before-{number}").done
    return cloud


def alone(command: Command, cloud: SimulatedAzure, actor: str = "alone") -> Outcome:
    subject = OverSimulatedAzure()
    with virtual_time(cloud), hollow_models(), subject.in_place():  # type: ignore[arg-type]
        return run(subject, command, cloud, actor)  # type: ignore[arg-type]


def problems(meeting: Meeting, base: SimulatedAzure) -> Iterator[str]:
    """What a meeting, and a third client after it, leave wrong."""
    cloud = base.fork()
    subject = OverSimulatedAzure({"first": meeting.turns[0]} if meeting.outage else {})
    with virtual_time(cloud), hollow_models(), subject.in_place():  # type: ignore[arg-type]
        both = Together(meeting.first, meeting.second, meeting.turns)
        first, second = run_together(subject, both, cloud, ("first", "second"))  # type: ignore[arg-type]
    yield from blind(first, meeting) if meeting.outage else ()
    late = late_changes(first, second)
    if len(late) > 1:
        yield f"the first had lost the name, and changed more than one thing: {[sent.api for sent in late]}"
    if late and looked(first, late[0]) > claimed(second):
        yield f"the first saw that it had lost the name, and did {late[0].api} all the same"
    after = [sent for sent in first.wire.sent if claimed(first) < claimed(second) < sent.time and touches(sent)]
    newest = max((each for each in (first, second) if claimed(each) < NEVER), key=claimed, default=None)
    if newest and newest.done and (not after or after[-1].time < switched(newest)):
        yield from as_wanted(newest.command, cloud.rested(), astray=bool(after))
    for last in (Command("apply", "v2"), Command("delete")):
        if not (outcome := alone(last, cloud, f"last to {last}")).done:
            yield f"{last} ended by {outcome.error} after them"
        yield from as_wanted(last, cloud.rested(), astray=bool(after) and last.verb != "delete")


def blind(first: Outcome, meeting: Meeting) -> Iterator[str]:
    """Who can't read the claim changes nothing any more, but for what it had just read the claim for."""
    changes = [sent.api for sent in first.wire.sent[meeting.turns[0] + 1 :] if for_holders(sent)]
    if changes:
        yield f"without a store it did {changes}"


def late_changes(first: Outcome, second: Outcome) -> list[Sent]:
    """What the first changed after the second had claimed the name over it. Blobs that go together are one change: the claim is read before them."""
    taken = claimed(second)
    own = [sent.time for sent in first.wire.sent if claims(sent)]
    late = [sent for sent in first.wire.sent if own and own[-1] < taken < sent.time and for_holders(sent)]
    return [sent for before, sent in zip([None, *late], late, strict=False) if before is None or sent.api != before.api or sent.api not in TOGETHER]


def claimed(outcome: Outcome) -> float:
    """When it claimed the name; never, if it didn't."""
    return max((float(sent.time) for sent in outcome.wire.sent if claims(sent)), default=NEVER)


def switched(outcome: Outcome) -> float:
    """When it changed the endpoint last; before that its second look at everything is still to come."""
    return max((float(sent.time) for sent in outcome.wire.sent if sent.api.endswith("onlineEndpoints") and touches(sent)), default=0.0)


def claims(sent: Sent) -> bool:
    return sent.api == "PUT claim"


def looked(outcome: Outcome, before: Sent) -> float:
    """When it looked at the claim last before a change."""
    return max((float(sent.time) for sent in outcome.wire.sent if sent.api == "GET claim" and sent.time < before.time), default=0.0)


def for_holders(sent: Sent) -> bool:
    """Whether only who holds the name may send it: any change but the claim itself, and files, which are named by their content."""
    return touches(sent) and sent.api not in ("PUT claim", "PUT blob", "PUT history.json")


def touches(sent: Sent) -> bool:
    return sent.api.startswith(("PUT", "DELETE"))


def as_wanted(command: Command, cloud: SimulatedAzure, *, astray: bool = False) -> Iterator[str]:
    """What the last who had the name wanted is so, whole, and nothing else is left. `astray`: but for what is registered without a record."""
    kept = {name for name, told in cloud.assets.items() if not told.get("isArchived")}
    if command.verb == "delete":
        yield from (f"left after delete: {each}" for each in sorted([*cloud.blobs, *cloud.endpoints, *kept]))
        return
    endpoint = cloud.endpoints.get(NAME)
    if endpoint is None or len(endpoint.traffic) != 1:
        yield f"{dict(endpoint.traffic) if endpoint else 'no endpoint'} serves"
        return
    if gap := cloud.missing():
        yield f"what serves is not whole: {gap}"
    (called,) = endpoint.traffic
    records = {name: Record.from_json(body) for name, body in cloud.blobs.items() if "/generations/" in name}
    serving = next((record for record in records.values() if f"g{record.generation}" == called), None)
    if serving is None:
        yield f"{called} serves, and has no record"
    elif command.model and serving.model.digest != digest_named(command.model):
        yield f"{called} serves, which is not {command.model}"
    yield from (f"left over: deployment {each}" for each in endpoint.inside.keys() - {f"g{record.generation}" for record in records.values()})
    named = {f"{each.kind}s/{each.name.replace(':', '/versions/')}" for record in records.values() for each in record.resources}
    yield from (f"left over: {each}" for each in sorted(kept - named) if not astray)


def spread(every: Iterator[Meeting], most: int) -> list[Meeting]:
    """So many of them, evenly."""
    found = list(every)
    return found[:: max(1, len(found) // most)]


def found_in(meetings: Iterable[Meeting]) -> str:
    """The first meeting with a problem, and what; empty where there is none."""
    bases = {start: begun(start) for start in STARTS}
    for meeting in meetings:
        if wrong := list(problems(meeting, bases[meeting.start])):
            return f"{meeting}: " + "; ".join(wrong)
    return ""


def test_an_overtaken_run_changes_one_thing_at_most_and_the_newer_one_gets_its_way() -> None:
    assert not found_in(spread(within(), BUDGET))


def test_so_it_is_where_one_comes_across_the_other() -> None:
    assert not found_in(islice(across(), BUDGET))


def test_who_has_no_store_changes_nothing_any_more() -> None:
    assert not found_in(spread(within(outage=True), BUDGET))


def nothing(*_: object) -> None:
    """Instead of what a rule asks for."""


def as_if_held(check: Callable[[AzureMlCloud], None]) -> Callable[[AzureMlCloud], None]:
    def checked(cloud: AzureMlCloud) -> None:
        with suppress(TargetUnavailable):
            check(cloud)

    return checked


def once(make: Callable[..., Plan[AzureMlCloud]]) -> Callable[..., Plan[AzureMlCloud]]:
    def planned(*given: Any) -> Plan[AzureMlCloud]:
        found = make(*given)
        return replace(found, forward=tuple(step for number, step in enumerate(found.forward) if step not in found.forward[:number]))

    return planned


def unclaimed(put: Callable[..., bool]) -> Callable[..., bool]:
    return lambda step, path, cloud: put(step, path, replace(cloud, held=None))


MUTANTS: Mapping[str, tuple[Any, str, Callable[[Any], Any], Callable[[], Iterable[Meeting]]]] = {
    "the claim isn't read": (AzureMlCloud, "check", lambda _: nothing, within),
    "a store that doesn't answer agrees": (AzureMlCloud, "check", as_if_held, lambda: within(outage=True)),
    "it doesn't look once more": (plan, "plan", once, lambda: across(1)),
    "assets are registered without the claim": (RegisterAsset, "_put", unclaimed, within),
    "a delete puts away only what is recorded": (removal, "archive", lambda archive: lambda *given, **_: archive(*given), within),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_found(name: str) -> None:
    place, what, broken, search = MUTANTS[name]
    with patch.object(place, what, broken(getattr(place, what))):
        assert found_in(islice(search(), 2000)), "not found"
