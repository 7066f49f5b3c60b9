"""What stands beside the pods on a real cluster: an autoscaler that has their number, ways in from outside, budgets; all follow the traffic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployer.oci import Repository
from tests.e2e.kubernetes.deploys import NAME, Deploys
from tests.e2e.kubernetes.gateways import TakesRoutes
from tests.e2e.kubernetes.test_cluster import SERVES, following, until
from tests.kubernetes import kubectl

PODS = 'jsonpath={.subsets[*].addresses[*].ip}{"\\n"}'
CONTAINER = "/spec/template/spec/containers/0"
QUICK: dict[str, Any] = {
    "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
    "drain_seconds": 0,
    "request_timeout": 1,
    # A server that is there at once, in place of ours.
    "patch": {
        "Deployment": [
            {"op": "add", "path": f"{CONTAINER}/command", "value": ["python3", "-c", SERVES]},
            {"op": "remove", "path": f"{CONTAINER}/args"},
            *(
                {"op": "replace", "path": f"{CONTAINER}/{probe}/httpGet/path", "value": "/"}
                for probe in ("startupProbe", "livenessProbe", "readinessProbe")
            ),
            {"op": "add", "path": f"{CONTAINER}/workingDir", "value": "/opt"},
        ]
    },
}


@pytest.fixture
def deploys(namespace: str, cluster_repository: Repository, cluster_image: str) -> Deploys:
    return Deploys(namespace, cluster_repository, **QUICK)


def test_no_update_takes_pods_from_an_autoscaler(deploys: Deploys, tmp_path: Path) -> None:
    assert deploys("create", "doubler", pdb={"max_unavailable": 1}).done
    (first,) = deploys.names("poddisruptionbudgets")
    assert deploys("update", autoscaling={"min": 2, "max": 9}).done
    assert deploys.get("hpa")["spec"]["scaleTargetRef"]["name"] == first
    assert deploys.get("deployment", first)["spec"]["replicas"] == 2

    kubectl("patch", "hpa", NAME, "-n", deploys.namespace, "--type=merge", "-p", '{"spec": {"minReplicas": 7}}')
    until(lambda: deploys.get("deployment", first)["status"].get("readyReplicas") == 7)
    seen = tmp_path / "seen"
    with seen.open("w") as file, following("get", "endpoints", NAME, "-n", deploys.namespace, "-w", "-o", PODS, stdout=file):
        until(seen.read_text)
        assert deploys("update", "tripler").done
    assert {len(line.split()) for line in seen.read_text().splitlines()} == {7}, seen.read_text()
    (second,) = deploys.names("poddisruptionbudgets")
    assert second != first
    assert deploys.get("hpa")["spec"]["scaleTargetRef"]["name"] == second
    assert deploys.get("hpa")["spec"]["minReplicas"] == 7  # as somebody has set it

    assert not deploys("apply", "tripler", autoscaling={"min": 2, "max": 9}, pdb={"max_unavailable": 1}).changed
    assert deploys("update", force_conflicts=True).changed
    assert deploys.get("hpa")["spec"]["minReplicas"] == 2

    assert deploys("update", "doubler", strategy="canary", steps=[20], pause="manual").done
    assert deploys.get("hpa")["spec"]["maxReplicas"] > 1000  # it does nothing
    assert sorted(deploys.names("poddisruptionbudgets")) == sorted([first, second])
    assert {each: deploys.get("deployment", each)["spec"]["replicas"] for each in (first, second)} == {first: 1, second: 6}
    assert deploys("promote").done
    assert deploys.get("deployment", first)["spec"]["replicas"] == 7
    assert deploys.get("hpa")["spec"]["maxReplicas"] == 9

    assert deploys("update", autoscaling=None, replicas=1).done
    assert not deploys.names("hpa")
    assert deploys.get("deployment", first)["spec"]["replicas"] == 1
    assert deploys("delete").done
    assert not deploys.names("poddisruptionbudgets")


@pytest.mark.usefixtures("installed_kinds")
def test_a_route_splits_requests_and_leads_back_where_a_gateway_refuses(deploys: Deploys) -> None:
    parent = [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
    beside: dict[str, Any] = {
        "route": {"parent_refs": parent, "hostnames": ["churn.example.com"], "timeouts": {"request": "60s"}},
        "ingress": {"host": "churn.example.org", "tls_secret": "churn"},
        "network_policy": {"allow_from": [{"podSelector": {}}], "scrapers": [{"podSelector": {}}]},
        "monitoring": {},
    }
    one = ("ingress", "networkpolicy", "podmonitor", "httproute")
    with TakesRoutes(deploys.namespace) as gateway:
        assert deploys("create", "doubler", replicas=2, **beside).done
        assert [deploys.get(kind)["metadata"]["name"] for kind in one] == [NAME] * 4
        assert gateway.weights == [[100]]
        assert deploys.observed().url == "https://churn.example.com"
        assert not deploys("apply", "doubler", replicas=2, **beside).changed

        assert deploys("update", "tripler", strategy="canary", steps=[20, 50], pause="manual").done
        assert gateway.weights == [[100], [80, 20]]
        old, new = (each.generation for each in deploys.observed().traffic)
        assert {each: deploys.get("deployment", f"{NAME}-{each}")["spec"]["replicas"] for each in (old, new)} == {old: 2, new: 2}
        assert deploys.get("service")["spec"]["selector"]["deployer.io/generation"] == old
        assert deploys("promote").done
        assert [each.percent for each in deploys.observed().traffic] == [50, 50]

        gateway.refuses = "NotAllowedByListeners"
        ended = deploys("promote")
        assert (ended.code, "NotAllowedByListeners" in ended.why) == ("rollout-failed", True)
        assert gateway.weights[-1] == [100]
        assert [each.generation for each in deploys.observed().traffic] == [old]
        gateway.refuses = ""
        assert deploys("update", "tripler", strategy="all_at_once").done
        assert deploys.get("httproute")["spec"]["rules"][0]["backendRefs"][0]["name"] == f"{NAME}-{new}"
        assert sorted(deploys.names("services")) == sorted([NAME, f"{NAME}-{old}", f"{NAME}-{new}"])
        assert deploys("rollback").done
        assert deploys.get("httproute")["spec"]["rules"][0]["backendRefs"][0]["name"] == f"{NAME}-{old}"

        assert deploys("update", **dict.fromkeys(beside)).done
        assert [each for kind in one for each in deploys.names(kind)] == []
        assert deploys.names("services") == [NAME]
        assert deploys("update", **beside).done
        assert deploys("delete").done
        assert [each for kind in (*one, "services") for each in deploys.names(kind)] == []


def test_pods_roll_in_batches_and_none_is_missed(deploys: Deploys, tmp_path: Path) -> None:
    assert deploys("create", "doubler", replicas=4).done
    seen = tmp_path / "seen"
    with seen.open("w") as file, following("get", "endpoints", NAME, "-n", deploys.namespace, "-w", "-o", PODS, stdout=file):
        until(seen.read_text)
        assert deploys("update", "tripler", strategy="rolling", batch="50%").done
    counts = [len(line.split()) for line in seen.read_text().splitlines()]
    assert (min(counts), max(counts)) == (4, 6), counts
    assert [each.percent for each in deploys.observed().traffic] == [100]


def test_what_somebody_changes_is_told_kept_and_taken_back_when_asked(deploys: Deploys) -> None:
    assert deploys("create", "doubler", replicas=2).done
    assert deploys.observed().owned_elsewhere == {}
    (name,) = deploys.names("deployments")
    image = deploys.get("deployment", name)["spec"]["template"]["spec"]["containers"][0]["image"]
    change = {"spec": {"progressDeadlineSeconds": 77, "template": {"spec": {"containers": [{"name": "model", "imagePullPolicy": "Always"}]}}}}
    kubectl("patch", "deployment", name, "-n", deploys.namespace, "--type=strategic", "-p", json.dumps(change))
    assert deploys.observed().owned_elsewhere == {
        f"Deployment {name}: spec.progressDeadlineSeconds": "77 instead of 600, by kubectl-patch",
        f"Deployment {name}: spec.template.spec.containers[0].imagePullPolicy": "Always instead of IfNotPresent, by kubectl-patch",
    }
    assert deploys("update", tags={"a": "b"}).done
    assert deploys.get("deployment", name)["spec"]["progressDeadlineSeconds"] == 77
    assert deploys("update", force_conflicts=True).changed
    assert deploys.observed().owned_elsewhere == {}
    made = deploys.get("deployment", name)["spec"]
    assert (made["replicas"], made["template"]["spec"]["containers"][0]["image"]) == (2, image)
