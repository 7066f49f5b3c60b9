"""Why pods don't come is said as soon as a real cluster knows it, long before the deadline; a node that comes late is waited for."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deployer.oci import Repository
from tests.e2e.kubernetes.test_cluster import until
from tests.kubernetes import cluster, cluster_image, cluster_repository, kubectl, namespace  # noqa: F401
from tests.models import saved_model

DEPLOY = Path(sys.executable).with_name("deploy")
CONTAINER = "/spec/template/spec/containers/0"
FOREIGN = """printf '\\177ELF\\002\\001\\001\\0\\0\\0\\0\\0\\0\\0\\0\\0\\002\\0\\267\\0\\001\\0\\0\\0' > /tmp/foreign; chmod +x /tmp/foreign"""
"""The beginning of a program for another processor, arm64."""


def options(*, memory: str = "512Mi", request: str = "64Mi", **more: Any) -> Mapping[str, Any]:
    return {"resources": {"requests": {"cpu": "50m", "memory": request}, "limits": {"memory": memory}}, "drain_seconds": 0, **more}


def patched(*operations: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
    return options(patch={"Deployment": list(operations)}, **more)


def started_by(image: str) -> Mapping[str, Any]:
    """The program of another architecture that an init container leaves is what the pod runs."""
    init = {
        **{"name": "first", "image": image, "command": ["/bin/sh", "-c", FOREIGN], "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsUser": 12345},
    }
    return patched(
        {"op": "add", "path": "/spec/template/spec/initContainers", "value": [init]},
        {"op": "add", "path": f"{CONTAINER}/command", "value": ["/tmp/foreign"]},
    )


class Deployer:
    """Somebody who deploys to one namespace."""

    def __init__(self, namespace: str, repository: Repository) -> None:  # noqa: F811
        self.namespace, self.repository = namespace, repository

    def create(self, name: str, given: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
        pairs = [word for key, value in {"image_repository": self.repository.uri, **texts}.items() for word in ("-C", f"{key}={value}")]
        command = [DEPLOY, "create", "-t", f"kubernetes://{self.namespace}", "-n", name, "-m", str(saved_model("doubler")), *pairs]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def deployer(namespace: str, cluster_repository: Repository, cluster_image: str) -> Deployer:  # noqa: F811
    return Deployer(namespace, cluster_repository)


def test_what_is_certain_is_said_at_once(deployer: Deployer, cluster_image: str) -> None:  # noqa: F811
    """Side by side, and quota last, which holds for the namespace: none waits for the deadline of ten minutes."""
    missing = f"{deployer.repository.uri}:nowhere"
    troubles = {
        "missing": (patched({"op": "replace", "path": f"{CONTAINER}/image", "value": missing}), "can't pull", "not found"),
        "hungry": (options(memory="24Mi", request="16Mi"), "killed for memory", "its limit of 24Mi"),
        "foreign": (started_by(cluster_image), "another architecture than the node", "exec format error"),
        "crashing": (patched({"op": "add", "path": f"{CONTAINER}/command", "value": ["python3", "-c", "raise SystemExit('boom')"]}), "boom", "boom"),
    }
    with ThreadPoolExecutor() as pool:
        ended = dict(zip(troubles, pool.map(lambda each: deployer.create(each, troubles[each][0]), troubles), strict=True))
    kubectl("create", "quota", "small", "--hard=pods=0", "-n", deployer.namespace)
    until(lambda: kubectl("get", "quota", "small", "-n", deployer.namespace, "-o", "json").get("status", {}).get("hard"))
    ended["many"] = deployer.create("many", options())
    troubles["many"] = (options(), "no room", "exceeded quota: small")
    said = {name: (done.returncode, done.stdout + done.stderr) for name, done in ended.items()}
    for name, (_, what, why) in troubles.items():
        code, text = said[name]
        assert code, said
        assert what in text, said
        assert why in text, said
    ours = ("-n", deployer.namespace, "-l", "app.kubernetes.io/managed-by=deployer", "-o", "json")
    assert not kubectl("get", "deployments,services,secrets,configmaps", *ours)["items"]


def test_a_node_that_comes_late_is_waited_for(deployer: Deployer) -> None:
    """The node is there and fits only once it has a label: what a pod that none fits sees of one that joins."""
    label = f"late-{deployer.namespace}"
    node = kubectl("get", "nodes", "-o", "json")["items"][0]["metadata"]["name"]
    with ThreadPoolExecutor() as pool:
        creating = pool.submit(deployer.create, "patient", options(node_selector={label: "yes"}))
        try:
            until(lambda: "Unschedulable" in json.dumps(kubectl("get", "pods", "-n", deployer.namespace, "-o", "json")))
            time.sleep(5)
            assert not creating.done()
        finally:
            kubectl("label", "node", node, f"{label}=yes")
        done = creating.result()
    kubectl("label", "node", node, f"{label}-")
    assert not done.returncode, done.stderr


@pytest.mark.usefixtures("cluster")
def test_a_service_whose_endpoints_are_still_to_be_made_is_no_missing_deployment(namespace: str) -> None:  # noqa: F811
    """A controller makes them a moment after the Service; for one without a selector it never does."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late"}, "spec": {"ports": [{"port": 80, "name": "http"}]}}
    kubectl("create", "-n", namespace, "-f", "-", given=service)

    def predict(name: str) -> str:
        command = [DEPLOY, "predict", "-t", f"kubernetes://{namespace}", "-n", name, "-d", "{}"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    assert "its Service has no endpoints yet" in predict("late")
    assert "there is no deployment nowhere" in predict("nowhere")
