"""Predictions where pods let nobody in from outside, as a mesh with strict mTLS doesn't: the server listens on its own localhost alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deployer.core.target import Payload
from deployer.errors import ConfigInvalid, TargetUnavailable
from deployer.oci import Repository
from deployer_localstack.kubernetes import ClusterProxy
from tests.e2e.kubernetes.asking import BODY
from tests.e2e.kubernetes.deploys import NAME, SMALL, TARGET, Deploys
from tests.e2e.kubernetes.members import Member
from tests.kubernetes import kubectl

READY = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=5)"
CONTAINER = "/spec/template/spec/containers/0"
CLOSED: Any = {
    "Deployment": [
        {"op": "replace", "path": f"{CONTAINER}/args", "value": ["serve", "--host", "127.0.0.1"]},
        {"op": "remove", "path": f"{CONTAINER}/startupProbe"},
        {"op": "remove", "path": f"{CONTAINER}/livenessProbe"},
        # As a mesh asks in the probes' place.
        {
            "op": "replace",
            "path": f"{CONTAINER}/readinessProbe",
            "value": {"exec": {"command": ["python3", "-c", READY]}, "timeoutSeconds": 10, "periodSeconds": 2},
        },
    ]
}


@pytest.mark.usefixtures("cluster_image")
def test_pods_that_refuse_the_proxy_are_asked_by_a_port_forward(
    namespace: str,
    cluster: str,
    cluster_repository: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deploys = Deploys(namespace, cluster_repository, resources=SMALL, drain_seconds=0, patch=CLOSED, replicas=2)
    assert deploys("create", "doubler").done
    with ClusterProxy(cluster) as proxy:
        monkeypatch.setenv("KUBECONFIG", str(proxy.kubeconfig))
        cloud = deploys.cloud()
        assert json.loads(TARGET.predict(NAME, Payload(BODY), cloud).body) == {"predictions": [3.0]}
        assert b"".join(TARGET.predict_stream(NAME, Payload(BODY), cloud)) == TARGET.predict(NAME, Payload(BODY), cloud).body
        asked = [each["operation"] for each in proxy.calls()]
        assert asked.count("create services/proxy") == 2, "what refuses twice isn't asked so again"
        assert sum("portforward" in each for each in asked) == 3
        with pytest.raises(ConfigInvalid, match="refuses the request"):
            TARGET.predict(NAME, Payload(b"nothing"), cloud)
        rows = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[each] for each in range(200_000)]}}).encode()
        assert len(json.loads(TARGET.predict(NAME, Payload(rows), cloud).body)["predictions"]) == 200_000, "megabytes, both ways"
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: json.loads(TARGET.predict(NAME, Payload(BODY), cloud).body), range(40)))
        assert answers == [{"predictions": [3.0]}] * 40

        question = tmp_path / "question.json"
        question.write_bytes(BODY)
        predicts = ("predict", "-t", "kubernetes", "-n", NAME, "-i", question)
        without = Member("predict", namespace, proxy, tmp_path)
        refused = without.run(*predicts)
        assert refused.returncode == TargetUnavailable.exit_code, refused
        assert "a port-forward is not allowed" in refused.stderr
        assert "predict-in-a-mesh.yaml" in refused.stderr
        kubectl("create", "rolebinding", "proxies", "-n", namespace, "--role=deployer-predict", f"--serviceaccount={namespace}:predict-in-a-mesh")
        member = Member("predict-in-a-mesh", namespace, proxy, tmp_path)
        assert "3.0" in member.deploy(*predicts)
        assert "3.0" in member.deploy(*predicts, "--stream")
        newer = {"core: create pods/portforward"}
        assert member.allowed - newer == {each for each in member.asked if not each.endswith("/proxy")}
