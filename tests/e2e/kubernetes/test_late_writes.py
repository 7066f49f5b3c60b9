"""An older run that stands still in any write up to its switch, and goes on when a newer one is done, changes nothing of what that one has made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deployer.oci import Repository
from deployer_localstack.kubernetes import ClusterProxy
from deployer_targets.kubernetes import names
from tests.kubernetes import kubectl
from tests.models import saved_model

DEPLOY = Path(sys.executable).with_name("deploy")
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
WRITES = "[cdp]*"
"""create, delete, patch."""


@pytest.mark.usefixtures("cluster_image")
def test_a_write_that_comes_late_changes_nothing(cluster: str, namespace: str, cluster_repository: Repository) -> None:
    """But the claim, an update's first write: who comes late with that claims again. The newer run changes in place, so that no pods come."""

    def command(verb: str, *more: str) -> list[str]:
        options = {"image_repository": cluster_repository.uri, "resources": json.dumps(SMALL), "drain_seconds": "0", "keep": "0"}
        pairs = [part for key, value in options.items() for part in ("-C", f"{key}={value}")]
        return [str(DEPLOY), verb, "-t", f"kubernetes://{namespace}", "-n", "churn", *pairs, *more]

    def deploy(verb: str, *more: str) -> None:
        done = subprocess.run(command(verb, *more), capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr

    def other_model() -> str:
        serving = kubectl("get", "service", "churn", "-n", namespace, "-o", "json")["metadata"]["annotations"][names.MODEL]
        return str(saved_model("tripler" if "doubler" in serving else "doubler"))

    environment = ("-C", 'env={"WORD": "one"}')
    deploy("create", "-m", str(saved_model("doubler")), *environment)
    held: list[str] = []
    with ClusterProxy(cluster) as proxy:
        while held.count("patch services") < 2:  # marked, and led to the new pods
            proxy.clear()
            rule = proxy.fault("hold", operation=WRITES, skip=len(held) + 1)
            through = {**os.environ, "KUBECONFIG": str(proxy.kubeconfig)}
            update = command("update", "-m", other_model(), *environment)
            older = subprocess.Popen(update, env=through, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while older.poll() is None and not rule.hits:
                time.sleep(0.05)
            assert rule.hits, (held, older.communicate())
            late = next(each for each in proxy.calls() if each["fault"] == "hold")
            held.append(late["operation"])
            older.send_signal(signal.SIGSTOP)
            deploy("update", "-C", f'tags={{"beside": "{len(held)}"}}')
            before = made(namespace)
            proxy.clear()
            answered(late)
            older.send_signal(signal.SIGCONT)
            _, said = older.communicate()
            writes = " | ".join(held)
            assert older.returncode, writes
            assert "is not this run's any more" in said, (writes, said)
            after = made(namespace)
            assert {key: value for key, value in after.items() if key in before} == before, writes
            more = [value for key, value in after.items() if key not in before]
            assert all(each["kind"] == "Secret" or each["spec"]["replicas"] == 0 for each in more), writes
    assert {"patch secrets", "patch configmaps"} <= set(held)
    assert held.count("patch deployments") == 3  # marked, made, given its pods


def answered(call: Mapping[str, Any]) -> None:
    """Wait until what was held has come through."""
    deadline = time.monotonic() + 60
    while call["status"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def made(namespace: str) -> Mapping[str, Any]:
    """All that is there, by kind and name, without what says who looked at it."""
    found = kubectl("get", "services,deployments,secrets,configmaps", "-n", namespace, "-l", f"{names.INSTANCE}=churn", "-o", "json")["items"]
    return {
        f"{each['kind']} {each['metadata']['name']}": {key: each.get(key) for key in ("kind", "spec", "data")}
        | {"labels": each["metadata"]["labels"], "traffic": each["metadata"].get("annotations", {}).get(names.TRAFFIC)}
        for each in found
    }
