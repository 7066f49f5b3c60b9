"""Why pods don't come is said as soon as a real cluster knows it, long before the deadline; a node that comes late is waited for."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployer.oci import Repository
from tests.e2e.kubernetes import troubles
from tests.e2e.kubernetes.test_cluster import until
from tests.kubernetes import kubectl

LATE = 90
"""Seconds: what autoscalers take to bring a node. It costs no processor, and other modules run beside it."""


class Deployer:
    """Somebody who deploys to one namespace."""

    def __init__(self, namespace: str, repository: Repository) -> None:
        self.namespace, self.repository = namespace, repository

    def create(self, name: str, given: troubles.Options) -> subprocess.CompletedProcess[str]:
        return troubles.create(self.namespace, self.repository.uri, name, given)


@pytest.fixture
def deployer(namespace: str, cluster_repository: Repository, cluster_image: str) -> Deployer:
    return Deployer(namespace, cluster_repository)


def test_what_is_certain_is_said_at_once(deployer: Deployer, cluster_image: str) -> None:
    """Side by side, and quota last, which holds for the namespace: none waits for the deadline of ten minutes."""
    tried = {
        "missing": troubles.missing_image(deployer.repository.uri),
        "hungry": troubles.out_of_memory(),
        "foreign": troubles.foreign_program(cluster_image),
        "crashing": troubles.ends_by_itself(),
    }
    with ThreadPoolExecutor() as pool:
        ended = dict(zip(tried, pool.map(lambda each: deployer.create(each, tried[each].options), tried), strict=True))
    kubectl("create", "quota", "small", "--hard=pods=0", "-n", deployer.namespace)
    until(lambda: kubectl("get", "quota", "small", "-n", deployer.namespace, "-o", "json").get("status", {}).get("hard"))
    tried["many"] = troubles.quota_of_no_pods()
    ended["many"] = deployer.create("many", tried["many"].options)
    said = {name: (done.returncode, done.stdout + done.stderr) for name, done in ended.items()}
    for name, trouble in tried.items():
        code, text = said[name]
        assert code, said
        assert trouble.what in text, said
        assert trouble.why in text, said
    ours = ("-n", deployer.namespace, "-l", "app.kubernetes.io/managed-by=deployer", "-o", "json")
    assert not kubectl("get", "deployments,services,secrets,configmaps", *ours)["items"]


def test_a_node_that_comes_late_is_waited_for(deployer: Deployer) -> None:
    """The node is there and fits only once it has a label: what a pod that none fits sees of one that joins."""
    label = f"late-{deployer.namespace}"
    node = kubectl("get", "nodes", "-o", "json")["items"][0]["metadata"]["name"]
    with ThreadPoolExecutor() as pool:
        creating = pool.submit(deployer.create, "patient", troubles.no_node(label).options)
        try:
            until(lambda: "Unschedulable" in json.dumps(kubectl("get", "pods", "-n", deployer.namespace, "-o", "json")))
            time.sleep(LATE)
            assert not creating.done()
        finally:
            kubectl("label", "node", node, f"{label}=yes")
        done = creating.result()
    kubectl("label", "node", node, f"{label}-")
    assert not done.returncode, done.stderr


@pytest.mark.usefixtures("cluster")
def test_a_service_whose_endpoints_are_still_to_be_made_is_no_missing_deployment(namespace: str) -> None:
    """A controller makes them a moment after the Service; for one without a selector it never does."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late"}, "spec": {"ports": [{"port": 80, "name": "http"}]}}
    kubectl("create", "-n", namespace, "-f", "-", given=service)

    def predict(name: str) -> str:
        command = [troubles.DEPLOY, "predict", "-t", f"kubernetes://{namespace}", "-n", name, "-d", "{}"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    assert "its Service has no endpoints yet" in predict("late")
    assert "there is no deployment nowhere" in predict("nowhere")
