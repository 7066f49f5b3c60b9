"""What stands beside the pods: valid in three versions, and where the traffic is."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from deployer.core.state import Share
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes import attachments
from tests.unit.targets.kubernetes.builders import NAME, spec
from tests.unit.targets.kubernetes.test_manifests import VERSIONS

ALL: dict[str, Any] = {
    "autoscaling": {"min": 2, "max": 9, "cpu": 70, "memory": 80, "metrics": {"requests_per_second": 20}},
    "pdb": {"max_unavailable": "25%"},
    "route": {
        "parent_refs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["*.example.com", "churn.example.com"],
        "path": "/churn",
        "timeouts": {"request": "60s", "backend_request": "20s"},
    },
    "ingress": {
        "host": "churn.example.com",
        "class_name": "nginx",
        "tls_secret": "churn-tls",
        "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "60"},
    },
    "network_policy": {
        "allow_from": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "scrapers": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"protocol": "TCP", "port": 443}]}],
    },
    "monitoring": {"interval": "15s", "labels": {"release": "prometheus"}},
}
OTHERS = {"HTTPRoute", "PodMonitor", "ServiceMonitor"}
"""Whose schemas come with what defines them."""
ALONE, SPLIT, TURNED = (Share("new"),), (Share("old", 80), Share("new", 20)), (Share("old", 0), Share("new", 100))


def made(traffic: tuple[Share, ...], **options: Any) -> dict[str, list[dict[str, Any]]]:
    """By kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in attachments.attachments(NAME, spec(**options).config, traffic):
        found.setdefault(each["kind"], []).append(each)
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("traffic", [ALONE, SPLIT, TURNED], ids=["alone", "split", "turned"])
def test_they_are_valid(version: str, traffic: tuple[Share, ...]) -> None:
    found = made(traffic, **ALL)
    assert found.keys() == set(attachments.KINDS) - {"ServiceMonitor"}
    for each in (one for kind, made in found.items() for one in made if kind not in OTHERS):
        kubernetes_validate.validate(each, version, strict=True)


INSTALLED: dict[str, Any] = json.loads(lzma.decompress(Path(__file__).with_name("installed_kinds.json.xz").read_bytes()))
"""Of the Gateway API 1.3.0 (standard channel) and the Prometheus operator 0.85.0: the published schemas of what is applied, without descriptions.

Taken from their Go modules; fields that a schema doesn't know are refused.
"""
LEAST: dict[str, Any] = {"route": {"parent_refs": [{"name": "public"}]}, "monitoring": {}}


def is_published(manifest: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(INSTALLED[f"{manifest['apiVersion']} {manifest['kind']}"]).is_valid(manifest))


@pytest.mark.parametrize("options", [LEAST, ALL, {**ALL, "monitoring": {"kind": "ServiceMonitor"}}], ids=["least", "all", "service"])
@pytest.mark.parametrize("traffic", [ALONE, SPLIT, TURNED], ids=["alone", "split", "turned"])
def test_kinds_of_others_are_as_they_publish_them(traffic: tuple[Share, ...], options: dict[str, Any]) -> None:
    found = [one for kind, each in made(traffic, **options).items() for one in each if kind in OTHERS]
    assert len(found) == 2
    for each in found:
        assert is_published(each)
        assert not is_published({**each, "spec": {**each["spec"], "other": 1}})
    assert {each["kind"] for each in found} <= {name.split()[1] for name in INSTALLED} == OTHERS


def test_a_network_policy_lets_grpc_in_where_it_is_answered() -> None:
    (without,), (with_it,) = (made(ALONE, **ALL, grpc=grpc)["NetworkPolicy"] for grpc in (False, True))
    asks, reads = with_it["spec"]["ingress"]
    assert [each["port"] for each in asks["ports"]] == [8080, 9000]
    assert asks["from"] == ALL["network_policy"]["allow_from"]
    assert ([each["port"] for each in reads["ports"]], reads["from"]) == ([8080], ALL["network_policy"]["scrapers"])
    assert [[each["port"] for each in rule["ports"]] for rule in without["spec"]["ingress"]] == [[8080], [8080]]
    kubernetes_validate.validate(with_it, VERSIONS[0], strict=True)


def test_nothing_is_there_that_is_not_asked_for() -> None:
    assert not made(SPLIT)
    assert not attachments.kinds(spec().config)


def test_an_autoscaler_has_the_generation_with_all_of_the_traffic() -> None:
    for traffic in (ALONE, TURNED):
        (autoscaler,) = made(traffic, **ALL)["HorizontalPodAutoscaler"]
        assert autoscaler["spec"]["scaleTargetRef"]["name"] == f"{NAME}-new"
        assert (autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]) == (2, 9)
        assert "behavior" not in autoscaler["spec"]


def test_an_autoscaler_does_nothing_while_two_share_the_traffic() -> None:
    (autoscaler,) = made(SPLIT, **ALL)["HorizontalPodAutoscaler"]
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == f"{NAME}-old"
    assert {each["selectPolicy"] for each in autoscaler["spec"]["behavior"].values()} == {"Disabled"}
    assert autoscaler["spec"]["minReplicas"] == 1
    assert autoscaler["spec"]["maxReplicas"] > 100_000


@pytest.mark.parametrize(
    ("options", "metrics"),
    [
        ({"max": 3}, [("Resource", "cpu", 80)]),
        ({"max": 3, "memory": 60}, [("Resource", "memory", 60)]),
        ({"max": 3, "metrics": {"queue": "500m"}}, [("Pods", "queue", "500m")]),
    ],
)
def test_what_an_autoscaler_goes_by(options: dict[str, Any], metrics: list[tuple[Any, ...]]) -> None:
    (autoscaler,) = made(ALONE, autoscaling=options)["HorizontalPodAutoscaler"]
    found = []
    for each in autoscaler["spec"]["metrics"]:
        part = each[each["type"].lower()]
        found.append(
            (each["type"], part.get("name") or part["metric"]["name"], next(value for key, value in part["target"].items() if key != "type"))
        )
    assert found == metrics


