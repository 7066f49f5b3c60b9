"""What somebody else has changed of what we applied is told; what a cluster and its controllers do besides is not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deployer.core.state import Share
from deployer_targets.kubernetes import attachments, manifests
from deployer_targets.kubernetes.owners import taken
from deployer_targets.kubernetes.plan import plan
from deployer_targets.kubernetes.target import Kubernetes
from tests.unit.targets.kubernetes.builders import NAME, serving, spec

OPTIONS: dict[str, Any] = {"autoscaling": {"max": 9}, "replicas": 3}
ONE = spec("one", **OPTIONS)
TRAFFIC = (Share(ONE.generation),)
WHERE = f"{NAME}-{ONE.generation}"


def there(**spec_of_deployment: Any) -> dict[str, Any]:
    """The Deployment as a cluster has it, with an image and a number of pods."""
    found = copy.deepcopy(manifests.with_image(manifests.deployment(ONE), "registry/model@sha256:1"))
    found["spec"] |= {"replicas": 7, **spec_of_deployment}
    found["spec"]["template"]["spec"]["containers"].append({"name": "istio-proxy"})
    return found


def managed(found: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    found["metadata"]["managedFields"] = [{"manager": "kubectl-edit", "fieldsV1": {"f:spec": fields}}]
    return found


def told(deployment: dict[str, Any], autoscaler: dict[str, Any] | None = None) -> dict[str, str]:
    attached = {attachments.resource(autoscaler): autoscaler} if autoscaler else {}
    return dict(taken(NAME, TRAFFIC, {ONE.generation: ONE.record}, {ONE.generation: deployment}, attached))


def test_pods_of_an_autoscaler_and_sidecars_are_no_drift() -> None:
    (autoscaler,) = attachments.attachments(NAME, ONE.config, TRAFFIC)
    assert told(there(), autoscaler) == {}


def test_a_field_is_told_with_what_it_was_to_be_and_who_has_set_it() -> None:
    assert told(managed(there(progressDeadlineSeconds=5), {"f:progressDeadlineSeconds": {}})) == {
        f"Deployment {WHERE}: spec.progressDeadlineSeconds": "5 instead of 600, by kubectl-edit"
    }
    assert told(there(progressDeadlineSeconds=5)) == {f"Deployment {WHERE}: spec.progressDeadlineSeconds": "5 instead of 600"}


def test_another_image_is_told_where_somebody_has_set_it() -> None:
    image = {"f:template": {"f:spec": {"f:containers": {'k:{"name":"model"}': {"f:image": {}}}}}}
    (said,) = told(managed(there(), image).copy()).items()
    assert said == (f"Deployment {WHERE}: spec.template.spec.containers[0].image", "registry/model@sha256:1, by kubectl-edit")


def test_what_stands_beside_is_told_too() -> None:
    (autoscaler,) = copy.deepcopy(attachments.attachments(NAME, ONE.config, TRAFFIC))
    autoscaler["spec"]["maxReplicas"] = 20
    assert told(there(), managed(autoscaler, {"f:maxReplicas": {}})) == {
        f"HorizontalPodAutoscaler {NAME}: spec.maxReplicas": "20 instead of 9, by kubectl-edit"
    }


def test_a_record_that_cannot_be_read_tells_nothing() -> None:
    record = spec("one").record
    odd = type(record).from_json(record.to_json().replace('"replicas"', '"copies"'))
    assert dict(taken(NAME, (Share(odd.generation),), {odd.generation: odd}, {odd.generation: there()}, {})) == {}


@pytest.mark.parametrize(("forced", "steps"), [(False, []), (True, ["MakeDeployment", "AwaitPods"])])
def test_it_is_taken_back_where_that_is_asked_for_alone(forced: bool, steps: list[str]) -> None:
    wanted = spec("one", **OPTIONS, force_conflicts=forced)
    made = plan(wanted, serving(wanted, counts={wanted.generation: 3}, drifted=True), Kubernetes())
    assert [type(each).__name__ for each in made.live] == steps
    assert not made.forward


def test_a_deployment_that_is_made_again_keeps_its_number_of_pods() -> None:
    made = manifests.again(manifests.deployment(ONE), {"metadata": {"resourceVersion": "5"}})
    assert "replicas" not in made["spec"]
    assert made["metadata"]["resourceVersion"] == "5"
