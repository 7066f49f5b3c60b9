"""Pods that ask for a device get onto a tainted node that has it, by the real scheduler; and nodes that come later restart nothing."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deployer.oci import Repository
from deployer_localstack.kubernetes import ClusterProxy
from tests.e2e.kubernetes.deploys import NAME, SMALL, Deploys
from tests.e2e.kubernetes.members import Member
from tests.kubernetes import kubectl
from tests.models import saved_model

DEVICE = f"example.com/device-{uuid.uuid4().hex[:6]}"
"""No other test's pods come to a node that is there for this one."""
ASKS: dict[str, Any] = {**SMALL, "limits": {**SMALL["limits"], DEVICE: "1"}}
KNOWN = {"key": DEVICE, "operator": "Exists", "effect": "NoSchedule"}


@contextmanager
def tainted(*taints: tuple[str, str]) -> Iterator[str]:
    """A node with devices, as its kubelet would have told of it; no kubelet runs its pods."""
    name = f"node-{uuid.uuid4().hex[:8]}"
    told = [{"key": key, "value": value, "effect": "NoSchedule"} for key, value in taints]
    architecture = kubectl("get", "nodes", "-o", "json")["items"][0]["metadata"]["labels"]["kubernetes.io/arch"]
    metadata = {"name": name, "labels": {"kubernetes.io/arch": architecture, "kubernetes.io/hostname": name}}
    kubectl("create", "-f", "-", given={"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": told}})
    try:
        there = {"cpu": "8", "memory": "16Gi", "pods": "50", "ephemeral-storage": "100Gi", DEVICE: "8"}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now, "lastTransitionTime": now}
        _status(name, {"capacity": there, "allocatable": there, "conditions": [ready]})
        yield name
    finally:
        kubectl("delete", "node", name)


def _status(name: str, status: dict[str, Any]) -> None:
    """What a kubelet writes, which kubectl 1.20 can't: the subresource."""
    document = kubectl("get", "node", name, "-o", "json")
    path = f"/api/v1/nodes/{name}/status"
    subprocess.run(["kubectl", "replace", "--raw", path, "-f", "-"], input=json.dumps({**document, "status": status}), text=True, check=True)


def _placed(deploys: Deploys, node: str) -> bool:
    """Whether the scheduler has put the pods onto a node, within a while."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (found := deploys.pods()) and all(each["spec"].get("nodeName") == node for each in found):
            return True
        time.sleep(0.2)
    return False


@pytest.mark.usefixtures("cluster_image")
def test_pods_get_onto_the_nodes_that_have_the_device(
    namespace: str,
    cluster: str,
    cluster_repository: Repository,
    tmp_path: Path,
) -> None:
    deploys = Deploys(namespace, cluster_repository, resources=ASKS, drain_seconds=0, synchronous=False)
    with tainted((DEVICE, "present"), ("pool", "devices")) as node:
        try:
            assert deploys("create", "doubler").done
            assert _placed(deploys, node)
            (made,) = kubectl("get", "deployments", "-n", namespace, "-o", "json")["items"]
            pool = {"key": "pool", "operator": "Equal", "value": "devices", "effect": "NoSchedule"}
            assert made["spec"]["template"]["spec"]["tolerations"] == [KNOWN, pool]
            with tainted(("another", "pool")):
                again = deploys("apply", "doubler")
                assert (again.done, again.changed) == (True, False), "the nodes are others, and what was asked for is the same"

            with ClusterProxy(cluster) as proxy:
                member = Member("deploy", namespace, proxy, tmp_path)
                asks = ("-C", f"resources={json.dumps(ASKS)}", "-C", f"image_repository={cluster_repository.uri}", "--packages", "image")
                said = member.deploy("plan", "-t", "kubernetes", "-n", f"{NAME}-2", "-m", saved_model("doubler"), *asks)
                assert f"the pods tolerate {DEVICE}:NoSchedule alone" in said
                try:
                    lister = Member("nodes", namespace, proxy, tmp_path)
                    allowed = ["kubectl", "--kubeconfig", str(lister.kubeconfig), "get", "nodes", "-o", "name"]
                    assert f"node/{node}" in subprocess.run(allowed, check=True, capture_output=True, text=True).stdout
                finally:
                    for kind in ("clusterrole", "clusterrolebinding"):
                        kubectl("delete", kind, "deployer-nodes", "--ignore-not-found")
        finally:
            deploys("delete")
            kubectl("delete", "pods", "--all", "-n", namespace, "--force", "--grace-period=0")
