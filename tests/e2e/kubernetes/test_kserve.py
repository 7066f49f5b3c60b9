"""KServe's runtimes on a real cluster: its published definitions take them, and a pod made of one as KServe makes it serves what was fetched.

kserve.json.xz has KServe's own definitions, without descriptions and without defaults that are an empty string, which Kubernetes
1.20 refuses. KServe itself doesn't run here: an init container stands in for its storage-initializer, with its volume and its mounts.
"""

from __future__ import annotations

import base64
import io
import json
import lzma
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml

from deployer.events import silent
from deployer.oci import Repository
from deployer_images.builder import LAYERS, BuildOptions, build_and_push
from deployer_scoring.wire.inference_messages import InferRequest, InferResponse
from tests.docker import root_directory
from tests.e2e.kubernetes.test_cluster import until
from tests.environments import inference_clients_python
from tests.kubernetes import kubectl
from tests.models import copied_model

DEPLOY = Path(sys.executable).with_name("deploy")
DEFINITIONS = Path(__file__).with_name("kserve.json.xz")
RESOURCES = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}


@pytest.fixture(scope="module")
def repository(cluster_repository: Repository) -> Repository:
    """A repository whose shared image has what gRPC takes."""
    found = Repository(cluster_repository.registry, f"{cluster_repository.name}-grpc")
    options = BuildOptions(base_image=str(root_directory()), python="3.11", runtime=LAYERS, requirements=("grpcio", "protobuf"))
    build_and_push(options, found, silent)
    return found


