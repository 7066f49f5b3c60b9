"""Digests, generations, records and what is told of a deployment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deployer.core.state import (
    DeploymentName,
    Digest,
    Generation,
    ModelFacts,
    Observed,
    PackagedModel,
    Provenance,
    Record,
    Resource,
    Share,
    Status,
    digest_of,
    short,
)

NAME = DeploymentName("churn")
MODEL = ModelFacts(
    uri="models:/größe/3",
    digest=digest_of("model"),
    size=12,
    framework="sklearn 1.9.1",
    python_version="3.11.7",
    requirements=("numpy==2.1", "sklearn"),
    signature={"inputs": "[]", "outputs": None},
    registered_name="größe",
    version="3",
    run_id="r1",
)


def record(generation: str, replaces: str | None = None, *resources: Resource) -> Record:
    return Record(NAME, generation, MODEL, "scoring:1", {"count": 2, "tags": {"ключ": "値"}}, digest_of([]), resources, replaces)


def observed(serving: str | None, *records: Record) -> Observed:
    traffic = (Share(serving),) if serving else ()
    return Observed(NAME, Status.READY, traffic, records={each.generation: each for each in records})


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])
    assert digest_of("ü") != digest_of("u")


def test_a_short_digest_is_ten_hex_digits() -> None:
    assert short(digest_of(1)) == short(digest_of(1).removeprefix("sha256:"))
    assert len(short(digest_of(1))) == 10


def test_the_same_three_give_the_same_generation_and_any_other_another() -> None:
    one = Generation(Digest("a"), Digest("b"), Digest("c"))
    assert one.id == Generation(Digest("a"), Digest("b"), Digest("c")).id
    others = {replace(one, model=Digest("x")).id, replace(one, image=Digest("x")).id, replace(one, revision=Digest("x")).id}
    assert len({one.id, *others}) == 4


def test_a_record_comes_back_as_it_was() -> None:
    made = replace(
        record("g2", "g1", Resource("model", "churn-1"), Resource("object", "s3://bucket/größe")),
        secrets="f00",
        provenance=Provenance("ann", "https://ci/1", "abc", "2026-11-21T10:00:00Z", "0.1.0"),
    )
    assert Record.from_json(made.to_json()) == made
    assert Record.from_json(made.to_json().encode()) == made


def test_a_record_of_a_later_version_is_read_without_what_is_unknown() -> None:
    made = record("g2", "g1", Resource("model", "churn-1"))
    document = json.loads(made.to_json())
    document |= {"format": 2, "canary": {"percent": 10}}
    document["model"]["license"] = "MIT"
    document["provenance"]["approved_by"] = "bob"
    assert Record.from_json(json.dumps(document)) == made


def test_a_record_of_an_earlier_version_is_read_without_what_it_lacked() -> None:
    document = json.loads(record("g1").to_json())
    for key in ("provenance", "secrets", "replaces"):
        del document[key]
    del document["model"]["run_id"]
    assert Record.from_json(json.dumps(document)) == replace(record("g1"), model=replace(MODEL, run_id=""))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"text"', '{"model": {}}'])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Record.from_json(text)


def test_the_same_record_is_the_same_text() -> None:
    assert record("g1").to_json() == record("g1").to_json()
    assert list(json.loads(record("g1").to_json())) == sorted(json.loads(record("g1").to_json()))


def test_a_record_replaces_another_but_never_itself() -> None:
    assert record("g2").replacing("g1").replaces == "g1"
    assert record("g2", "g1").replacing("g2").replaces == "g1"
    assert record("g2", "g1").replacing(None).replaces is None


def test_who_serves_is_who_has_most_of_the_traffic() -> None:
    canary = replace(observed("g1", record("g1"), record("g2")), traffic=(Share("g1", 90), Share("g2", 10)))
    assert canary.serving == "g1"
    assert canary.record is not None
    assert canary.record.generation == "g1"
    assert observed(None).serving is None
    assert observed("g1").record is None


def test_a_model_is_known_by_its_digest_with_or_without_files() -> None:
    assert PackagedModel(MODEL).digest == PackagedModel(MODEL, Path("/models/3")).digest == MODEL.digest


def test_a_resource_reads_as_kind_and_name() -> None:
    assert str(Resource("endpoint-config", "churn-1")) == "endpoint-config/churn-1"
    assert sorted([Resource("model", "b"), Resource("config", "z"), Resource("model", "a")])[0].kind == "config"
