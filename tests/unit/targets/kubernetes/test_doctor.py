"""What doctor reads of a namespace beside its rights."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deployer.core.target import Verdict
from deployer_targets.kubernetes import rights
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.doctor import bounds_of, mesh_of
from deployer_targets.kubernetes.pull_trial import pod, pulled
from tests.unit.targets.kubernetes.builders import spec

DOCS = Path(__file__).parents[4] / "docs"


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


class Authorizer:
    """An API server that allows all but this."""

    def __init__(self, *denied: str) -> None:
        self.denied, self.asked = denied, list[dict[str, str]]()

    def call(self, operation: str, method: str, path: str, *, body: bytes, headers: Any) -> Any:
        asked = json.loads(body)["spec"]["resourceAttributes"]
        self.asked.append(asked)
        resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        return {"status": {"allowed": f"{asked['verb']} {resource}" not in self.denied}}

    def findings(self, **options: Any) -> list[tuple[Verdict, str]]:
        connection = SimpleNamespace(call=self.call, namespace="ml")
        cloud = Kube(connection, KubernetesConfig.parse(options, target="kubernetes"))  # type: ignore[arg-type]
        return [(each.verdict, f"{each.detail} ({each.advice})") for each in rights.findings(cloud)]


def test_what_verbs_take_is_held_to_what_is_allowed() -> None:
    assert Authorizer().findings() == [(Verdict.OK, "all that the verbs take is allowed ()")]
    ((verdict, said),) = Authorizer("get pods/log", "create services").findings()
    assert (verdict, "not allowed: create services, get pods/log" in said) == (Verdict.WRONG, True), said


@pytest.mark.parametrize(
    ("options", "denied", "verdict", "said"),
    [
        ({"autoscaling": {"max": 3}}, "patch horizontalpodautoscalers", Verdict.WRONG, "deploy.yaml"),
        ({"model_delivery": "image_volume"}, "create pods", Verdict.WRONG, "image-volume.yaml"),
        ({"model_delivery": {"pvc": {"size": "1Gi"}}}, "create persistentvolumeclaims", Verdict.WRONG, "volume.yaml"),
        (
            {"resources": {"limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}}},
            "list nodes",
            Verdict.WARNING,
            "pods tolerate nvidia.com/gpu:NoSchedule alone",
        ),
    ],
)
def test_what_options_take_is_too_where_they_are_named(options: dict[str, Any], denied: str, verdict: Verdict, said: str) -> None:
    assert len(Authorizer(denied).findings()) == 1
    authorizer = Authorizer(denied)
    _, (found, told) = authorizer.findings(**options)
    assert (found, denied in told, said in told) == (verdict, True, True), told
    assert len(Authorizer().findings(**options)) == 1
    assert {each["namespace"] for each in authorizer.asked if each["resource"] != "nodes"} == {"ml"}
    assert {each["namespace"] for each in authorizer.asked if each["resource"] == "nodes"} <= {""}


def test_the_whole_role_has_all_that_is_asked_in_a_namespace() -> None:
    has = {
        (group, resource, verb)
        for rule in yaml.safe_load((DOCS / "examples" / "kubernetes-role.yaml").read_text())["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    options = {
        "autoscaling": {"max": 3},
        "pdb": {},
        "ingress": {},
        "route": {"parent_refs": [{"name": "a"}]},
        "network_policy": {"allow_from": [{"ipBlock": {}}]},
    }
    every = [
        KubernetesConfig.parse(each, target="kubernetes")
        for each in (options, {"model_delivery": "image_volume"}, {"model_delivery": {"pvc": {"size": "1Gi"}}})
    ]
    asked = [*rights.NEEDED, *rights.IN_A_MESH.rights, *(right for config in every for needs in rights.of_options(config) for right in needs.rights)]
    assert {(right.group, right.resource, verb) for right in asked for verb in right.verbs} <= has


def test_roles_that_are_named_are_there() -> None:
    for needs in (rights.IN_A_MESH, *rights.of_options(KubernetesConfig.parse({"model_delivery": "image_volume", "pdb": {}}, target="kubernetes"))):
        assert (DOCS / "kubernetes" / f"{needs.role}.yaml").exists()
