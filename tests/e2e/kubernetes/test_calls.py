"""How often the API server is asked: each call is one that others wait behind. Counted in the journal of the proxy before a real one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from deployer.artifacts import fetch
from deployer.conformance.clients import UserCommand, run
from deployer.core.state import DeploymentName
from deployer.core.target import TargetUri
from deployer.oci import Repository
from deployer_localstack.kubernetes import ClusterProxy
from deployer_targets.kubernetes.target import Kubernetes
from tests.models import saved_model

NAME = DeploymentName("counted")
TARGET = Kubernetes()
POLLS = frozenset({"list pods", "get deployments"})
"""How many there are depends on how long pods take to be made, and to be ready."""
Deploy = Callable[..., Counter[str]]


@pytest.fixture
def deploy(
    cluster: str,
    namespace: str,
    cluster_repository: Repository,
    cluster_image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Deploy]:
    """Runs a command, and gives what it asked, polls apart."""
    small: Mapping[str, Any] = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    with ClusterProxy(cluster) as proxy:
        monkeypatch.setenv("KUBECONFIG", str(proxy.kubeconfig))

        def asked(verb: str, model: str = "", **options: Any) -> Counter[str]:
            given = {"image_repository": cluster_repository.uri, "resources": small, "drain_seconds": 0, **options}
            cloud = TARGET.connect(TargetUri("kubernetes", f"/{namespace}"), TARGET.config.parse(given, target="kubernetes"))
            proxy.clear()
            ended = run(TARGET, cloud, UserCommand(verb, NAME, fetch(str(saved_model(model))) if model else None, given))
            assert ended.done, ended
            return Counter(entry["operation"] for entry in proxy.calls() if entry["operation"] not in POLLS)

        yield asked


def test_no_verb_asks_more_than_it_must(deploy: Deploy) -> None:
    counted = {
        "create": deploy("create", "doubler"),
        "nothing": deploy("apply", "doubler"),
        "update": deploy("update", "tripler"),
        "live": deploy("update", replicas=2),
        "another": deploy("update", "doubler", replicas=1, env={"WORD": "one"}),  # the oldest of three generations goes
        "rollback": deploy("rollback"),
        "delete": deploy("delete"),
    }
    most = {"create": 18, "nothing": 3, "update": 22, "live": 18, "another": 29, "rollback": 25, "delete": 23}
    assert {verb: calls.total() for verb, calls in counted.items() if calls.total() > most[verb]} == {}, counted
