"""How models and their packages come to the pods of a real cluster."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from deployer.artifacts import fetch, files
from deployer.core.plan import Progress
from deployer.core.target import DeploymentRequest, Intent, Payload
from deployer.errors import Refused
from deployer.events import silent
from deployer.oci import Repository
from deployer_targets.kubernetes import image_volumes
from deployer_targets.kubernetes.image_volumes import TryImageVolume
from deployer_targets.kubernetes.images import models_image, pods_image
from deployer_targets.kubernetes.steps import PushImage
from tests.e2e.kubernetes.deploys import NAME, SMALL, TARGET, Deploys
from tests.file_server import serving
from tests.index import wheel
from tests.kubernetes import kubectl
from tests.models import copied_model, saved_model
from tests.servers import aws

WHEEL = "code/tinypkg-1.0-py3-none-any.whl"


class Asked(Deploys):
    """And asks it."""

    def answer(self) -> Any:
        question = Payload(b'{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}')
        return json.loads(TARGET.predict(NAME, question, self.cloud()).body)

    def pod(self) -> Any:
        (found,) = self.pods()
        return found


@pytest.fixture
def deploys(namespace: str, cluster_repository: Repository, cluster_image: str) -> Asked:
    return Asked(namespace, cluster_repository, resources=SMALL, drain_seconds=0)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every user may read, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def model(open_path: Path) -> Path:
    """A model that answers what its package says, which no image has."""
    directory = copied_model("doubler", open_path)
    (loader,) = (directory / "code").glob("*.py")
    loader.write_text(re.sub(r"return \[.*", "import tinypkg; return [tinypkg.ANSWER] * len(model_input)", loader.read_text()))
    wheel(directory / "code", "tinypkg", "1.0", tinypkg="ANSWER = 42\n")
    (directory / "requirements.txt").write_text(f"{WHEEL}\n")
    (directory / "python_env.yaml").write_text("python: 3.11.7\n")  # no build backends, which an index has
    return directory


@pytest.fixture
def volume(namespace: str, open_path: Path) -> Iterator[str]:
    """The name of a claim that has the test's directory."""
    name = f"volume-{namespace}"
    size = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    spec = {**size, "capacity": {"storage": "1Gi"}, "hostPath": {"path": str(open_path)}, "persistentVolumeReclaimPolicy": "Retain"}
    kubectl("create", "-f", "-", given={"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    claim = {**size, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}
    given = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": claim}
    kubectl("create", "-n", namespace, "-f", "-", given=given)
    yield "models"
    kubectl("delete", "pv", name, "--wait=false")


@pytest.mark.skipif("KUBE_CONTEXT" in os.environ, reason="a directory of this machine is a volume on a node of this machine alone")
def test_a_model_comes_from_a_volume_and_its_packages_at_the_start_under_any_user(deploys: Asked, model: Path, volume: str) -> None:
    options: dict[str, Any] = {"model_delivery": {"pvc": {"claim": volume, "path": model.name}}}
    ended = deploys("create", fetch(str(model)), "at-start", **options)
    assert ended.done, ended.why
    assert deploys.answer() == {"predictions": [42]}
    made = deploys.pod()
    assert "runAsUser" not in json.dumps(made["spec"])
    assert kubectl("exec", made["metadata"]["name"], "-n", deploys.namespace, "--", "id", "-u").strip() == "10001"
    assert "1 worker(s)" in kubectl("logs", made["metadata"]["name"], "-n", deploys.namespace)  # it requests a tenth of a CPU, and has no quota

    other = [{"op": "add", "path": "/spec/template/spec/securityContext/runAsUser", "value": 1000680000}]  # as OpenShift gives them
    assert deploys("update", "", "at-start", **options, patch={"Deployment": other}).done
    assert deploys.answer() == {"predictions": [42]}
    assert kubectl("exec", deploys.pod()["metadata"]["name"], "-n", deploys.namespace, "--", "id", "-u").strip() == "1000680000"

    loader = model / "code" / "doubler_loader.py"
    loader.write_text(loader.read_text() + "\n")
    ended = deploys("update", "", "at-start", **options, labels={"made": "again"})
    assert (ended.code, "code/doubler_loader.py in /opt/ml/model is not the file that was deployed" in ended.why) == ("rollout-failed", True), (
        ended.why
    )
    assert deploys.answer() == {"predictions": [42]}


@pytest.mark.skipif("KUBE_CONTEXT" in os.environ, reason="the nodes of another cluster reach no server of this machine")
def test_a_model_is_fetched_by_its_pods_and_is_the_one_that_was_deployed(deploys: Asked) -> None:
    nodes = kubectl("get", "nodes", "-o", "json")["items"]
    host = next(each["address"] for each in nodes[0]["status"]["addresses"] if each["type"] == "InternalIP")
    doubler, tripler = saved_model("doubler"), saved_model("tripler")
    with buckets(host) as (endpoint, bucket):
        for each in files(doubler):
            bucket.upload_file(str(each.source), f"churn/{each.path}")
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": endpoint}
        of_s3: dict[str, Any] = {"model_delivery": {"uri": "s3://models/churn"}, "env": keys}
        ended = deploys("create", fetch(str(doubler)), **of_s3)
        assert ended.done, ended.why
        assert deploys.answer() == {"predictions": [3.0]}
        assert deploys.pod()["spec"]["containers"][0]["resources"]["requests"]["ephemeral-storage"] == "257Mi"

        bucket.put_object(Key="churn/MLmodel", Body=b"another")
        ended = deploys("update", **of_s3, labels={"made": "again"})
        assert (ended.code, "MLmodel is not the file that was deployed" in ended.why) == ("rollout-failed", True), ended.why
        assert deploys.answer() == {"predictions": [3.0]}

    with serving({each.path: each.source.read_bytes() for each in files(tripler)}, host) as server:
        server.cut.update(dict.fromkeys(server.files, 1))
        ended = deploys("update", fetch(str(tripler)), model_delivery={"uri": f"{server.url}/churn"}, env={})
        assert ended.done, ended.why
        assert deploys.answer() == {"predictions": [4.5]}
        assert server.sent == sum(map(len, server.files.values()))


@contextmanager
def buckets(host: str) -> Iterator[tuple[str, Any]]:
    """A stand-in for S3 at an address of this machine, and a bucket in it."""
    with aws(host) as endpoint:
        given = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        yield endpoint, boto3.resource("s3", endpoint_url=endpoint, **given).create_bucket(Bucket="models")


def test_a_cluster_that_knows_no_image_as_a_volume_is_told_before_anything_is_made(deploys: Asked) -> None:
    """That of the tests is such a one; on another the model is mounted."""
    ended = deploys("create", "doubler", model_delivery="image_volume")
    if ended.done:
        assert deploys.answer() == {"predictions": [3.0]}
        return
    assert (ended.code, "drops a volume that is an image" in ended.error) == ("config-invalid", True), ended.error
    assert {each for kind in ("deployments", "pods", "services", "secrets", "configmaps") for each in deploys.names(kind) if NAME in each} == set()


@pytest.mark.skipif("KUBE_CONTEXT" in os.environ, reason="another cluster may mount it")
def test_a_node_that_shows_no_file_of_an_image_is_told_and_the_pod_that_tried_is_gone(deploys: Asked) -> None:
    """This API server makes an empty directory of such a volume, as some runtimes do."""
    cloud = deploys.cloud(model_delivery="image_volume")
    request = DeploymentRequest(NAME, Intent.CREATE, fetch(str(saved_model("doubler"))), cloud.config, exported=True)
    wanted = TARGET.resolve(request, None, cloud)
    progress = Progress("try", "try", silent)
    assert PushImage(pods_image(wanted)).run(cloud, progress)
    with pytest.raises(Refused, match="mounts no image as a volume") as found:
        TryImageVolume(NAME, image_volumes.pod(wanted, ""), pods_image(wanted), 60).run(cloud, progress)
    assert "was shown no file of it (exit code 1)" in found.value.why
    assert deploys.pods() == []


def test_the_model_s_own_image_has_its_files_at_its_root_and_is_sent_once(deploys: Asked) -> None:
    cloud, model = deploys.cloud(model_delivery="image_volume"), fetch(str(saved_model("doubler")))
    wanted = TARGET.resolve(DeploymentRequest(NAME, Intent.CREATE, model, cloud.config, exported=True), None, cloud)
    made = models_image(wanted)
    assert made
    image = made.opened(cloud)
    assert image.push(lambda done, total: None)
    assert not image.push(lambda done, total: None)
    manifest = image.repository.manifest(image.reference().partition("@")[2])
    assert image.repository.config(manifest).platform == wanted.image.platform
    (layer,) = manifest.layers
    with tarfile.open(fileobj=io.BytesIO(image.repository.read_blob(layer.digest))) as archive:
        there = {each.name: (read.read(), each.mode & 0o444) for each in archive if (read := archive.extractfile(each))}
    assert there == {each.path: (each.source.read_bytes(), 0o444) for each in files(model.directory)}
