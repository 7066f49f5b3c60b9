"""What a cluster says of a deployment's pods, as one status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deployer.core.state import Share, Status
from deployer_targets.kubernetes.observe import condition
from tests.unit.targets.kubernetes.builders import NAME

TRAFFIC = (Share("one"),)


def deployment(replicas: int, ready: int | None = None) -> dict[str, Any]:
    return {"spec": {"replicas": replicas}, "status": {} if ready is None else {"readyReplicas": ready}}


def pods(*ready: bool) -> Callable[[str], list[dict[str, Any]]]:
    def pod(is_ready: bool) -> dict[str, Any]:
        return {"metadata": {"name": "one-x"}, "status": {"conditions": [{"type": "Ready", "status": str(is_ready)}]}}

    return lambda _: [pod(each) for each in ready]


def not_asked(_: str) -> list[dict[str, Any]]:
    raise AssertionError("the Deployment has said enough")


def test_pods_are_not_asked_where_the_deployment_counts_enough() -> None:
    assert condition(NAME, TRAFFIC, {"one": deployment(2, ready=2)}, not_asked) == (Status.READY, "")


def test_pods_count_where_the_deployment_has_not_counted_yet() -> None:
    assert condition(NAME, TRAFFIC, {"one": deployment(2)}, pods(True, True)) == (Status.READY, "")


@pytest.mark.parametrize(("ready", "status", "reason"), [((True, False), Status.DEGRADED, "1 of 2 pods"), ((False,), Status.FAILED, "0 of 2 pods")])
def test_fewer_pods_than_asked_for_are_told(ready: tuple[bool, ...], status: Status, reason: str) -> None:
    found, why = condition(NAME, TRAFFIC, {"one": deployment(2)}, pods(*ready))
    assert found is status
    assert why == f"{reason} of one are ready"


def test_no_pods_asked_for_serve_nothing() -> None:
    assert condition(NAME, TRAFFIC, {"one": deployment(0)}, pods())[0] is Status.FAILED
