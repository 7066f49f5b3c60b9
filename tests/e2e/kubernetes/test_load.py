"""Requests over real connections: none is lost by what is done to the pods, and a canary has the share of them that its plan told."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import Counter
from typing import Any

import pytest

from deployer.conformance.clients import wish
from deployer.conformance.looks import done
from deployer.oci import Repository
from deployer.verbs import lifecycle
from tests.apart import working
from tests.e2e.kubernetes.asking import Asked, answer_of, keep_asking
from tests.e2e.kubernetes.deploys import SMALL, TARGET, Deploys
from tests.e2e.kubernetes.test_cluster import until

NODE_PORT = {"Service": [{"op": "add", "path": "/spec/type", "value": "NodePort"}]}
ASKED = 240
"""Connections, each with one request: 10 % and a third are six standard deviations apart."""


class Loaded(Deploys):
    """Whose Service has a port of the node."""

    def plan(self, verb: str, model: str = "", **options: Any) -> str:
        """What it would do, in words."""
        found = lifecycle.prospect(TARGET, self.cloud(**options), wish(TARGET, self.command(verb, model, **options)))
        return "\n".join(step.describe() for step in found.plan.forward)

    def port(self) -> int:
        """Of the node, where the Service answers."""
        return int(self.get("service")["spec"]["ports"][0]["nodePort"])


@pytest.fixture
def deploys(cluster: str, namespace: str, cluster_repository: Repository, cluster_image: str) -> Loaded:
    return Loaded(namespace, cluster_repository, resources=SMALL, drain_seconds=3, patch=NODE_PORT)


def asking(port: int, over: Any) -> Asked:
    asked = Asked()
    keep_asking(port, over, asked)
    return asked


def evicted(pod: str, namespace: str) -> bool:
    """Asked as a drain of its node asks; whether the budget lets it go."""
    eviction = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    where = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    done = subprocess.run(["kubectl", "create", "--raw", where, "-f", "-"], input=json.dumps(eviction), capture_output=True, text=True, check=False)
    assert not done.returncode or "disruption budget" in done.stderr, done.stderr
    return not done.returncode


def test_no_request_is_lost(deploys: Loaded) -> None:
    """Clients keep their connections through an update, a drain of the pods' node, fewer pods, and a rollback."""
    done(deploys("create", "doubler", replicas=2, pdb={"max_unavailable": 1}))
    with working(asking, deploys.port()) as found:
        done(deploys("update", "tripler"))
        first, second = (each["metadata"]["name"] for each in deploys.pods())
        until(lambda: evicted(first, deploys.namespace))
        assert not evicted(second, deploys.namespace)
        until(lambda: evicted(second, deploys.namespace))  # once there is another in place of the first
        done(deploys("update", replicas=1))
        done(deploys("rollback"))
        time.sleep(4)  # the last pods drain
    (asked,) = found
    assert not asked.failures, f"{len(asked.failures)} failed: {asked.failures[:3]}"
    assert asked.connections > 4  # those that were kept were given back, too
    assert set(asked.answers) == {"[3.0]", "[4.5]"}, asked.answers


def test_the_answers_prove_the_split_that_the_plan_told(deploys: Loaded) -> None:
    """A tenth of three pods is one: a third of the connections."""
    done(deploys("create", "doubler", replicas=3))
    canary = {"strategy": "canary", "steps": [10], "pause": "manual"}
    told = re.search(r"10 % to \w+ \((\d) of (\d) pods: (\d+) %", deploys.plan("update", "tripler", **canary))
    assert told is not None
    new, of, percent = map(int, told.groups())
    done(deploys("update", "tripler", **canary))
    assert (new, of, percent) == (1, 3, 33)
    port = deploys.port()
    until(lambda: answer_of(port) == "[4.5]")  # the node's proxy has it within a second or two
    found = Counter(answer_of(port) for _ in range(ASKED))
    share, deviation = new / of, (ASKED * new / of * (1 - new / of)) ** 0.5
    assert abs(found["[4.5]"] - ASKED * share) < 4 * deviation, found
