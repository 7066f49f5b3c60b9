"""Volumes that are made for a generation on a real cluster: filled once, gone with it, and nobody's own claim touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.artifacts import files
from deployer.core.target import Payload
from deployer.oci import Repository
from deployer_localstack.kubernetes import ClusterProxy
from tests.e2e.kubernetes.asking import BODY
from tests.e2e.kubernetes.deploys import NAME, SMALL, TARGET, Deploys
from tests.e2e.kubernetes.members import Member
from tests.file_server import Server, serving
from tests.kubernetes import kubectl
from tests.models import saved_model

pytestmark = pytest.mark.skipif("KUBE_CONTEXT" in os.environ, reason="a directory of this machine is a volume on a node of this machine alone")
DEPLOY = Path(sys.executable).with_name("deploy")
OURS = f"app.kubernetes.io/instance={NAME}"


@pytest.fixture
def storage_class(namespace: str) -> Iterator[str]:
    """One with three volumes, which any user may write to."""
    name = f"class-{namespace}"
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        for number in range(3):
            (directory := Path(root) / str(number)).mkdir()
            directory.chmod(0o777)
            spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": name, "capacity": {"storage": "1Gi"}, "hostPath": {"path": str(directory)}}
            metadata = {"name": f"{name}-{number}", "labels": {"made-for": namespace}}
            volume = {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": metadata,
                "spec": {**spec, "persistentVolumeReclaimPolicy": "Retain"},
            }
            kubectl("create", "-f", "-", given=volume)
        yield name
        kubectl("delete", "pv", "-l", f"made-for={namespace}", "--wait=false")


@pytest.fixture
def host(cluster: str) -> str:
    """An address of this machine that its node reaches."""
    nodes = kubectl("get", "nodes", "-o", "json")["items"]
    return str(next(each["address"] for each in nodes[0]["status"]["addresses"] if each["type"] == "InternalIP"))


def has(model: str) -> dict[str, bytes]:
    return {each.path: each.source.read_bytes() for each in files(saved_model(model))}


def answer(deploys: Deploys) -> Any:
    return json.loads(TARGET.predict(NAME, Payload(BODY), deploys.cloud()).body)["predictions"]


def claims(deploys: Deploys) -> list[str]:
    """Those that are there, and stay."""
    found = kubectl("get", "pvc", "-n", deploys.namespace, "-o", "json")["items"]
    return [each["metadata"]["name"] for each in found if "deletionTimestamp" not in each["metadata"]]


def filled_from(server: Server, storage_class: str) -> dict[str, Any]:
    return {"model_delivery": {"pvc": {"size": "500Mi", "storage_class": storage_class, "uri": f"{server.url}/churn"}}}


@pytest.mark.usefixtures("cluster_image")
def test_a_volume_is_filled_once_and_goes_with_its_generation(
    namespace: str,
    cluster_repository: Repository,
    storage_class: str,
    host: str,
) -> None:
    deploys = Deploys(namespace, cluster_repository, resources=SMALL, drain_seconds=0)
    mine = {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Mi"}}}
    kubectl(
        "create", "-n", namespace, "-f", "-", given={"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "mine"}, "spec": mine}
    )
    with serving(has("doubler"), host) as server:
        server.cut.update(dict.fromkeys(server.files, 1))
        options = filled_from(server, storage_class)
        ended = deploys("create", "doubler", **options)
        assert ended.done, (ended.why, ended.lines)
        assert answer(deploys) == [3.0]
        assert server.sent == sum(map(len, server.files.values()))
        ((first, found),) = ((each["metadata"]["name"], each) for each in kubectl("get", "pvc", "-n", namespace, "-l", OURS, "-o", "json")["items"])
        assert found["metadata"]["annotations"]["deployer.io/filled"] == "true"
        assert not deploys("apply", "doubler", **options).changed
        assert deploys("update", replicas=2).done
        assert len(deploys.pods()) == 2, "and none that fills it"
        assert server.sent == sum(map(len, server.files.values())), "it was filled once"

    with serving({**has("tripler"), "MLmodel": b"another"}, host) as server:
        ended = deploys("update", "tripler", **filled_from(server, storage_class))
        assert (ended.code, "MLmodel is not the file that was deployed" in ended.why) == ("rollout-failed", True), (ended.why, ended.lines)
        assert claims(deploys) == [first, "mine"]
        assert answer(deploys) == [3.0]
    with serving(has("tripler"), host) as server:
        ended = deploys("update", "tripler", **filled_from(server, storage_class))
        assert ended.done, (ended.why, ended.lines)
        assert answer(deploys) == [4.5]
    assert len(claims(deploys)) == 3, "the generation before is kept, for a way back"
    assert deploys("rollback").done
    assert answer(deploys) == [3.0]
    assert deploys("prune", keep=0).done
    assert claims(deploys) == [first, "mine"]
    assert deploys("delete").done
    assert claims(deploys) == ["mine"]


@pytest.mark.usefixtures("cluster_image")
def test_it_takes_rights_of_its_own(
    namespace: str,
    cluster_repository: Repository,
    storage_class: str,
    host: str,
    tmp_path: Path,
) -> None:
    with ClusterProxy(os.environ["KUBECONFIG"]) as proxy, serving(has("doubler"), host) as server:
        for role in ("deploy", "delete"):
            Member(role, namespace, proxy, tmp_path)
            kubectl("create", "rolebinding", f"volumes-{role}", "-n", namespace, f"--role=deployer-{role}", f"--serviceaccount={namespace}:volume")
        member = Member("volume", namespace, proxy, tmp_path)
        time.sleep(1)  # bindings are known a little later
        options = {**filled_from(server, storage_class), "resources": SMALL, "image_repository": cluster_repository.uri}
        given = tuple(word for key, value in options.items() for word in ("-C", f"{key}={value if isinstance(value, str) else json.dumps(value)}"))
        member.deploy("create", "-t", "kubernetes", "-n", NAME, "-m", saved_model("doubler"), "--packages", "image", *given)
        member.deploy("apply", "-t", "kubernetes", "-n", NAME, "-m", saved_model("doubler"), "--packages", "image", *given)
        member.deploy("delete", "-t", "kubernetes", "-n", NAME)
        unasked = {"core: create persistentvolumeclaims"}  # of the server's authorizer alone, where an apply makes something
        assert member.allowed - unasked <= member.asked, member.allowed - member.asked


@pytest.mark.usefixtures("cluster_image")
def test_a_run_that_is_killed_while_it_is_filled_is_gone_on_with(
    namespace: str,
    cluster_repository: Repository,
    storage_class: str,
    host: str,
) -> None:
    with serving(has("doubler"), host) as server:
        options = {**filled_from(server, storage_class), "resources": SMALL, "image_repository": cluster_repository.uri}
        given = [word for key, value in options.items() for word in ("-C", f"{key}={value if isinstance(value, str) else json.dumps(value)}")]
        command = [str(DEPLOY), "create", "-t", f"kubernetes://{namespace}", "-n", NAME, "-m", str(saved_model("doubler"))]
        server.answers["/churn/MLmodel"] = [503] * 3
        with subprocess.Popen([*command, "--packages", "image", *given], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
            deadline = time.monotonic() + 60
            while not kubectl("get", "pods", "-n", namespace, "-o", "name"):
                assert killed.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            killed.kill()
        deploys = Deploys(namespace, cluster_repository, resources=SMALL)
        assert [each["metadata"]["labels"].get("app.kubernetes.io/instance") for each in deploys.pods()] == [None], "the one that fills it"
        assert deploys("create", "doubler", **filled_from(server, storage_class)).done
        assert answer(deploys) == [3.0]
        assert len(deploys.pods()) == len(claims(deploys)) == 1
