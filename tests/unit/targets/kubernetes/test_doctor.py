"""What doctor reads of a namespace beside its rights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest

from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.doctor import bounds_of, mesh_of
from deployer_targets.kubernetes.pull_trial import pod, pulled
from tests.unit.targets.kubernetes.builders import spec


@pytest.mark.parametrize(
    ("labels", "annotations", "mesh"),
    [
        ({}, {}, ""),
        ({"istio-injection": "disabled"}, {"linkerd.io/inject": "disabled"}, ""),
        ({"istio-injection": "enabled"}, {}, "Istio"),
        ({"istio.io/rev": "1-22"}, {}, "Istio"),
        ({}, {"linkerd.io/inject": "enabled"}, "Linkerd"),
    ],
)
def test_a_mesh_is_known_by_the_namespace(labels: dict[str, str], annotations: dict[str, str], mesh: str) -> None:
    assert mesh_of(labels, annotations) == mesh


def test_what_a_limit_range_lets_a_container_have_is_told() -> None:
    pod = {"type": "Pod", "max": {"cpu": "9"}}
    container = {"type": "Container", "default": {"cpu": "1"}, "min": {"memory": "64Mi"}, "max": {"memory": "2Gi", "cpu": "2"}}
    assert bounds_of([pod, container]) == "at least 64Mi memory, at most 2 cpu, at most 2Gi memory"
    assert bounds_of([pod]) == bounds_of([]) == ""


@pytest.mark.parametrize(
    ("state", "has"),
    [
        ({"waiting": {"reason": "ContainerCreating"}}, False),
        ({"waiting": {"reason": "ErrImagePull", "message": "not found"}}, False),
        ({"waiting": {"reason": "CreateContainerConfigError", "message": "container has runAsNonRoot and image will run as root"}}, True),
        ({"running": {}}, True),
        ({"terminated": {"exitCode": 0}}, True),
    ],
)
def test_an_image_is_pulled_once_its_container_can_be_made(state: dict[str, Any], has: bool) -> None:
    assert pulled({"status": {"containerStatuses": [{"state": state}]}}) is has
    assert not pulled({"status": {"phase": "Pending"}})


def test_the_pod_that_tries_a_pull_is_as_those_of_a_deployment_and_holds_no_variables() -> None:
    options = {
        "env": {"TOKEN": "hunter2"},
        "image_pull_secrets": ["mine"],
        "node_selector": {"pool": "gpu"},
        "model_delivery": {"pvc": {"claim": "m"}},
    }
    cloud = Kube(SimpleNamespace(namespace="ml"), KubernetesConfig.parse(options, target="kubernetes"))  # type: ignore[arg-type]
    made = pod(cloud, spec().image)
    assert (made["spec"]["imagePullSecrets"], made["spec"]["nodeSelector"]) == ([{"name": "mine"}], {"pool": "gpu"})
    assert made["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert made["spec"]["volumes"] == []
    assert "hunter2" not in str(made)
    for version in ("1.28", "1.33", "1.37"):
        kubernetes_validate.validate(made, version, strict=True)
