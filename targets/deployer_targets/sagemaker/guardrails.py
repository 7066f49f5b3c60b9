"""Deployment guardrails, by which SageMaker moves the traffic itself within one update: what of a strategy they can do. Pure."""

from __future__ import annotations

import math
from typing import Any

from deployer.core.strategy_options import Course
from deployer.core.traffic import Strategy

LONGEST_WAIT = 3600
"""Seconds that SageMaker waits between two steps at most."""


def wrong_guardrails(course: Course) -> str:
    """What SageMaker's own guardrails can't do of a strategy that names alarms, or that rolls; "" where they can do all of it."""
    rolls, alarms, pause = course.strategy is Strategy.ROLLING, course.checks.alarms, course.pause
    shifts = bool(alarms) and course.strategy in (Strategy.CANARY, Strategy.BLUE_GREEN)
    even = course.strategy is not Strategy.CANARY or _is_canary(course.steps) or _is_linear(course.steps)
    itself = "SageMaker itself moves the traffic where checks.alarms names any"
    wrong = {
        "batch is 5% to 50% of the instances on SageMaker": rolls and course.batch.endswith("%") and not 5 <= int(course.batch[:-1]) <= 50,
        "checks.alarms names at most ten": len(alarms) > 10,
        f"{itself}, and waits for nobody: pause is a time": shifts and pause is None,
        f"{itself}, and looks at nothing else: checks are alarms, or errors and latency": shifts and course.checks.measured,
        "pause is at most 1h where SageMaker itself moves the traffic": (rolls or shifts) and (pause or 0) > LONGEST_WAIT,
        f"{itself}: steps is one of at most 50, or even ones of 10 to 50 (25,50,75)": shifts and not even,
    }
    return next((words for words, so in wrong.items() if so), "")


def guardrails(course: Course) -> dict[str, Any] | None:
    """UpdateEndpoint's DeploymentConfig; None where SageMaker's default will do, or where the weights of variants do it."""
    if course.strategy is Strategy.ROLLING:
        policy: dict[str, Any] = {"RollingUpdatePolicy": {"MaximumBatchSize": _size(course.batch), "WaitIntervalInSeconds": _wait(course)}}
    elif not course.checks.alarms:
        return None
    elif course.strategy is Strategy.CANARY:
        kind = {"Type": "CANARY", "CanarySize": _percent(course.steps[0])}
        if not _is_canary(course.steps):
            kind = {"Type": "LINEAR", "LinearStepSize": _percent(course.steps[0])}
        policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {**kind, "WaitIntervalInSeconds": _wait(course)}}}
    else:
        stays = {"TerminationWaitInSeconds": _wait(course)} if course.strategy is Strategy.BLUE_GREEN else {}
        at_once = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": at_once, **stays}}
    alarms = [{"AlarmName": name} for name in course.checks.alarms]
    return {**policy, **({"AutoRollbackConfiguration": {"Alarms": alarms}} if alarms else {})}


def _is_canary(steps: tuple[int, ...]) -> bool:
    return len(steps) == 1 and steps[0] <= 50


def _is_linear(steps: tuple[int, ...]) -> bool:
    return 10 <= steps[0] <= 50 and all(step == steps[0] * (number + 1) for number, step in enumerate(steps)) and steps[-1] + steps[0] >= 100


def _percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def _size(batch: str) -> dict[str, Any]:
    return _percent(int(batch[:-1])) if batch.endswith("%") else {"Type": "INSTANCE_COUNT", "Value": int(batch)}


def _wait(course: Course) -> int:
    return math.ceil(course.pause or 0)
