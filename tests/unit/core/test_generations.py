"""Who lives, who is kept, what goes: on states that no simulated cloud shows (shares, a stranger's generation) and those that it does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployer.core.generations import (
    ALL,
    alive,
    alone,
    as_before,
    in_service,
    in_use,
    lineage,
    prunable,
    record_resource,
    stays,
    succeeded,
    successor,
    undone,
)
from deployer.core.state import DeploymentName, Digest, ModelFacts, Observed, Record, Resource, Share, Status

DATA = Resource("object", "data")
"""Of all generations."""


def record(generation: str, replaces: str | None = None, **options: object) -> Record:
    facts = ModelFacts(uri=generation, digest=Digest("sha256:00"))
    resources = (DATA, own(generation))
    return Record(DeploymentName("churn"), generation, facts, "image", options, Digest("sha256:01"), resources, replaces)


def own(generation: str) -> Resource:
    return Resource("model", generation)


def whole(*of: str) -> frozenset[Resource]:
    """What belongs to these, and to no other generation."""
    return frozenset({DATA, *map(own, of), *map(record_resource, of)})


def observed(*shares: Share | str, records: tuple[Record, ...], incoming: str | None = None) -> Observed:
    traffic = tuple(each if isinstance(each, Share) else Share(each) for each in shares)
    there = whole(*(each.generation for each in records))
    return Observed(DeploymentName("churn"), Status.READY, traffic, incoming, {each.generation: each for each in records}, there)


LINE = (record("g1"), record("g2", "g1"), record("failed", "g2"), record("g4", "g2"))


def test_lineage_follows_what_each_replaced_and_not_time() -> None:
    seen = observed("g4", records=LINE)
    assert [lineage(seen, keep) for keep in (-1, 0, 1, 9)] == [(), ("g4",), ("g4", "g2"), ("g4", "g2", "g1")]


def test_lineage_of_a_way_back_ends() -> None:
    assert lineage(observed("g1", records=(record("g1", "g2"), record("g2", "g1"))), ALL) == ("g1", "g2")


def test_lineage_names_a_predecessor_whose_record_is_gone_and_ends_there() -> None:
    assert lineage(observed("g2", records=(record("g2", "g1"),)), 9) == ("g2", "g1")
    assert lineage(observed(records=(record("g1"),)), 9) == ()


def test_every_share_of_the_traffic_is_alive_and_so_is_what_comes_in() -> None:
    canary = observed(Share("g2", 90), Share("g4", 10), records=LINE, incoming="failed")
    assert alive(canary) == {"g2", "g4", "failed"}
    assert alive(None) == alive(observed(records=LINE)) == frozenset()


def test_what_is_alive_stays_whatever_is_kept() -> None:
    canary = observed(Share("g2", 90), Share("g4", 10), records=LINE)
    assert stays(canary, 0) == whole("g2", "g4")
    assert stays(canary, 1) == whole("g1", "g2", "g4")
    assert prunable(canary, 0) == whole("g1", "failed") - {DATA}
    assert undone(record("g4", "g2"), canary) == frozenset()
    assert undone(record("g5"), canary) == whole("g5") - {DATA}


def test_the_way_back_leaves_every_ancestor_however_few_are_kept() -> None:
    assert undone(record("g1", "g4"), observed("g4", records=LINE)) == frozenset()


def test_in_service_is_who_takes_all_the_traffic_and_is_whole() -> None:
    seen = observed("g4", records=LINE)
    assert in_service(LINE[3], seen)
    assert not in_service(LINE[3], replace(seen, resources=seen.resources - {own("g4")}))
    assert not any(
        in_service(LINE[3], each) for each in (None, replace(seen, incoming="g1"), replace(seen, traffic=(Share("g4", 90), Share("g2", 10))))
    )


def test_what_is_left_of_a_deployment_without_its_only_generation_is_nothing() -> None:
    claim, first = Resource("claim", "churn"), record("g1")
    half = Observed(DeploymentName("churn"), Status.FAILED, records={"g1": first}, resources=whole("g1") | {claim})
    assert alone(first, None, frozenset())
    assert alone(first, half, frozenset({claim}))
    assert not alone(record("g5"), half, frozenset({claim}))
    assert not alone(record("g5"), observed("g4", records=LINE), whole("g1", "g2", "g4", "failed"))


@pytest.mark.parametrize(
    ("seen", "wanted", "replaces"),
    [
        (None, "g5", None),
        (observed(records=LINE), "g5", None),
        (observed("g4", records=LINE), "g5", "g4"),
        (observed("g4", records=LINE), "g4", "g2"),
        (observed("g4", records=LINE), "g1", "g4"),
        (observed(Share("g2", 90), Share("g4", 10), records=LINE), "g5", "g2"),
        (observed(Share("g2", 90), Share("g4", 10), records=LINE), "g4", "g2"),
        (observed(Share("g2", 10), Share("g4", 90), records=LINE), "g2", "g1"),
        (observed("theirs", records=()), "g1", "theirs"),
    ],
    ids=["first", "nothing serves", "update", "the same", "a way back", "beside a canary", "promoted", "aborted", "taken over"],
)
def test_a_successor_replaces_what_serves_most_and_what_takes_traffic_keeps_its_own(seen: Observed | None, wanted: str, replaces: str | None) -> None:
    assert successor(record(wanted), seen).replaces == replaces


def test_after_an_update_the_new_one_and_as_many_before_as_are_kept_stay() -> None:
    seen = observed("g4", records=LINE)
    after = succeeded(successor(record("g5"), seen), seen)
    assert [stays(after, keep) for keep in (0, 1, 2)] == [whole("g5"), whole("g5", "g4"), whole("g5", "g4", "g2")]
    assert stays(succeeded(record("g1"), None), 1) == whole("g1")


def test_after_a_way_back_descent_is_told_by_the_new_record_alone() -> None:
    seen = observed("g2", records=(record("g1"), record("g2", "g1")))
    after = succeeded(successor(record("g1"), seen), seen)
    assert lineage(after, ALL) == ("g1", "g2")


def test_what_is_pruned_is_neither_alive_nor_among_the_kept() -> None:
    seen = observed("g4", records=LINE)
    assert [prunable(seen, keep) for keep in (0, 1, ALL)] == [
        whole(*gone) - {DATA} for gone in (("g1", "g2", "failed"), ("g1", "failed"), ("failed",))
    ]


def test_what_is_alive_or_stays_recorded_is_in_use() -> None:
    records = {each.generation: each for each in LINE}
    assert in_use(records, ["g4"], whole("g4", "failed")) == whole("g1", "g2", "g4")
    assert in_use({}, ["theirs"], whole("g1")) == {record_resource("theirs")}


def test_a_refused_live_change_leaves_the_values_that_serve() -> None:
    seen = observed("g1", records=(record("g1", size="small", count=1),))
    told = as_before(record("g2", size="large", count=3), seen, ["count", "unknown"])
    assert told is not None
    assert told.options == {"size": "large", "count": 1}
    assert as_before(record("g2"), observed(records=()), ["count"]) is None
