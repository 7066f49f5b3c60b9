"""Where an object isn't as we applied it: what is ours is compared, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deployer_targets.kubernetes import manifests
from deployer_targets.kubernetes.drift import drift, yielding
from tests.unit.targets.kubernetes.builders import spec

WANTED = manifests.deployment(spec(resources={"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}}))
CONTAINER = "spec.template.spec.containers[0]"


def there(**fields: Any) -> dict[str, Any]:
    """As an API server has it: with what it fills in, and what others add."""
    found = copy.deepcopy(WANTED)
    del found["kind"], found["apiVersion"]  # which the items of a list don't say
    found["metadata"] |= {"uid": "u", "resourceVersion": "7", "labels": {**found["metadata"]["labels"], "team": "theirs"}}
    found["spec"]["template"]["spec"] |= {"dnsPolicy": "ClusterFirst"}
    container = found["spec"]["template"]["spec"]["containers"][0]
    container["resources"]["requests"]["cpu"] = "1000m"
    container["ports"].append({"containerPort": 15090, "protocol": "TCP"})
    container["env"].insert(0, {"name": "THEIRS", "value": "1"})
    found["spec"]["template"]["spec"]["containers"].insert(0, {"name": "istio-proxy", "image": "proxy"})
    container |= fields
    return found


def managed(found: dict[str, Any], manager: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {**found, "metadata": {**found["metadata"], "managedFields": [{"manager": manager, "fieldsV1": fields}]}}


def test_what_is_filled_in_and_added_is_no_drift() -> None:
    assert drift(WANTED, there()) == ()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"image": "other"}, f"{CONTAINER}.image"),
        ({"args": []}, f"{CONTAINER}.args"),
        ({"env": []}, f"{CONTAINER}.env[0]"),
        ({"resources": {"limits": {"memory": "2Gi"}, "requests": {"cpu": "2", "memory": "1Gi"}}}, f"{CONTAINER}.resources.requests.cpu"),
        ({"securityContext": {"allowPrivilegeEscalation": True}}, f"{CONTAINER}.securityContext.allowPrivilegeEscalation"),
    ],
)
def test_what_is_otherwise_is_told_by_its_path(fields: dict[str, Any], path: str) -> None:
    assert path in [each.field for each in drift(WANTED, there(**fields))]


def test_who_has_set_it_is_told() -> None:
    fields: dict[str, Any] = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"model"}': {".": {}, "f:image": {}}}}}}}
    (found,) = drift(WANTED, managed(there(image="other"), "kubectl-edit", fields))
    assert (found.field, found.wanted, found.found, found.by) == (f"{CONTAINER}.image", manifests.PENDING, "other", "kubectl-edit")
    (unknown,) = drift(WANTED, managed(there(image="other"), "deployer", fields))
    assert unknown.by == ""


def test_what_somebody_has_set_is_left_out_and_the_rest_is_set() -> None:
    fields: dict[str, Any] = {"f:spec": {"f:progressDeadlineSeconds": {}}}
    found = managed(there(image="other"), "kubectl-edit", fields)
    found["spec"]["progressDeadlineSeconds"] = 5
    applied = yielding(WANTED, drift(WANTED, found))
    assert "progressDeadlineSeconds" not in applied["spec"]
    assert applied["spec"]["template"] == WANTED["spec"]["template"]
    assert WANTED["spec"]["progressDeadlineSeconds"] == 600


def test_an_autoscalers_metrics_come_in_any_order() -> None:
    one, two = ({"type": "Resource", "resource": {"name": name}} for name in ("cpu", "memory"))
    found = {"metadata": {}, "spec": {"metrics": [two, one]}}
    assert drift({"metadata": {}, "spec": {"metrics": [one, two]}}, found) == ()
    assert [each.field for each in drift({"metadata": {}, "spec": {"metrics": [one, {"type": "Pods"}]}}, found)] == ["spec.metrics"]
