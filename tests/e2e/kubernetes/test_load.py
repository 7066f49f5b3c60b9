"""No request is lost: clients of a process of their own keep their connections to the pods through an update, fewer pods and a rollback."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from typing import Any

import pytest

from deployer.artifacts import fetch
from deployer.conformance.clients import Command, run
from deployer.core.state import DeploymentName
from deployer.core.target import TargetUri
from deployer.oci import Repository
from deployer_targets.kubernetes.target import Kubernetes
from tests.e2e.kubernetes.asking import Asked, keep_asking
from tests.kubernetes import cluster, cluster_image, cluster_repository, kubectl, namespace  # noqa: F401
from tests.models import saved_model

NAME = DeploymentName("loaded")
TARGET = Kubernetes()


def ask_and_tell(port: int, over: Any, told: Any) -> None:
    """What a process of its own does."""
    asked = Asked()
    keep_asking(port, over, asked)
    told.send(asked)


@pytest.fixture
def port(cluster: str, namespace: str, cluster_repository: Repository, cluster_image: str) -> Iterator[int]:  # noqa: F811
    """Of the node, where the Service of a deployment answers."""
    deployed(
        "create", "doubler", namespace, cluster_repository, replicas=2, patch={"Service": [{"op": "add", "path": "/spec/type", "value": "NodePort"}]}
    )
    yield kubectl("get", "service", NAME, "-n", namespace, "-o", "json")["spec"]["ports"][0]["nodePort"]


def deployed(verb: str, model: str, namespace: str, repository: Repository, **options: Any) -> None:  # noqa: F811
    small = {"requests": {"cpu": "300m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    given = {"image_repository": repository.uri, "resources": small, "drain_seconds": 3, **options}
    cloud = TARGET.connect(TargetUri("kubernetes", f"/{namespace}"), TARGET.config.parse(given, target="kubernetes"))
    ended = run(TARGET, cloud, Command(verb, NAME, fetch(str(saved_model(model))) if model else None, given))
    assert ended.done, ended


def test_no_request_is_lost(port: int, namespace: str, cluster_repository: Repository) -> None:  # noqa: F811
    context = multiprocessing.get_context("spawn")
    over, (told, telling) = context.Event(), context.Pipe(duplex=False)
    asking = context.Process(target=ask_and_tell, args=(port, over, telling), daemon=True)
    asking.start()
    deployed("update", "tripler", namespace, cluster_repository)
    deployed("update", "", namespace, cluster_repository, replicas=1)
    deployed("rollback", "", namespace, cluster_repository)
    time.sleep(4)  # the last pods drain
    over.set()
    asked = told.recv()
    asking.join()
    assert not asked.failures, f"{len(asked.failures)} failed: {asked.failures[:3]}"
    assert asked.connections > 4  # those that were kept were given back, too
    assert set(asked.answers) == {"[3.0]", "[4.5]"}, asked.answers
