"""What is exported, applied by kubectl alone: it answers, and goes from model to model without a request lost on connections that are kept."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployer.oci import Repository
from tests.e2e.kubernetes.test_cluster import until
from tests.kubernetes import cluster, cluster_image, cluster_repository, kubectl, namespace  # noqa: F401
from tests.models import saved_model

DEPLOY = Path(sys.executable).with_name("deploy")
RESOURCES = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
ON_THE_NODE = {"Service": [{"op": "add", "path": "/spec/type", "value": "NodePort"}]}
BODY = b'{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}'


@pytest.mark.usefixtures("cluster_image")
def test_two_models_synced_one_after_the_other_lose_no_request(
    tmp_path: Path,
    namespace: str,  # noqa: F811
    cluster_repository: Repository,  # noqa: F811
) -> None:
    _exported("doubler", tmp_path, cluster_repository)
    _synced(tmp_path, namespace)
    port = kubectl("get", "service", "churn", "-n", namespace, "-o", "json")["spec"]["ports"][0]["nodePort"]
    until(lambda: _answers(port) == "[3.0]")

    _exported("tripler", tmp_path, cluster_repository)
    with _asked(port) as answers:
        until(lambda: answers)
        _synced(tmp_path, namespace)
        until(lambda: answers["[4.5]"] > 10)
    assert set(answers) == {"[3.0]", "[4.5]"}
    assert min(answers.values()) > 10


@pytest.mark.usefixtures("cluster_image")
def test_the_same_model_gives_the_same_files(tmp_path: Path, cluster_repository: Repository) -> None:  # noqa: F811
    for name in ("one", "two"):
        _exported("doubler", tmp_path / name, cluster_repository)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.yaml")]
    assert len(files) == 3
    assert all((tmp_path / "one" / each).read_bytes() == (tmp_path / "two" / each).read_bytes() for each in files)


def _exported(model: str, directory: Path, repository: Repository) -> None:
    options = {"image_repository": repository.uri, "resources": RESOURCES, "replicas": 2, "drain_seconds": 3, "patch": ON_THE_NODE}
    pairs = [word for key, value in options.items() for word in ("-C", f"{key}={value if isinstance(value, str) else json.dumps(value)}")]
    where = ("-t", "kubernetes", "-n", "churn", "-m", str(saved_model(model)), "-o", str(directory), "--format", "kustomize")
    subprocess.run([DEPLOY, "export", *where, *pairs], check=True)


def _synced(directory: Path, namespace: str) -> None:  # noqa: F811
    kubectl("apply", "-n", namespace, "-k", str(directory))
    kubectl("rollout", "status", "-n", namespace, "deployment/churn", "--timeout=120s")


def _answers(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        return _answer(connection)
    finally:
        connection.close()


def _answer(connection: http.client.HTTPConnection) -> str:
    connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read().decode()
    assert answer.status == 200, said
    return str(json.loads(said)["predictions"])


@contextmanager
def _asked(port: int) -> Iterator[Counter[str]]:
    """How often each answer came on four connections that are kept, in the block; a request that fails is an answer of its own."""
    answers: Counter[str] = Counter()
    end = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not end.wait(0.01):
            try:
                answers[_answer(connection)] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                answers[repr(error)] += 1
                connection.close()
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    try:
        yield answers
    finally:
        end.set()
        for each in threads:
            each.join()
