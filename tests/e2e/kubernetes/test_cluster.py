"""The cluster that tests have is a real one: its node pulls and runs, its Service answers; and through the proxy it is the same."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deployer.oci import Repository
from deployer_localstack.kubernetes import ClusterProxy
from tests.docker import free_port
from tests.kubernetes import kubectl

POD: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}}}
SERVICE: dict[str, Any] = {
    **{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}},
    "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]},
}
SERVES = "import http.server as h; h.ThreadingHTTPServer(('', 8080), h.SimpleHTTPRequestHandler).serve_forever()"


def pod(image: str, *command: str, **limits: str) -> dict[str, Any]:
    """A pod as restricted Pod Security wants it."""
    container = {
        **{"name": "main", "image": image, "command": [*command], "workingDir": "/opt", "resources": {"limits": limits}},
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
    }
    security = {"runAsNonRoot": True, "runAsUser": 12345, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": security, "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0}
    return {**POD, "spec": spec}


def until(done: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def fetched(port: int) -> str:
    """What is answered at a port of this machine; empty for nothing."""
    return subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=False).stdout


@contextmanager
def following(*arguments: str, stdout: Any) -> Iterator[None]:
    """A kubectl that goes on, for as long as the block runs."""
    with subprocess.Popen(["kubectl", *arguments], stdout=stdout, stderr=subprocess.STDOUT) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.fixture
def web(namespace: str, cluster_image: str) -> str:
    """A namespace with a pod that answers, behind a Service."""
    kubectl("create", "-n", namespace, "-f", "-", given=pod(cluster_image, "python3", "-c", SERVES))
    kubectl("create", "-n", namespace, "-f", "-", given=SERVICE)
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/web", "--timeout=90s")
    return namespace


@pytest.fixture
def through_proxy(cluster: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterProxy]:
    with ClusterProxy(cluster) as proxy:
        monkeypatch.setenv("KUBECONFIG", str(proxy.kubeconfig))
        yield proxy


def test_a_pod_answers_behind_its_service(web: str) -> None:
    until(lambda: kubectl("get", "endpoints", "web", "-n", web, "-o", "json").get("subsets"))
    assert "deployer" in kubectl("get", "--raw", f"/api/v1/namespaces/{web}/services/web:80/proxy/")
    port = kubectl("get", "service", "web", "-n", web, "-o", "json")["spec"]["ports"][0]["nodePort"]
    assert "deployer" in until(lambda: fetched(port))


def test_the_cluster_says_why_a_pod_does_not_run(namespace: str, cluster_repository: Repository, cluster_image: str) -> None:
    def state(name: str, image: str, *command: str, **limits: str) -> None:
        kubectl("create", "-n", namespace, "-f", "-", given={**pod(image, *command, **limits), "metadata": {"name": name}})

    state("missing", f"{cluster_repository.uri}/nowhere:1")
    state("crashing", cluster_image, "python3", "-c", "raise SystemExit('no model')")
    state("hungry", cluster_image, "python3", "-c", "x = b'x' * 10**9", memory="64Mi")
    state("large", cluster_image, "python3", memory="1Ti")

    def found() -> bool:
        listed = {each["metadata"]["name"]: json.dumps(each["status"]) for each in kubectl("get", "pods", "-n", namespace, "-o", "json")["items"]}
        wanted = {"missing": "ErrImagePull", "crashing": '"exitCode": 1', "hungry": "OOMKilled", "large": "Insufficient memory"}
        return all(word in listed[name] or word.replace("Err", "") in listed[name] for name, word in wanted.items())

    until(found)


def test_what_any_deployment_of_a_namespace_runs_is_in_use(namespace: str, cluster_image: str) -> None:
    """Of ours and of others, pods or none: `deploy images prune` lets it be."""
    kubectl("create", "deployment", "theirs", "-n", namespace, f"--image={cluster_image}", "--replicas=0")
    code = "import deployer, sys; print(*((use.reference, use.by) for use in deployer.get_deploy_client(sys.argv[1]).image_uses()), sep='\\n')"
    # Apart: in here `kubernetes` is the name of these tests.
    done = subprocess.run([sys.executable, "-c", code, f"kubernetes://{namespace}"], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [str((cluster_image, "deployment theirs"))], done.stderr


@pytest.mark.usefixtures("through_proxy")
def test_all_that_kubectl_does_passes_the_proxy(web: str) -> None:
    assert kubectl("exec", "-n", web, "web", "--", "python3", "-c", "print('a' * 300_000)").strip() == "a" * 300_000
    assert "deployer" in kubectl("get", "--raw", f"/api/v1/namespaces/{web}/services/web:80/proxy/")
    until(lambda: "GET / HTTP/1.1" in kubectl("logs", "-n", web, "web"))
    port = free_port()
    with following("port-forward", "-n", web, "service/web", f"{port}:80", stdout=subprocess.DEVNULL):
        until(lambda: "deployer" in fetched(port))


def test_a_watch_and_a_followed_log_come_through_the_proxy_at_once(web: str, through_proxy: ClusterProxy, tmp_path: Path) -> None:
    def comes(line: str, *arguments: str) -> None:
        output = tmp_path / arguments[0]
        with output.open("w") as file, following("-n", web, *arguments, stdout=file):

            def heard() -> bool:
                kubectl("annotate", "pod", "web", "-n", web, "--overwrite", f"touched={time.monotonic()}")
                subprocess.run(["kubectl", "get", "--raw", f"/api/v1/namespaces/{web}/pods/web:8080/proxy/seen"], capture_output=True, check=False)
                return line in output.read_text()

            until(heard)

    comes("pod/web", "get", "pods", "--watch-only", "-o", "name")
    comes("GET /seen", "logs", "web", "--follow")
    assert {"watch pods", "get pods/log"} <= {entry["operation"] for entry in through_proxy.calls()}


def test_a_call_that_the_proxy_throttles_is_made_again_by_kubectl(namespace: str, through_proxy: ClusterProxy) -> None:
    rule = through_proxy.fault("throttle", operation="list configmaps")
    assert kubectl("get", "configmaps", "-n", namespace, "-o", "json")["kind"] == "List"
    assert rule.hits == 1
    through_proxy.fault("lose-answer", operation="create configmaps")
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}}
    with pytest.raises(AssertionError, match="kubectl create"):
        kubectl("create", "-n", namespace, "-f", "-", given=made)
    assert kubectl("get", "configmap", "made", "-n", namespace, "-o", "name")
