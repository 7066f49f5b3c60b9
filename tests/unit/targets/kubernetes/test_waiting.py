"""What is said while pods are waited for, by what a cluster answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from deployer.core.plan import Progress
from deployer.core.seam import Seam
from deployer.errors import DeployerError, RolloutFailed, TimedOut
from deployer.events import silent
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.discovery import Discovery
from deployer_targets.kubernetes.faults import ApiError, KubernetesFaults
from deployer_targets.kubernetes.waiting import AwaitPods
from tests.unit.targets.kubernetes.builders import NAME, spec

LOADING: Mapping[str, Any] = {"metadata": {"name": "churn-one-a"}, "status": {"phase": "Running"}}
MADE_NONE = "the cluster has not made its pods"


class Cluster:
    """An API server that has these pods, whose Deployment says nothing of why others are missing."""

    namespace = "ml"

    def __init__(self, *pods: Mapping[str, Any], log: str = "") -> None:
        self._pods, self._log = pods, log
        self.discovery = Discovery(lambda path: {})
        self.seam = Seam(KubernetesFaults("the cluster"))

    def send(self, method: str, path: str, **_: object) -> SimpleNamespace:
        """A container's log, where there is one."""
        if not self._log:
            raise ApiError(403, b"{}")
        assert path.endswith("/pods/churn-one-a/log")
        return SimpleNamespace(data=self._log.encode())

    def call(self, operation: str, method: str, path: str, **_: object) -> Mapping[str, Any]:
        if "/deployments/" in path:
            return {"metadata": {"name": "churn-one"}, "status": {}}
        return {"items": self._pods if path.endswith("pods") else (), "metadata": {}}


def failed(*pods: Mapping[str, Any], count: int = 1, timeout: float = 5, deadline: float = 0.3, log: str = "") -> DeployerError:
    step = AwaitPods(NAME, "one", count, timeout_seconds=timeout, deadline_seconds=deadline)
    with pytest.raises((RolloutFailed, TimedOut)) as found:
        step.run(Kube(Cluster(*pods, log=log), spec().config), Progress("wait", "wait", silent))  # type: ignore[arg-type]
    return found.value


def test_pods_that_were_never_made_are_not_said_to_load_a_model() -> None:
    """As where the cluster's controllers are behind with other work."""
    late = failed()
    assert MADE_NONE in late.message
    assert late.why == "0 of 1 are there, and its Deployment says no reason"
    assert "1 of 3 are there" in failed(LOADING, count=3).why
    assert MADE_NONE in failed(timeout=0.3, deadline=9).message


def test_a_pod_that_is_there_has_its_model_to_load() -> None:
    assert failed(LOADING).why == "its model was not loaded within 0 s"
    assert "the container loads the model" in failed(LOADING, timeout=0.3, deadline=9).message


def test_what_a_pod_that_is_not_ready_wrote_last_is_told_before_it_is_gone() -> None:
    assert failed(LOADING, log="2026-01-01T00:00:00Z asking the feature store\n").lines == ("asking the feature store",)
    assert failed(LOADING).lines == ()  # who may not read it
