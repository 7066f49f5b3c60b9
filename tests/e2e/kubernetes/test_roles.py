"""Each verb of `deploy -t kubernetes` is allowed by its Role in docs/kubernetes/, and needs all of it: a service account has that Role alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.oci import Compression, Repository
from deployer_localstack.kubernetes import ClusterProxy
from tests.e2e.kubernetes.gateways import TakesRoutes
from tests.e2e.kubernetes.members import Member
from tests.kubernetes import kubectl
from tests.models import saved_model

SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
BESIDE_THE_PODS: dict[str, Any] = {
    "autoscaling": {"max": 2},
    "pdb": {},
    "route": {"parent_refs": [{"name": "public"}]},
    "ingress": {},
    "network_policy": {"allow_from": [{"podSelector": {}}], "scrapers": [{"podSelector": {}}]},
    "monitoring": {},
}
# What a rule is for that this story doesn't come to.
BESIDE = {
    "deploy": {
        # Asked of the server's authorizer alone, where an apply makes something.
        *("apps: create deployments", "core: create services", "core: create secrets"),
        *("autoscaling: create horizontalpodautoscalers", "policy: create poddisruptionbudgets", "gateway.networking.k8s.io: create httproutes"),
        *("networking.k8s.io: create ingresses", "networking.k8s.io: create networkpolicies", "monitoring.coreos.com: create podmonitors"),
        # A create that fails is taken back.
        "core: delete configmaps",
    },
    # A claim, where somebody has removed the ConfigMap that has them.
    "delete": {"core: create configmaps"},
}
# What is asked only where pods are late, or where what was seen has changed meanwhile.
SOMETIMES = {
    "deploy": {"apps: get deployments", "core: list events"},
    "delete": {
        *("apps: get deployments", "core: get secrets"),
        *("autoscaling: get horizontalpodautoscalers", "policy: get poddisruptionbudgets", "monitoring.coreos.com: get podmonitors"),
        *("networking.k8s.io: get ingresses", "networking.k8s.io: get networkpolicies", "gateway.networking.k8s.io: get httproutes"),
    },
}


@pytest.fixture
def gateway(namespace: str) -> Iterator[None]:
    with TakesRoutes(namespace):
        yield


@pytest.fixture
def proxy(cluster: str, cluster_repository: Repository, cluster_image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterProxy]:
    monkeypatch.setenv("DEPLOYER_IMAGE_REPOSITORY", cluster_repository.uri)
    with ClusterProxy(cluster) as started:
        yield started


@pytest.mark.usefixtures("installed_kinds", "gateway")
def test_each_verb_is_allowed_by_its_role_and_needs_all_of_it(
    namespace: str,
    cluster_repository: Repository,
    proxy: ClusterProxy,
    tmp_path: Path,
) -> None:
    members = {role: Member(role, namespace, proxy, tmp_path) for role in ("read", "predict", "logs", "deploy", "delete")}
    doubler, tripler = (("-m", saved_model(name), "-C", f"resources={json.dumps(SMALL)}", "-C", "drain_seconds=0") for name in ("doubler", "tripler"))
    question = tmp_path / "question.json"
    question.write_text('{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}')
    churn = ("-t", "kubernetes", "-n", "churn")

    beside = tuple(word for option, value in BESIDE_THE_PODS.items() for word in ("-C", f"{option}={json.dumps(value)}"))
    nothing = tuple(word for option in BESIDE_THE_PODS for word in ("-C", f"{option}=null"))
    members["deploy"].deploy("create", *churn, *doubler, *beside, "-C", 'env={"WORD": "one"}')
    assert "3.0" in members["predict"].deploy("predict", *churn, "-i", question)
    (running,) = kubectl("get", "pods", "-n", namespace, "-o", "json")["items"]
    pulled = cluster_repository.manifest(running["spec"]["containers"][0]["image"].partition("@")[2])
    assert Compression.of(pulled.layers[-1].media_type) is Compression.GZIP, "which every node reads"
    assert "POST /invocations" in members["logs"].deploy("logs", *churn)
    members["read"].deploy("plan", *churn, *tripler)
    members["read"].deploy("diff", *churn, *tripler)
    members["deploy"].deploy("update", *churn, *tripler, *nothing)
    members["deploy"].deploy("rollback", *churn)
    members["deploy"].deploy("apply", *churn, *tripler, *beside)
    for verb in (("get", *churn), ("history", *churn), ("list", "-t", "kubernetes")):
        assert members["read"].deploy(*verb) != "", verb
    members["delete"].deploy("prune", *churn, "--keep", "0")
    members["delete"].deploy("delete", *churn)
    unasked = {role: member.allowed - member.asked - SOMETIMES.get(role, set()) for role, member in members.items()}
    assert unasked == {role: BESIDE.get(role, set()) for role in members}
