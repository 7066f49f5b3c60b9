"""What is applied: held to the published schemas of three versions, to restricted Pod Security, and to what was asked for."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import manifests, names
from tests.unit.targets.kubernetes.builders import NAME, spec

VERSIONS = ("1.28", "1.33", "1.37")
ALL: dict[str, Any] = {
    "replicas": 3,
    "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"}},
    "image_pull_secrets": ["registry"],
    "service_account": "models",
    "env": {"WORD": "secret"},
    "env_from": {"TOKEN": {"secretKeyRef": {"name": "api", "key": "token"}}, "POD": {"fieldRef": {"fieldPath": "metadata.name"}}},
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}, {"matchFields": []}]
            }
        }
    },
    "topology_spread": [
        {"topologyKey": "rack", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"},
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"team": "churn"}}},
    ],
    "priority_class": "high",
    "runtime_class": "nvidia",
    "labels": {"team": "churn"},
    "annotations": {"note": "größe"},
    "grpc": True,
    "workers": 2,
    "patch": {"Deployment": [{"op": "add", "path": "/spec/template/spec/hostNetwork", "value": False}]},
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("options", [{}, ALL], ids=["defaults", "all options"])
def test_manifests_are_valid(version: str, options: dict[str, Any]) -> None:
    wanted = spec(**options)
    told = {names.TRAFFIC: "a=100"}
    for manifest in (manifests.deployment(wanted), manifests.service(NAME, wanted.generation, wanted.config, told), manifests.secret(wanted)):
        kubernetes_validate.validate(manifest, version, strict=True)


VOLUME = {"model_delivery": {"pvc": {"claim": "models", "path": "churn/3"}}}


@pytest.mark.parametrize(
    "options", [{}, {key: value for key, value in ALL.items() if key != "patch"}, VOLUME], ids=["defaults", "all options", "from a volume"]
)
def test_pods_keep_the_restricted_standard_and_any_uid_does(options: dict[str, Any]) -> None:
    pod = manifests.pod(spec(**options), "image")
    (container,) = pod["containers"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    assert pod["automountServiceAccountToken"] is False
    assert {volume.keys() <= {"name", "emptyDir", "persistentVolumeClaim"} for volume in pod["volumes"]} == {True}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert container["resources"]["limits"]["memory"]


def test_grpc_has_a_port_of_pods_and_service_where_it_is_on() -> None:
    for on in (False, True):
        wanted = spec(grpc=on)
        (container,) = manifests.pod(wanted, "image")["containers"]
        service = manifests.service(NAME, wanted.generation, wanted.config, {})
        told = {each["name"]: each["value"] for each in container["env"]}
        found = [
            *(each["name"] for each in container["ports"]),
            *(each["targetPort"] for each in service["spec"]["ports"]),
            "DEPLOYER_GRPC_PORT" in told,
        ]
        assert found == (["http", "grpc", "http", "grpc", True] if on else ["http", "http", False])
    assert {(each.get("containerPort") or each["port"]) for each in (container["ports"][1], service["spec"]["ports"][1])} == {
        int(told["DEPLOYER_GRPC_PORT"])
    }


def test_a_pod_is_given_time_to_drain_and_to_finish() -> None:
    pod = manifests.pod(spec(drain_seconds=20, request_timeout=120), "image")
    assert pod["terminationGracePeriodSeconds"] > 140
    told = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    grace = str(pod["terminationGracePeriodSeconds"])
    assert told == {
        "DEPLOYER_DRAIN_SECONDS": "20",
        "DEPLOYER_GRACE_SECONDS": grace,
        "DEPLOYER_REQUEST_TIMEOUT_SECONDS": "120",
        "DEPLOYER_CPUS": "500m",
    }


@pytest.mark.parametrize(
    ("requests", "limits", "told"),
    [({"cpu": 2}, {}, "2"), ({"cpu": "250m"}, {}, "250m"), ({"cpu": "1"}, {"cpu": "4"}, None), ({"memory": "1Gi"}, {}, None)],
)
def test_a_server_without_a_limit_of_cpu_goes_by_what_it_requests(requests: Any, limits: Any, told: str | None) -> None:
    (container,) = manifests.pod(spec(resources={"requests": requests, "limits": {"memory": "2Gi", **limits}}), "image")["containers"]
    assert {each["name"]: each.get("value") for each in container["env"]}.get("DEPLOYER_CPUS") == told


def test_pods_are_spread_evenly_where_that_can_be_had_or_as_is_asked() -> None:
    ours = manifests.pod(spec(), "image")["topologySpreadConstraints"]
    assert [(each["topologyKey"], each["whenUnsatisfiable"]) for each in ours] == [
        ("topology.kubernetes.io/zone", "ScheduleAnyway"),
        ("kubernetes.io/hostname", "ScheduleAnyway"),
    ]
    wanted = spec(topology_spread=ALL["topology_spread"])
    first, second = manifests.pod(wanted, "image")["topologySpreadConstraints"]
    assert first == {"labelSelector": {"matchLabels": names.selector(NAME, wanted.generation)}, **ALL["topology_spread"][0]}
    assert second == {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", **ALL["topology_spread"][1]}
    assert "topologySpreadConstraints" not in manifests.pod(spec(topology_spread=[]), "image")


def test_every_term_of_an_affinity_asks_for_the_images_architecture() -> None:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    for options in ({}, {"affinity": ALL["affinity"]}):
        node = manifests.pod(spec(platform="linux/arm64", **options), "image")["affinity"]["nodeAffinity"]
        terms = node[required]["nodeSelectorTerms"]
        assert terms
        fits = {"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}
        assert all(fits in term["matchExpressions"] for term in terms)


def test_values_of_the_environment_are_in_the_secret_alone() -> None:
    wanted = spec(env={"PASSWORD": "hunter2"})
    assert "hunter2" not in repr(manifests.deployment(wanted))
    assert manifests.secret(wanted)["stringData"] == {"PASSWORD": "hunter2"}


def test_a_selector_has_what_its_pods_are_labelled_by() -> None:
    wanted = spec(labels={"team": "churn"})
    made = manifests.deployment(wanted)
    labels = made["spec"]["template"]["metadata"]["labels"]
    for selector in (
        made["spec"]["selector"]["matchLabels"],
        manifests.service(NAME, wanted.generation, wanted.config, {})["spec"]["selector"],
        manifests.service(NAME, "", wanted.config, {})["spec"]["selector"],
    ):
        assert selector.items() <= labels.items()


def test_the_image_comes_where_no_patch_has_put_another() -> None:
    made = manifests.with_image(manifests.deployment(spec()), "registry/model@sha256:1")
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "registry/model@sha256:1"
    other = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "other"}]
    kept = manifests.with_image(manifests.deployment(spec(patch={"Deployment": other})), "registry/model@sha256:1")
    assert kept["spec"]["template"]["spec"]["containers"][0]["image"] == "other"


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/spec/nowhere", "value": 1},
        {"op": "remove", "path": "/spec/template/spec/containers/7"},
        {"op": "test", "path": "/spec/replicas", "value": 9},
    ],
)
def test_a_patch_that_does_not_fit_is_refused_with_its_path(operation: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid, match=str(operation["path"])):
        manifests.deployment(spec(patch={"Deployment": [operation]}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resources": {"limits": {"cpu": "1"}}}, "limits.memory is missing"),
        ({"resources": {"limits": {"memory": "2 GB"}}}, "must have the form"),
        ({"patch": {"Pod": []}}, "none of our manifests"),
        ({"patch": {"Service": [{"op": "delete", "path": "/"}]}}, "none of add"),
        ({"patch": {"Service": [{"op": "add", "path": "/spec/type"}]}}, "needs value"),
        ({"labels": {"app.kubernetes.io/instance": "x"}}, "is set by this tool"),
        ({"annotations": {"deployer.io/traffic": "x"}}, "is set by this tool"),
        ({"env_from": {"A": {"value": "x"}}}, "takes one of"),
        ({"image_repository": "registry/scoring:tag"}, "without a tag"),
        ({"replicas": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        spec(**options)


def test_packages_of_each_start_are_told_to_the_server_and_make_another_generation() -> None:
    once, each = spec(), spec(packages="at-start")
    assert once.generation != each.generation
    (container,) = manifests.pod(each, "image")["containers"]
    assert {"name": "DEPLOYER_PACKAGES", "value": "at-start"} in container["env"]
    assert "DEPLOYER_PACKAGES" not in str(manifests.pod(once, "image"))
