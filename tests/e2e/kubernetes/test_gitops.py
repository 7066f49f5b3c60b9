"""What is exported, applied by kubectl alone: it answers, and goes from model to model without a request lost on connections that are kept."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployer.oci import Repository
from tests.e2e.kubernetes.asking import Asked, answer_of, keep_asking
from tests.e2e.kubernetes.test_cluster import until
from tests.kubernetes import kubectl
from tests.models import saved_model

DEPLOY = Path(sys.executable).with_name("deploy")
RESOURCES = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
ON_THE_NODE = {"Service": [{"op": "add", "path": "/spec/type", "value": "NodePort"}]}


@pytest.mark.usefixtures("cluster_image")
def test_two_models_synced_one_after_the_other_lose_no_request(
    tmp_path: Path,
    namespace: str,
    cluster_repository: Repository,
) -> None:
    _exported("doubler", tmp_path, cluster_repository)
    _synced(tmp_path, namespace)
    port = kubectl("get", "service", "churn", "-n", namespace, "-o", "json")["spec"]["ports"][0]["nodePort"]
    until(lambda: answer_of(port) == "[3.0]")

    _exported("tripler", tmp_path, cluster_repository)
    with _asking(port) as asked:
        until(lambda: asked.answers)
        _synced(tmp_path, namespace)
        until(lambda: asked.answers["[4.5]"] > 10)
    assert not asked.failures
    assert set(asked.answers) == {"[3.0]", "[4.5]"}
    assert min(asked.answers.values()) > 10


@pytest.mark.usefixtures("cluster_image")
def test_the_same_model_gives_the_same_files(tmp_path: Path, cluster_repository: Repository) -> None:
    for name in ("one", "two"):
        _exported("doubler", tmp_path / name, cluster_repository)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.yaml")]
    assert len(files) == 3
    assert all((tmp_path / "one" / each).read_bytes() == (tmp_path / "two" / each).read_bytes() for each in files)


@pytest.mark.usefixtures("cluster_image")
def test_grpc_is_refused_where_the_image_can_t_answer_it(tmp_path: Path, cluster_repository: Repository) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        _exported("doubler", tmp_path, cluster_repository, grpc=True)
    assert failed.value.returncode == 2
    assert "has no grpcio and protobuf" in failed.value.stderr
    assert "--with grpcio --with protobuf" in failed.value.stderr


def _exported(model: str, directory: Path, repository: Repository, **more: object) -> None:
    options = {"image_repository": repository.uri, "resources": RESOURCES, "replicas": 2, "drain_seconds": 3, "patch": ON_THE_NODE, **more}
    pairs = [word for key, value in options.items() for word in ("-C", f"{key}={value if isinstance(value, str) else json.dumps(value)}")]
    where = ("-t", "kubernetes", "-n", "churn", "-m", str(saved_model(model)), "-o", str(directory), "--format", "kustomize")
    subprocess.run([DEPLOY, "export", *where, *pairs], check=True, stderr=subprocess.PIPE, text=True)


def _synced(directory: Path, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-k", str(directory))
    kubectl("rollout", "status", "-n", namespace, "deployment/churn", "--timeout=120s")


@contextmanager
def _asking(port: int) -> Iterator[Asked]:
    """What comes of asking in the block."""
    asked, over = Asked(), threading.Event()
    clients = threading.Thread(target=keep_asking, args=(port, over, asked))
    clients.start()
    try:
        yield asked
    finally:
        over.set()
        clients.join()
