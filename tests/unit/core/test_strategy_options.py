"""How a strategy is written: in each form the same, refused in words where it makes no sense, and whole where another takes its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deployer.core.options import Takes
from deployer.core.rollout import refuse_what_is_not_there
from deployer.core.state import DeploymentName, Digest, ModelFacts, Record
from deployer.core.strategy_options import Checks, Course
from deployer.core.target import TargetUri
from deployer.core.traffic import Measured, Strategy
from deployer.errors import ConfigInvalid
from deployer.settings.config_file import ConfigFile
from deployer.settings.precedence import Options as Given
from deployer.settings.precedence import from_pairs, gather
from deployer_targets.local.config import LocalConfig
from deployer_targets.local.target import Local
from docs.examples.memory_target import Memory, Options

CANARY = Course(Strategy.CANARY, (10, 50), 600.0, Checks(error_rate="1%", latency_p99="200ms"))
PARTS = {"steps": [10, 50], "pause": "10m", "checks": {"error_rate": "1%", "latency_p99": "200ms"}}


def course(**options: Any) -> Course:
    return Options.parse(options, target="memory").course


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "canary", "steps": "10,50", "pause": "10m", "checks": "{error_rate: 1%, latency_p99: 200ms}"},
        {"strategy": "canary", "steps": "10%, 50%", "pause": "600s", "checks": '{"error_rate": 0.01, "latency_p99": "0.2s"}'},
        {"strategy": "canary", **PARTS},
        {"strategy": "canary", **PARTS, "steps": (10, 50, 100), "pause": 600},
        {"strategy": {"canary": PARTS}},
        {"strategy": json.dumps({"canary": PARTS})},
        {"strategy": {"canary": {**PARTS, "pause": "1m"}}, "pause": "10m"},
    ],
)
def test_each_form_says_the_same(options: dict[str, Any]) -> None:
    found = course(**options)
    assert (found.strategy, found.steps, found.pause) == (CANARY.strategy, CANARY.steps, CANARY.pause)
    assert (found.checks.latencies, found.checks.error_rate) == ({99: 0.2}, "1%")


def test_what_is_not_said_has_a_default() -> None:
    assert course() == Course(Strategy.ALL_AT_ONCE)
    assert (course(strategy="canary").steps, course(strategy="canary").pause) == ((10, 50), 300.0)
    assert (course(strategy="blue_green").steps, course(strategy="blue_green").manual) == ((100,), True)
    assert (course(strategy="rolling").batch, course(strategy="rolling").splits) == ("25%", False)
    assert (course(strategy="shadow").steps, course(strategy="shadow").mirror, course(strategy="shadow").manual) == ((0,), 10, True)
    assert course(strategy={"shadow": {"mirror": "20%", "pause": "1h"}}) == Course(Strategy.SHADOW, (0,), 3600.0, mirror=20)
    assert (course(strategy={"canary": None}).manual, course(strategy="canary", pause="manual").manual) == (False, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "canari"}, "must be 'all_at_once', 'blue_green', 'rolling', 'canary' or 'shadow'"),
        ({"strategy": "canary", "steps": "50,10"}, "larger than the one before"),
        ({"strategy": "canary", "steps": "10,10"}, "larger than the one before"),
        ({"strategy": "canary", "steps": "0,50"}, "from 1 to 99"),
        ({"strategy": "canary", "steps": "100"}, "from 1 to 99"),
        ({"strategy": "canary", "steps": "ten"}, "from 1 to 99"),
        ({"strategy": "canary", "steps": [True]}, "from 1 to 99"),
        ({"strategy": "canary", "pause": "10"}, "write a time with its unit (30s, 10m, 1h), or manual"),
        ({"strategy": "canary", "pause": "-1s"}, "write a time with its unit"),
        ({"strategy": "canary", "checks": {"error_rate": "200%"}}, "write it in percent"),
        ({"strategy": "canary", "checks": {"latency_p99": "200"}}, "write it with its unit"),
        ({"strategy": "canary", "checks": {"latency": "1s"}}, "checks.latency: is not known"),
        ({"strategy": "canary", "checks": {"min_requests": 0}}, "checks.min_requests"),
        ({"strategy": "rolling", "batch": "0"}, "a number of instances"),
        ({"strategy": "all_at_once", "steps": "10"}, "steps goes with strategy canary, not with all_at_once"),
        ({"strategy": "canary", "batch": "1"}, "batch goes with strategy rolling, not with canary"),
        ({"strategy": "canary", "allow_gap": "true"}, "allow_gap goes with strategy all_at_once"),
        ({"strategy": "rolling", "checks": {"error_rate": "1%"}}, "blue_green or canary"),
        ({"strategy": "rolling", "pause": "manual"}, "pause is a time"),
        ({"strategy": {"canary": {"stops": [1]}}}, "stops is no part of a strategy"),
        ({"strategy": {"canary": {}, "rolling": {}}}, "names one strategy"),
        ({"strategy": {"canary": [10, 50]}}, "no part of a strategy"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigInvalid, match=re.escape(words)):
        course(**options)


def test_a_file_says_it_nested_and_each_part_knows_its_line(tmp_path: Path) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text("targets:\n  memory:\n    tags: {a: b}\n    strategy:\n      canary: {steps: [10, 50], pause: 10m}\n")
    read = ConfigFile.read(file)
    found = gather(Memory(), TargetUri("memory"), from_pairs(["pause=manual"]), file=read, environ={})
    options = Options.parse(found.all.values, found.all.origins, target="memory")
    assert (options.course.strategy, options.course.steps, options.course.manual) == (Strategy.CANARY, (10, 50), True)
    assert (options.origin("steps"), options.origin("pause")) == (f"{file}:4", "command line")


def test_another_strategy_leaves_no_part_of_the_farther_one() -> None:
    farther = Given.of({"strategy": "canary", "steps": "10,50", "checks": {"error_rate": "1%"}, "keep": 3}, "churn.yaml:3")
    found = Given.of({"strategy": "all_at_once"}, "command line").over(farther)
    assert found.values == {"strategy": "all_at_once", "keep": 3}
    assert Given.of({"pause": "1m"}, "command line").over(farther).values["steps"] == "10,50"


def recorded(**options: Any) -> Record:
    config = Options.parse(options, target="memory")
    made = Record(DeploymentName("churn"), "g1", ModelFacts("v1", Digest("sha256:0")), "image", config.recorded(), config.revision(), ())
    return Record.from_json(made.to_json())


def test_an_update_keeps_the_strategy_unless_it_names_another() -> None:
    before = recorded(strategy="canary", **PARTS)
    assert before.revision == recorded().revision, "a strategy makes no generation"

    def updated(**named: Any) -> Course:
        return Options.parse(named, target="memory").completed(before, named, target="memory").course

    assert updated() == updated(instance_type="large")
    assert (updated().steps, updated().pause, updated().checks.latencies) == ((10, 50), 600.0, {99: 0.2})
    assert (updated(pause="manual").steps, updated(pause="manual").manual) == ((10, 50), True)
    assert updated(strategy="all_at_once") == Course()
    assert updated(strategy="blue_green").checks == Checks()


def test_every_target_has_the_same_options() -> None:
    named = {name for name, mark in LocalConfig.marks().items() if mark.takes is Takes.ROLLOUT}
    assert named == {"strategy", "steps", "pause", "checks", "batch", "allow_gap", "mirror"}


class Plain:
    """A target that does nothing with traffic but switch it."""


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        (Plain(), {"strategy": "canary"}, "plain can't do strategy canary: it has all_at_once"),
        (Plain(), {"allow_gap": True}, "plain has no allow_gap for strategy all_at_once"),
        (Memory(), {"strategy": "rolling"}, "plain can't do strategy rolling: it has all_at_once, blue_green, canary"),
        (Memory(), {"strategy": "canary", "checks": {"alarms": ["on-call"]}}, "plain has no alarms for strategy canary"),
        (Memory(), {"steps": "10"}, "steps goes with strategy canary, not with all_at_once"),
    ],
)
def test_what_a_target_has_not_is_refused_in_words(target: object, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words):
        refuse_what_is_not_there(target, "plain", Options.parse(options, target="plain"))


def test_what_a_target_has_passes() -> None:
    for target in (Plain(), Memory(), Local()):
        refuse_what_is_not_there(target, "plain", Options.parse({"strategy": "all_at_once"}, target="plain"))
    refuse_what_is_not_there(Memory(), "memory", Options.parse({"strategy": "canary", **PARTS}, target="memory"))


def test_checks_judge_by_enough_requests_alone() -> None:
    checks = Checks(error_rate="1%", latency_p90="100ms", min_requests=4)
    assert not checks.failed(Measured.of([(False, 9.0)] * 3))
    assert not checks.enough(Measured.of([(True, 0.1)] * 3))
    assert not checks.failed(Measured.of([(True, 0.1)] * 4))
    assert checks.failed(Measured.of([(True, 0.05)] * 198 + [(False, 0.05)] * 3)) == "error_rate is 1.49%, and the limit is 1% (3 of 201 requests)"
    assert not checks.failed(Measured.of([(True, 0.05)] * 9 + [(True, 9.0)]))
    assert checks.failed(Measured.of([(True, 0.05)] * 8 + [(True, 9.0)] * 2)) == "latency_p90 is 9s, and the limit is 100ms (of 10 requests)"
    assert Checks().enough(Measured())
    assert not Checks().failed(Measured.of([(False, 9.0)] * 100))
