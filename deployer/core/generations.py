"""Which generations of a deployment live, which are kept, and what may go: the rules that every target plans by. Pure.

A deployment is a pointer over generations: the traffic's shares lead to those that serve, and a record stands beside each, naming what it is made
of and the generation that it replaced. What a rule here says is held by the simulation, over every fault and rival.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployer.core.state import Observed, Record, Resource, Share, Status

if TYPE_CHECKING:
    from deployer.core.options import TargetConfig  # pydantic, which no completion of a command line waits for

RECORD = "record"
"""The kind of a record as a resource; its name is the generation's."""

ALL = sys.maxsize
"""How many generations are kept by who keeps all."""


def alive(observed: Observed | None) -> frozenset[str]:
    """Those that take traffic, whatever their share, and the one that the cloud is rolling to."""
    if observed is None:
        return frozenset()
    coming = {observed.incoming} if observed.incoming else frozenset()
    return frozenset(share.generation for share in observed.traffic) | coming


def lineage(observed: Observed, keep: int) -> tuple[str, ...]:
    """The generation that serves most and `keep` before it, by descent: a failed leftover is nobody's predecessor."""
    found: list[str] = []
    generation = observed.serving
    while generation is not None and generation not in found and len(found) <= keep:
        found.append(generation)
        record = observed.records.get(generation)
        generation = record.replaces if record else None
    return tuple(found)


def depth(config: TargetConfig) -> int:
    """How many generations before the one in service the options keep."""
    return ALL if config.archive else config.keep


def stays(observed: Observed | None, keep: int) -> frozenset[Resource]:
    """What belongs to the generations that are alive, or kept by descent."""
    if observed is None:
        return frozenset()
    return belongings(observed.records, alive(observed).union(lineage(observed, keep)))


def belongings(records: Mapping[str, Record], generations: Iterable[str]) -> frozenset[Resource]:
    """The records of these generations, and what they name."""
    return frozenset(resource for each in generations for resource in (record_resource(each), *(records[each].resources if each in records else ())))


def own(record: Record) -> frozenset[Resource]:
    """What one generation is made of, its record included."""
    return belongings({record.generation: record}, [record.generation])


def record_resource(generation: str) -> Resource:
    """The record of a generation, as a resource."""
    return Resource(RECORD, generation)


def successor(record: Record, observed: Observed | None) -> Record:
    """The record, naming the generation that it takes over from; one that takes traffic already keeps the predecessor that it has."""
    if observed is None or observed.serving is None:
        return record
    known = observed.records.get(record.generation)
    if known is not None and any(share.generation == record.generation for share in observed.traffic):
        return record.replacing(known.replaces)
    return record.replacing(observed.serving)


def succeeded(record: Record, observed: Observed | None) -> Observed:
    """What will be there once the generation of this record, a `successor`, takes all the traffic, and nothing has been removed yet."""
    before = observed or Observed(record.deployment, Status.READY, endpoint=record.endpoint)
    return replace(
        before,
        traffic=(Share(record.generation),),
        incoming=None,
        records={**before.records, record.generation: record},
        resources=before.resources | own(record),
    )


def in_service(record: Record, observed: Observed | None) -> bool:
    """Whether this generation alone is alive, and all that it is made of is there."""
    return observed is not None and alive(observed) == {record.generation} and own(record) <= observed.resources


def as_before(record: Record, observed: Observed | None, live: Iterable[str]) -> Record | None:
    """The record with the values of live options that hold should their change be refused: those of what serves now. None where nothing does."""
    serving = observed.record if observed else None
    if serving is None:
        return None
    return replace(record, options={**record.options, **{name: serving.options[name] for name in live if name in serving.options}})


def undone(record: Record, observed: Observed | None) -> frozenset[Resource]:
    """What the way back removes: what only this generation uses, and none that was alive or an ancestor before."""
    return own(record) - stays(observed, ALL)


def given_back(record: Record, observed: Observed | None) -> Observed | None:
    """What will be there once this generation, a candidate, has given back its share of the traffic."""
    if observed is None or observed.candidate != record.generation:
        return observed
    return replace(observed, traffic=observed.traffic[:1], incoming=None)


def alone(record: Record, observed: Observed | None, apart: frozenset[Resource]) -> bool:
    """Whether nothing of the deployment, `apart` from the pointer and the claim, is left where the way back has removed this generation."""
    return observed is None or not (observed.traffic or observed.resources - own(record) - apart)


@dataclass(frozen=True, slots=True)
class Succession:
    """A generation that is to take over, held against what is there: what a plan goes by.

    Attributes:
        record: of the generation, as it is to be; `earlier`, as it is now.
        whole: it is in service already, alone, and all of it is there.
        keep: what may stay once it has taken over.
        undone: what goes where it doesn't come to serve.
    """

    record: Record
    earlier: Record | None
    whole: bool
    keep: frozenset[Resource]
    undone: frozenset[Resource]


def succession(record: Record, observed: Observed | None, keep: int, pointer: Resource, beside: frozenset[Resource]) -> Succession:
    """The succession of a record that names no predecessor yet. What is `beside` the generations is the deployment's: claim, history."""
    apart = beside | {pointer}
    record = successor(record, observed)
    gone = undone(record, given_back(record, observed)) | (beside if alone(record, observed, apart) else frozenset())
    return Succession(
        record,
        observed.records.get(record.generation) if observed else None,
        in_service(record, observed),
        stays(succeeded(record, observed), keep) | apart,
        gone,
    )


def in_use(records: Mapping[str, Record], living: Iterable[str], doomed: frozenset[Resource]) -> frozenset[Resource]:
    """What a removal may not touch: what belongs to a generation that is alive, or whose record isn't doomed itself."""
    return belongings(records, {*living, *(each for each in records if record_resource(each) not in doomed)})


def removable(
    observed: Observed, pointer: Resource, resources: frozenset[Resource] = frozenset(), *, beyond: frozenset[Resource] | None = None
) -> frozenset[Resource]:
    """What a removal of these may take as things stand: what is there and no generation needs, but the pointer. `beyond`: all but these instead."""
    doomed = resources if beyond is None else observed.resources - beyond
    return (doomed & observed.resources) - in_use(observed.records, alive(observed), doomed) - {pointer}


def prunable(observed: Observed, keep: int) -> frozenset[Resource]:
    """All that belongs to none that is alive, or among the `keep` before the one in service; the pointer itself and the claim are the target's to
    spare. Asked where a recorded generation serves and none is on its way: no descent is known otherwise.
    """
    return observed.resources - stays(observed, keep)
