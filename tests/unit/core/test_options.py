"""An option has its type from the first parse to the record and back, and where it came from goes with it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from deployer.core.options import TargetConfig
from deployer.core.state import DeploymentName, Digest, ModelFacts, Record
from deployer.errors import ConfigInvalid
from deployer_targets.local.config import LocalConfig
from deployer_targets.sagemaker.config import SageMakerConfig

SAGEMAKER: dict[str, Any] = {
    "instance_count": "3",
    "instance_type": "ml.c5.large",
    "kms_key": "1234",
    "tags": "{team: growth, cost: 007}",
    "vpc_config": '{"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}',
    "enable_network_isolation": "true",
    "data_capture_config": {"InitialSamplingPercentage": 5, "DestinationS3Uri": "s3://b/c", "CaptureOptions": [{"CaptureMode": "Input"}]},
    "managed_instance_scaling": "{Status: ENABLED, MinInstanceCount: 1, MaxInstanceCount: 2}",
    "strategy": {"rolling": {"batch": 1, "pause": "10s", "checks": {"alarms": ["errors"]}}},
    "bucket": "mine",
    "keep": "4",
}
LOCAL: dict[str, Any] = {"runtime": "process", "port": "8123", "startup_timeout": "30", "max_restarts": "0", "tags": "{a: b}"}
BOTH = pytest.mark.parametrize(("config", "given"), [(SageMakerConfig, SAGEMAKER), (LocalConfig, LOCAL)], ids=["sagemaker", "local"])


def recorded(config: TargetConfig) -> Record:
    """The record of these options, written and read."""
    facts = ModelFacts("models:/churn/1", Digest("sha256:0"))
    made = Record(DeploymentName("churn"), "0a1b2c3d4e", facts, "image", config.recorded(), config.revision(), ())
    return Record.from_json(json.dumps(json.loads(made.to_json())))


@BOTH
def test_what_a_record_keeps_comes_back_as_it_was(config: type[TargetConfig], given: dict[str, Any]) -> None:
    first = config.parse(given, dict.fromkeys(given, "churn.yaml:3"), target="target")
    again = config.parse({}, target="target").completed(recorded(first), (), target="target")
    kept = set(first.recorded())
    assert {name: getattr(again, name) for name in kept} == {name: getattr(first, name) for name in kept}
    assert {name: type(getattr(again, name)) for name in kept} == {name: type(getattr(first, name)) for name in kept}
    assert again.revision() == first.revision()
    assert again.recorded() == first.recorded()


@BOTH
def test_only_what_is_named_wins_over_the_record(config: type[TargetConfig], given: dict[str, Any]) -> None:
    before = config.parse(given, target="target")
    standing = config.parse({name: value for name, value in given.items() if name != "tags"} | {"tags": "{x: y}"}, target="target")
    assert standing.completed(recorded(before), (), target="target").tags == before.tags  # type: ignore[attr-defined]
    assert standing.completed(recorded(before), {"tags"}, target="target").tags == {"x": "y"}  # type: ignore[attr-defined]


def test_text_that_looks_like_another_type_stays_text() -> None:
    before = SageMakerConfig.parse({"kms_key": "1234", "tags": {"zip": "007", "yes": "no"}}, target="sagemaker")
    after = SageMakerConfig.parse({"keep": 2}, target="sagemaker").completed(recorded(before), {"keep"}, target="sagemaker")
    assert (after.kms_key, after.tags) == ("1234", {"zip": "007", "yes": "no"})


def test_each_value_says_where_it_is_from() -> None:
    before = SageMakerConfig.parse({"instance_type": "ml.c5.large"}, target="sagemaker")
    now = SageMakerConfig.parse({"keep": "2", "tags": "{a: b}"}, {"keep": "command line", "tags": "churn.yaml:7"}, target="sagemaker")
    after = now.completed(recorded(before), {"keep"}, target="sagemaker").model_copy(update={"execution_role_arn": None})
    assert [after.origin(name) for name in ("keep", "instance_type", "tags", "mode")] == [
        "command line",
        "generation 0a1b2c3d4e",
        "generation 0a1b2c3d4e",
        "",
    ]


def test_a_record_s_value_that_is_refused_today_says_whose_it_is() -> None:
    odd = replace(recorded(SageMakerConfig.parse({}, target="sagemaker")), options={"instance_count": "many", "an_option_of_tomorrow": 1})
    with pytest.raises(ConfigInvalid, match=r"instance_count: .*\(generation 0a1b2c3d4e\)"):
        SageMakerConfig.parse({}, target="sagemaker").completed(odd, (), target="sagemaker")


def test_options_are_the_same_wherever_they_come_from() -> None:
    one, other = (LocalConfig.parse({"port": 1}, {"port": origin}, target="local") for origin in ("a", "b"))
    assert one == other
    assert hash(one) == hash(other)
    assert one != LocalConfig.parse({"port": 2}, target="local")
    assert TargetConfig.parse({}, target="x") != LocalConfig.parse({}, target="local")
