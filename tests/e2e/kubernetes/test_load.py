"""No request is lost: clients of a process of their own keep their connections to the pods through an update, fewer pods and a rollback."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import threading
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
from tests.kubernetes import cluster, cluster_image, cluster_repository, kubectl, namespace  # noqa: F401
from tests.models import saved_model

NAME = DeploymentName("loaded")
BODY = b'{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}'
ANSWERS = ({"predictions": [3.0]}, {"predictions": [4.5]})
TARGET = Kubernetes()


def keep_asking(port: int, over: Any, told: Any) -> None:
    """Four clients, each with a connection that it keeps as long as the server does; what they were answered, or what failed."""
    counts: dict[str, int] = {"connections": 0}
    failures: list[str] = []

    def client() -> None:
        connection: http.client.HTTPConnection | None = None
        while not over.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                counts["connections"] += 1
            try:
                connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 200 or json.loads(said) not in ANSWERS:
                    failures.append(f"{answer.status} {said[:200]!r}")
                counts[said.decode()] = counts.get(said.decode(), 0) + 1
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))
                connection = None
            time.sleep(0.02)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    told.send((counts, failures))


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
    asking = context.Process(target=keep_asking, args=(port, over, telling), daemon=True)
    asking.start()
    deployed("update", "tripler", namespace, cluster_repository)
    deployed("update", "", namespace, cluster_repository, replicas=1)
    deployed("rollback", "", namespace, cluster_repository)
    time.sleep(4)  # the last pods drain
    over.set()
    counts, failures = told.recv()
    asking.join()
    assert not failures, f"{len(failures)} failed: {failures[:3]}"
    assert counts.pop("connections") > 4  # those that were kept were given back, too
    assert len(counts) == 2, counts
