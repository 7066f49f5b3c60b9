"""Somebody with one Role of docs/kubernetes/ and no other right, who runs commands, and what those asked of the API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from deployer_localstack.kubernetes import ClusterProxy
from tests.kubernetes import kubectl

ROLES = Path(__file__).parents[3] / "docs" / "kubernetes"


class Member:
    """Somebody with one Role, who deploys through the proxy."""

    def __init__(self, role: str, namespace: str, proxy: ClusterProxy, directory: Path) -> None:
        document = yaml.safe_load((ROLES / f"{role}.yaml").read_text())
        self.allowed = {
            f"{group or 'core'}: {verb} {resource}"
            for rule in document["rules"]
            for group in rule["apiGroups"]
            for verb in rule["verbs"]
            for resource in rule["resources"]
        }
        self.asked: set[str] = set()
        self._proxy, self.kubeconfig = proxy, directory / role
        token = _member_of(document, role, namespace)
        config = yaml.safe_load(proxy.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        config["contexts"][0]["context"]["namespace"] = namespace
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def deploy(self, *arguments: object) -> str:
        """A run of the command line, which must not fail; what it prints."""
        ran = self.run(*arguments)
        assert not ran.returncode, f"deploy {' '.join(map(str, arguments))}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}"
        return ran.stdout

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """The same, however it ends."""
        self._proxy.clear()
        command = [str(Path(sys.executable).with_name("deploy")), *map(str, arguments)]
        ran = subprocess.run(command, env={**os.environ, "KUBECONFIG": str(self.kubeconfig)}, capture_output=True, text=True, check=False)
        self.asked |= {f"{each['service']}: {each['operation']}" for each in self._proxy.calls() if each["service"]}
        return ran


def _member_of(role: dict[str, Any], name: str, namespace: str) -> str:
    """A service account with a Role; its token."""
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": role["metadata"]["name"]}
    bound = role["metadata"]["name"] if role["kind"] == "ClusterRole" else name
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": f"{role['kind']}Binding", "metadata": {"name": bound}}
    for made in (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        role,
        {**binding, "roleRef": reference, "subjects": [subject]},
    ):
        kubectl("create", "-n", namespace, "-f", "-", given=made)
    _known(role, f"system:serviceaccount:{namespace}:{name}", namespace)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(json.loads(kubectl("create", "--raw", path, "-f", "-", given=request))["status"]["token"])


def _known(role: dict[str, Any], user: str, namespace: str) -> None:
    """Wait until the API server goes by a binding that was made just now."""
    rule, deadline = role["rules"][0], time.monotonic() + 30
    kind, _, part = rule["resources"][0].partition("/")
    resource = ".".join(filter(None, [kind, rule["apiGroups"][0]]))
    asked = ["kubectl", "auth", "can-i", rule["verbs"][0], resource, "--subresource", part, "-n", namespace, "--as", user]
    while subprocess.run(asked, capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, f"{user} may nothing"
        time.sleep(0.1)
