"""What a cluster of tests lacks: the kinds that others define, and somebody who takes routes as a gateway's controller does."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from typing import Any, Self

import pytest

from deployer_targets.kubernetes.attachments import ROUTE
from deployer_targets.kubernetes.client import MERGE_PATCH, Cluster, Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.kinds import KINDS
from tests.e2e.kubernetes.test_cluster import until
from tests.kubernetes import kubectl


@pytest.fixture(scope="session")
def installed_kinds(cluster: str) -> Iterator[None]:
    """The kinds that aren't Kubernetes' own, each of any shape where the cluster hasn't got it."""
    made = [name for kind, each in KINDS.items() if each.installed and (name := _defined(kind))]
    yield
    for name in made if "KUBE_CONTEXT" in os.environ else ():  # one that is started for tests is gone with them, and shared by them
        kubectl("delete", "crd", name, "--wait=false")


def _defined(kind: str) -> str:
    """The definition that was made; "" where there was one."""
    each = KINDS[kind]
    name, anything = f"{each.plural}.{each.group}", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    metadata = {"name": name, "annotations": {"api-approved.kubernetes.io": "unapproved, of tests"}}  # which names below k8s.io need
    version = {"name": each.versions[0], "served": True, "storage": True, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": anything}}
    spec = {"group": each.group, "scope": "Namespaced", "names": {"kind": kind, "plural": each.plural}, "versions": [version]}
    document = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}
    made = subprocess.run(["kubectl", "create", "-f", "-"], input=json.dumps(document), text=True, capture_output=True, check=False)
    assert not made.returncode or "AlreadyExists" in made.stderr, made.stderr
    until(lambda: subprocess.run(["kubectl", "get", name, "-A"], capture_output=True, check=False).returncode == 0)
    return "" if made.returncode else name


class TakesRoutes:
    """Says of each route of a namespace that it is taken, as a gateway's controller does, for as long as the block runs.

    Attributes:
        refuses: the reason for which it takes none; "" where it does.
        weights: which each route had, one after the other.
    """

    def __init__(self, namespace: str) -> None:
        self.refuses, self.weights = "", list[list[int]]()
        self._cloud = Kube(Cluster(f"/{namespace}"), KubernetesConfig.parse({}, target="kubernetes"))
        self._over, self._thread = threading.Event(), threading.Thread(target=self._take)

    def __enter__(self) -> Self:
        self._cloud.connection.client()  # by the kubeconfig that is named now
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _take(self) -> None:
        while not self._over.wait(0.1):
            for route in self._cloud.list(ROUTE, {}):
                seen = {each["observedGeneration"] for one in (route.get("status") or {}).get("parents", ()) for each in one["conditions"]}
                if seen != {route["metadata"]["generation"]}:
                    self._say(route)

    def _say(self, route: Any) -> None:
        weights = [each["weight"] for each in route["spec"]["rules"][0]["backendRefs"]]
        if self.weights[-1:] != [weights]:
            self.weights.append(weights)
        now = {"observedGeneration": route["metadata"]["generation"], "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "as told"}
        taken = {"type": "Accepted", "status": "False" if self.refuses else "True", "reason": self.refuses or "Accepted", **now}
        conditions = [taken, {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", **now}]
        said = [{"parentRef": each, "controllerName": "tests/gateway", "conditions": conditions} for each in route["spec"]["parentRefs"]]
        where = f"{self._cloud.path(ROUTE, route['metadata']['name'])}/status"
        body = json.dumps({"status": {"parents": said}}).encode()
        self._cloud.connection.call("say of a route", "PATCH", where, body=body, headers={"Content-Type": MERGE_PATCH})