def test_each_generation_that_serves_has_a_budget_of_its_own() -> None:
    budgets = made(SPLIT, pdb={})["PodDisruptionBudget"]
    assert [each["metadata"]["name"] for each in budgets] == [f"{NAME}-old", f"{NAME}-new"]
    assert {each["spec"]["maxUnavailable"] for each in budgets} == {1}
    selected = [each["spec"]["selector"]["matchLabels"]["deployer.io/generation"] for each in budgets]
    assert selected == ["old", "new"]


def test_a_route_has_a_weight_for_each_generation_and_takes_its_path_off() -> None:
    (route,) = made(SPLIT, **ALL)["HTTPRoute"]
    (rule,) = route["spec"]["rules"]
    assert [(each["name"], each["weight"]) for each in rule["backendRefs"]] == [(f"{NAME}-old", 80), (f"{NAME}-new", 20)]
    backends = {each["metadata"]["name"]: each["spec"]["selector"]["deployer.io/generation"] for each in made(SPLIT, **ALL)["Service"]}
    assert backends == {f"{NAME}-old": "old", f"{NAME}-new": "new"}
    assert rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] == "/"
    (plain,) = made(ALONE, route={"parent_refs": [{"name": "public"}]})["HTTPRoute"]
    assert plain["spec"]["rules"][0].keys() == {"matches", "backendRefs"}


def test_a_patch_of_the_service_is_not_for_those_of_a_route() -> None:
    operation = {"op": "add", "path": "/spec/type", "value": "LoadBalancer"}
    assert all("type" not in each["spec"] for each in made(SPLIT, route=ALL["route"], patch={"Service": [operation]})["Service"])


def test_a_monitor_of_services_leaves_those_of_a_route_out() -> None:
    (monitor,) = made(ALONE, monitoring={"kind": "ServiceMonitor"})["ServiceMonitor"]
    assert monitor["spec"]["selector"]["matchExpressions"] == [{"key": "deployer.io/generation", "operator": "DoesNotExist"}]


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"ingress": {"host": "a.example"}}, "http://a.example"),
        ({"ingress": {"host": "a.example", "tls_secret": "b", "path": "/c/"}}, "https://a.example/c"),
        ({"ingress": {}}, ""),
        ({"route": {"parent_refs": [{"name": "a"}], "hostnames": ["*.a", "b.a"]}}, "http://b.a"),
        ({"route": {"parent_refs": [{"name": "a", "port": 443}], "hostnames": ["b.a"], "path": "/c"}}, "https://b.a/c"),
        ({"route": {"parent_refs": [{"name": "a"}]}}, ""),
    ],
)
def test_where_it_is_asked_from_outside(options: dict[str, Any], url: str) -> None:
    config = spec(**options).config
    assert (config.route or config.ingress).url == url  # type: ignore[union-attr]


def test_they_are_patched_as_other_manifests_are() -> None:
    operation = {"op": "add", "path": "/spec/behavior", "value": {"scaleDown": {"stabilizationWindowSeconds": 60}}}
    (autoscaler,) = made(ALONE, autoscaling={"max": 2}, patch={"HorizontalPodAutoscaler": [operation]})["HorizontalPodAutoscaler"]
    assert autoscaler["spec"]["behavior"] == operation["value"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"autoscaling": {"min": 3, "max": 2}}, "less than min"),
        ({"autoscaling": {"min": 1}}, "max"),
        ({"autoscaling": {"min": 0, "max": 2}}, "greater than or equal to 1"),
        ({"autoscaling": {"max": 2}, "resources": {"requests": {"memory": "1Gi"}}}, "resources.requests.cpu"),
        ({"autoscaling": {"max": 2, "metrics": {"a": "fast"}}}, "must have the form"),
        ({"pdb": {"max_unavailable": "200%"}}, "must have the form"),
        ({"pdb": {"min_available": 1}}, "not known"),
        ({"ingress": {"class_name": "gce"}}, "take route"),
        ({"ingress": {"annotations": {"alb.ingress.kubernetes.io/target-type": "ip"}}}, "take route"),
        ({"ingress": {"tls_secret": "a"}}, "goes with a host"),
        ({"ingress": {"path": "churn"}}, "must have the form"),
        ({"route": {}}, "parent_refs"),
        ({"route": {"parent_refs": []}}, "at least 1 item"),
        ({"route": {"parent_refs": [{"namespace": "a"}]}}, "name is required"),
        ({"route": {"parent_refs": [{"name": "a", "section": "b"}]}}, "each names a gateway"),
        ({"route": {"parent_refs": [{"name": "a"}], "timeouts": {"request": "a minute"}}}, "must have the form"),
        ({"network_policy": {"allow_from": []}}, "at least 1 item"),
        ({"network_policy": {"allow_from": [{}]}}, "a peer is"),
        ({"network_policy": {"allow_from": [{"pods": {}}]}}, "a peer is"),
        ({"network_policy": {"allow_from": [{"podSelector": {}}], "egress": [{"from": []}]}}, "an egress rule"),
        ({"network_policy": {"allow_from": [{"podSelector": {}}]}, "monitoring": {}}, "scrapers"),
        ({"monitoring": {"kind": "Probe"}}, "PodMonitor"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        spec(**options)