@pytest.fixture(scope="module")
def objects(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The runtimes for any model, and a service that uses one."""
    directory = tmp_path_factory.mktemp("runtimes")
    options = {"image_repository": repository.uri, "resources": json.dumps(RESOURCES)}
    pairs = [word for key, value in options.items() for word in ("-C", f"{key}={value}")]
    subprocess.run([DEPLOY, "export", "-t", "kubernetes", "--format", "serving-runtime", "-o", str(directory), *pairs], check=True)
    return {path.name: yaml.safe_load(path.read_text()) for path in directory.rglob("*.yaml")}


@pytest.fixture
def definitions(cluster: str) -> Iterator[None]:
    """KServe's definitions in the cluster."""
    found = json.loads(lzma.decompress(DEFINITIONS.read_bytes()))
    names = [f"customresourcedefinition/{each['metadata']['name']}" for each in found]
    for each in found:
        until(lambda each=each: _is_created(each))
    until(lambda: all(_is_established(each) for each in kubectl("get", *names, "-o", "json")["items"]))
    yield
    kubectl("delete", "--wait=false", *names)


def _is_created(definition: dict[str, Any]) -> bool:
    """A machine with much else to do may take longer over so large an object than its API server waits."""
    if definition["metadata"]["name"] in kubectl("get", "customresourcedefinitions", "-o", "name"):
        return True
    try:
        kubectl("create", "-f", "-", given=definition)
    except AssertionError as failed:
        if "Timeout" in str(failed) or "AlreadyExists" in str(failed):
            return False
        raise
    return True


def _is_established(definition: dict[str, Any]) -> bool:
    found = definition.get("status", {}).get("conditions") or ()
    return any((each["type"], each["status"]) == ("Established", "True") for each in found)


def service_of(objects: dict[str, Any]) -> dict[str, Any]:
    from deployer_targets.kubernetes import kserve
    from deployer_targets.kubernetes.config import KubernetesConfig

    config = KubernetesConfig.parse({"replicas": 2, "service_account": "reader"}, target="kubernetes")
    runtime = objects["servingruntime.yaml"]["metadata"]["name"]
    return kserve.service_of_runtime("churn", config, "s3://bucket/churn", runtime)  # type: ignore[arg-type]


@pytest.mark.usefixtures("definitions")
def test_the_published_definitions_and_kserve_s_client_take_all_of_it(objects: dict[str, Any], namespace: str) -> None:
    wanted = [*objects.values(), service_of(objects)]
    for each in wanted:
        # A name that the definition doesn't have is dropped by the API server without a word.
        where = ["-n", namespace] if each["kind"] == "InferenceService" else []
        applied = kubectl("apply", "--server-side", "-f", "-", "-o", "json", *where, given=each)
        assert lost(each["spec"], applied["spec"]) == []
    done = subprocess.run(
        [str(inference_clients_python()), str(Path(__file__).with_name("kserve_models.py"))],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_pod_of_each_runtime_as_kserve_makes_it_serves_what_was_fetched(
    objects: dict[str, Any],
    namespace: str,
    tmp_path: Path,
) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", given=stored(tmp_path))
    for file, name in (("servingruntime.yaml", "web"), ("servingruntime-grpc.yaml", "calls")):
        kubectl("apply", "-n", namespace, "--validate=false", "-f", "-", given=pod(objects[file], name))
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "--timeout=120s", "pod/web", "pod/calls")

    patient = httpx.HTTPTransport(retries=6)  # a pod that answers its probe late leaves the Service for a moment
    with httpx.Client(base_url=f"http://127.0.0.1:{port_of('web', namespace)}", transport=patient, trust_env=False, timeout=60) as client:
        assert client.get("/v1/models/web").json() == {"name": "web", "ready": True}
        assert client.post("/v1/models/web:predict", json={"instances": [[1.5]]}).json() == {"predictions": [3.0]}
        tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}
        assert client.post("/v2/models/web/infer", json={"inputs": [tensor]}).json()["outputs"][0]["data"] == [3.0]
        scraped = objects["servingruntime.yaml"]["spec"]["annotations"]
        assert scraped["prometheus.kserve.io/port"] == "8080"
        assert "deployer_requests_total" in client.get(scraped["prometheus.kserve.io/path"]).text

    request = InferRequest(model_name="calls", inputs=[{"name": "x", "datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [1.5]}}])
    with grpc.insecure_channel(f"127.0.0.1:{port_of('calls', namespace)}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        answer = infer(request.SerializeToString(), timeout=60, wait_for_ready=True)
    assert list(InferResponse.FromString(answer).outputs[0].contents.fp64_contents) == [3.0]


def stored(directory: Path) -> dict[str, Any]:
    """A model that needs nothing but the image, as a ConfigMap that the init container fetches it from."""
    model = copied_model("doubler", directory)
    (model / "requirements.txt").write_text("")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(model, ".")
    data = {"model.tar": base64.b64encode(archive.getvalue()).decode()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "storage"}, "binaryData": data}


def pod(runtime: dict[str, Any], name: str) -> dict[str, Any]:
    """The pod that KServe makes of a runtime for a service: the name filled in, the model fetched before, and mounted to be read."""
    own = json.loads(json.dumps(runtime["spec"]["containers"][0]).replace("{{.Name}}", name))
    if port := own["readinessProbe"].pop("grpc", None):  # which Kubernetes has from 1.24
        own["readinessProbe"]["tcpSocket"] = port
    fetch = {
        "name": "storage-initializer",
        "image": own["image"],
        "command": ["/opt/deployer/venv/bin/python", "-m", "tarfile", "-e", "/source/model.tar", "/mnt/models"],
        "securityContext": own["securityContext"],
        "volumeMounts": [{"name": "source", "mountPath": "/source"}, {"name": "kserve-provision-location", "mountPath": "/mnt/models"}],
    }
    mounted = {"name": "kserve-provision-location", "mountPath": "/mnt/models", "readOnly": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": runtime["spec"]["annotations"]},
        "spec": {
            "automountServiceAccountToken": False,
            "initContainers": [fetch],
            "containers": [{**own, "volumeMounts": [*own["volumeMounts"], mounted]}],
            "volumes": [
                *runtime["spec"]["volumes"],
                {"name": "kserve-provision-location", "emptyDir": {}},
                {"name": "source", "configMap": {"name": "storage"}},
            ],
        },
    }


def port_of(name: str, namespace: str) -> int:
    """A port of this machine that leads to the one that the pod's container names, as KServe's Service does."""
    (port,) = kubectl("get", "pod", name, "-n", namespace, "-o", "json")["spec"]["containers"][0]["ports"]
    ports = [{"port": 80, "targetPort": port["containerPort"], "protocol": "TCP"}]
    spec = {"type": "NodePort", "selector": {"app": name}, "ports": ports}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
    found = int(kubectl("apply", "-n", namespace, "-f", "-", "-o", "json", given=made)["spec"]["ports"][0]["nodePort"])
    until(lambda: _is_open(found))  # kube-proxy sees to it in its own time
    return found


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def lost(wanted: Any, there: Any, path: str = "") -> list[str]:
    """Where something that is wanted isn't there."""
    if isinstance(wanted, dict):
        return [each for key, value in wanted.items() for each in lost(value, there.get(key) if isinstance(there, dict) else None, f"{path}/{key}")]
    if isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there):
        return [each for at, pair in enumerate(zip(wanted, there, strict=True)) for each in lost(*pair, f"{path}/{at}")]
    return [] if wanted == there else [path]
