"""What pods say, as a real cluster says it: what is certain at once, and what is waited for."""

from __future__ import annotations

from typing import Any

import pytest

from deployer_targets.kubernetes import pods


def pod(state: dict[str, Any] | None = None, *, last: dict[str, Any] | None = None, restarts: int = 0, conditions: Any = ()) -> dict[str, Any]:
    container = {"name": "model", "image": "registry/model@sha256:1", "restartCount": restarts, "state": state or {}, "lastState": last or {}}
    return {
        "metadata": {"name": "churn-1"},
        "spec": {"containers": [{"name": "model", "resources": {"limits": {"memory": "64Mi"}}}]},
        "status": {"containerStatuses": [container], "conditions": list(conditions)},
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


NOT_FOUND = "rpc error: code = Unknown desc = Error response from daemon: manifest for localhost:1/x@sha256:1 not found: manifest unknown"
UNAUTHORIZED = "Error response from daemon: Head https://registry/v2/x/manifests/1: unauthorized: authentication required"
NO_ROUTE = 'Error response from daemon: Get "http://localhost:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'
TOO_MANY = "toomanyrequests: You have reached your pull rate limit: denied"
NO_ROOM = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient memory."}
NOT_LOADED = "INFO starting\nthe model can't be loaded: No module named 'a'"


@pytest.mark.parametrize(
    ("found", "what", "why", "certain"),
    [
        (pod(waiting("ErrImagePull", NOT_FOUND)), "can't pull", "not found", True),
        (pod(waiting("ErrImagePull", UNAUTHORIZED)), "can't pull", "unauthorized", True),
        (pod(waiting("InvalidImageName", "couldn't parse image reference")), "can't pull", "parse", True),
        (pod(waiting("ErrImagePull", NO_ROUTE)), "can't pull", "connection refused", False),
        (pod(waiting("ErrImagePull", TOO_MANY)), "can't pull", "toomanyrequests", False),
        (pod(waiting("ImagePullBackOff", "Back-off pulling image")), "can't pull", "Back-off", False),
        (pod(ended(137, "OOMKilled")), "killed for memory", "64Mi", True),
        (pod(waiting("CrashLoopBackOff"), last=ended(137, "OOMKilled"), restarts=1), "killed for memory", "64Mi", True),
        (pod(ended(1, message=NOT_LOADED)), "ends by itself", "No module named 'a'", True),
        (pod(waiting("CrashLoopBackOff"), last=ended(2, message="no such setting"), restarts=1), "ends by itself", "no such setting", True),
        (pod(ended(139)), "ends by itself", "exit code 139", False),
        (pod(waiting("CrashLoopBackOff"), last=ended(139), restarts=1), "ends by itself", "exit code 139", False),
        (pod({"running": {}}, last=ended(139), restarts=2), "ends by itself", "exit code 139", False),
        (pod(waiting("CrashLoopBackOff"), last=ended(139), restarts=2), "ends by itself", "exit code 139", True),
        (pod(ended(139), last=ended(139), restarts=2), "ends by itself", "exit code 139", True),
        (pod(ended(1, message="exec /opt/deployer/venv/bin/python: exec format error")), "another architecture", "exec format error", True),
        (pod(waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")), "can't be started", "root", True),
        (pod(waiting("CreateContainerConfigError", 'secret "api" not found')), "can't be started", "secret", False),
        (pod(conditions=[NO_ROOM]), "no node has room", "Insufficient memory", False),
    ],
)
def test_why_a_pod_is_not_ready(found: dict[str, Any], what: str, why: str, certain: bool) -> None:
    finding = pods.worst([found])
    assert finding is not None
    assert (what in finding.what, why in finding.why, finding.certain) == (True, True, certain), finding


def test_an_image_of_somebody_else_may_crash_three_times_whatever_its_code() -> None:
    once, twice = pod(ended(1)), pod(ended(1), last=ended(1), restarts=2)
    assert [getattr(pods.worst([each], ours=False), "certain", None) for each in (once, twice)] == [False, True]


def test_what_loads_or_is_ready_has_nothing_to_say() -> None:
    running = pod({"running": {}})
    assert pods.worst([running]) is None
    healthy = pod(waiting("CrashLoopBackOff"), last=ended(1), conditions=[{"type": "Ready", "status": "True"}])
    assert pods.worst([healthy]) is None
    assert pods.ready(healthy)


def test_what_is_certain_comes_first() -> None:
    finding = pods.worst([pod(conditions=[NO_ROOM]), pod(ended(1, message=NOT_LOADED))])
    assert finding is not None
    assert finding.certain


def event(reason: str, message: str, last: str, **fields: Any) -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": last, "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, **fields}


SCALES = event("TriggeredScaleUp", "pod triggered scale-up: [{group-1 1->2 (max: 3)}]", "2026-01-01T00:00:02Z")
SCALES_NOT = event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached", "2026-01-01T00:00:01Z")
NOMINATED = event("Nominated", "Pod should schedule on: nodeclaim/default-x", "", lastTimestamp=None, eventTime="2026-01-01T00:00:03.000000Z")
NOT_READY = event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", "2026-01-01T00:00:04Z")
SCHEDULING = event("FailedScheduling", "0/1 nodes are available: 1 Insufficient memory.", "2026-01-01T00:00:09Z")


@pytest.mark.parametrize(
    ("events", "what", "why"),
    [
        ([SCHEDULING], "no node has room for it", "0/1 nodes are available: 1 Insufficient memory."),
        ([SCALES_NOT, SCHEDULING], "and the cluster's autoscaler makes none", "max node group size reached; 0/1 nodes"),
        ([SCALES, SCALES_NOT], "yet, and one is on its way", "group-1 1->2"),
        ([NOMINATED, SCALES_NOT], "yet, and one is on its way", "nodeclaim/default-x"),
        ([{**SCALES_NOT, "lastTimestamp": "2026-01-01T00:01:00Z"}, SCALES], "and the cluster's autoscaler makes none", "max node group size"),
    ],
)
def test_what_an_autoscaler_says_last_is_told(events: list[dict[str, Any]], what: str, why: str) -> None:
    finding = pods.worst([pod(conditions=[NO_ROOM])])
    assert finding is not None
    told = pods.grown(finding, events)
    assert (what in told.what, why in told.why, told.certain, told.advice) == (True, True, False, finding.advice), told


def test_a_probe_is_told_with_its_last_answer() -> None:
    older = event("Unhealthy", "Startup probe failed: connection refused", "2026-01-01T00:00:01Z")
    assert pods.probed([NOT_READY, older, SCHEDULING]) == "Readiness probe failed: HTTP probe failed with statuscode: 503"
    assert pods.probed([SCHEDULING]) == ""
