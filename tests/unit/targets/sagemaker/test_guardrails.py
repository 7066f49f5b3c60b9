"""What SageMaker moves by itself, in the API's own form; what it can't is refused before anything is asked."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from deployer.errors import ConfigInvalid
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.guardrails import guardrails

SHAPE = botocore.session.get_session().get_service_model("sagemaker").shape_for("DeploymentConfig")
ALARMS = {"alarms": ["errors", "slow"]}
ROLLBACK = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}, {"AlarmName": "slow"}]}}


def parsed(**options: Any) -> SageMakerConfig:
    return SageMakerConfig.parse(options, target="sagemaker")


def shifted(kind: str, wait: int, **more: Any) -> dict[str, Any]:
    return {"TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **more}}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, None),
        ({"strategy": "canary"}, None),
        ({"strategy": "blue_green"}, None),
        ({"strategy": "rolling"}, {"RollingUpdatePolicy": {"MaximumBatchSize": percent(25), "WaitIntervalInSeconds": 0}}),
        (
            {"strategy": "rolling", "batch": "2", "pause": "90s", "checks": ALARMS},
            {"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 2}, "WaitIntervalInSeconds": 90}, **ROLLBACK},
        ),
        ({"strategy": "all_at_once", "checks": ALARMS}, {"BlueGreenUpdatePolicy": shifted("ALL_AT_ONCE", 0), **ROLLBACK}),
        (
            {"strategy": "blue_green", "pause": "10m", "checks": ALARMS},
            {"BlueGreenUpdatePolicy": {**shifted("ALL_AT_ONCE", 0), "TerminationWaitInSeconds": 600}, **ROLLBACK},
        ),
        (
            {"strategy": "canary", "steps": "10", "pause": "5m", "checks": ALARMS},
            {"BlueGreenUpdatePolicy": shifted("CANARY", 300, CanarySize=percent(10)), **ROLLBACK},
        ),
        (
            {"strategy": "canary", "steps": "25,50,75", "pause": "1m", "checks": ALARMS},
            {"BlueGreenUpdatePolicy": shifted("LINEAR", 60, LinearStepSize=percent(25)), **ROLLBACK},
        ),
    ],
)
def test_what_it_does_itself_is_in_the_apis_form(options: dict[str, Any], wanted: dict[str, Any] | None) -> None:
    config = parsed(**options)
    found = guardrails(config.asked)
    assert found == wanted
    assert config.course.splits == (wanted is None and config.asked.splits), "one of both moves the traffic"
    if found is not None:
        report = ParamValidator().validate(found, SHAPE)
        assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "rolling", "batch": "60%"}, "5% to 50%"),
        ({"strategy": "rolling", "pause": "2h"}, "at most 1h"),
        ({"strategy": "canary", "steps": "10", "pause": "manual", "checks": ALARMS}, "waits for nobody"),
        ({"strategy": "canary", "steps": "10", "pause": "2h", "checks": ALARMS}, "at most 1h"),
        ({"strategy": "canary", "steps": "60", "checks": ALARMS}, "one of at most 50"),
        ({"strategy": "canary", "steps": "10,50", "checks": ALARMS}, "even ones of 10 to 50"),
        ({"strategy": "canary", "steps": "5,10,15", "checks": ALARMS}, "even ones of 10 to 50"),
        ({"strategy": "canary", "steps": "10", "checks": {**ALARMS, "error_rate": "1%"}}, "looks at nothing else"),
        ({"strategy": "blue_green", "checks": ALARMS}, "waits for nobody"),
        ({"checks": {"alarms": [str(number) for number in range(11)]}, "strategy": "all_at_once"}, "at most ten"),
        ({"strategy": "canary", "serverless_config": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}, "serverless inference has no strategy canary"),
    ],
)
def test_what_it_can_not_do_is_refused_in_words(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words):
        parsed(**options)
