"""A node without room for two generations: with allow_gap the old pods make room, and come back where the new ones can't serve."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deployer.oci import Repository
from tests.e2e.kubernetes.test_cluster import until
from tests.kubernetes import kubectl
from tests.models import saved_model

DEPLOY = Path(sys.executable).with_name("deploy")
BODY = '{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}'


@pytest.mark.usefixtures("cluster_image")
def test_the_old_pods_make_room_and_come_back(namespace: str, cluster_repository: Repository, tmp_path: Path) -> None:
    large = {"requests": {"memory": _most_of_a_node(), "cpu": "250m"}, "limits": {"memory": _most_of_a_node()}}
    options = {"image_repository": cluster_repository.uri, "resources": json.dumps(large), "drain_seconds": "1", "request_timeout": "5"}

    def deploy(*words: str, code: int = 0) -> str:
        pairs = [word for key, value in options.items() for word in ("-C", f"{key}={value}")]
        done = subprocess.run([DEPLOY, *words, "-t", f"kubernetes://{namespace}", "-n", "wide", *pairs], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def answer() -> list[float]:
        return list(json.loads(deploy("predict", "-d", BODY).splitlines()[0])["predictions"])

    deploy("create", "-m", str(saved_model("doubler")))
    assert answer() == [3.0]

    said = deploy("update", "-m", str(saved_model("tripler")), "-C", "progress_deadline=10", code=5)
    assert "no node has room for it" in said
    assert answer() == [3.0]

    deploy("update", "-m", str(saved_model("tripler")), "-C", "allow_gap=true")
    assert answer() == [4.5]

    said = deploy("update", "-m", str(saved_model("broken")), "-C", "allow_gap=true", code=5)
    assert "a_module_that_is_not_there" in said
    assert answer() == [4.5]
    until(lambda: len(kubectl("get", "pods", "-n", namespace, "-o", "json")["items"]) == 1)


def _most_of_a_node() -> str:
    """Two such pods fit on no node."""
    rooms = [int(each["status"]["allocatable"]["memory"].removesuffix("Ki")) for each in kubectl("get", "nodes", "-o", "json")["items"]]
    return f"{max(rooms) * 6 // 10}Ki"
