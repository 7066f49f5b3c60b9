"""What a fault rule makes of a call."""

from __future__ import annotations

from typing import Any

from deployer_localstack.aws.requests import Call
from deployer_localstack.control.faults import FaultRules


def call(operation: str = "CreateModel", service: str = "sagemaker", **parameters: Any) -> Call:
    return Call(service, operation, "us-east-1", "AKIAX", parameters)


def test_a_rule_skips_then_strikes_as_often_as_it_says() -> None:
    faults = FaultRules()
    faults.add({"kind": "throttle", "operation": "Create*", "skip": 1, "count": 2})
    assert [bool(faults.striking(call(name))) for name in ("CreateModel", "ListModels", "CreateModel", "CreateModel", "CreateModel")] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_a_rule_per_call_strikes_each_distinct_call_once() -> None:
    faults = FaultRules()
    faults.add({"kind": "throttle", "per_call": True})
    calls = [call(ModelName="a"), call(ModelName="b"), call(ModelName="a"), call("ListModels")]
    assert [bool(faults.striking(each)) for each in calls] == [True, True, False, True]


def test_a_rule_strikes_one_call_in_so_many() -> None:
    faults = FaultRules()
    rule = faults.add({"kind": "throttle", "skip": 1, "every": 3, "count": 2})
    assert [bool(faults.striking(call())) for _ in range(9)] == [False, True, False, False, True, False, False, False, False]
    assert rule.hits == 2


def test_a_rule_can_be_removed() -> None:
    faults = FaultRules()
    rule = faults.add({"kind": "drop", "count": None})
    assert faults.striking(call())
    faults.remove(rule.id)
    assert faults.striking(call()) is None
