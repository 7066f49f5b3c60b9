"""Why pods don't come: what is deployed to see each reason on a real cluster, and what is said of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.models import saved_model

DEPLOY = Path(sys.executable).with_name("deploy")
Options = Mapping[str, Any]
_CONTAINER = "/spec/template/spec/containers/0"
_FOREIGN = """printf '\\177ELF\\002\\001\\001\\0\\0\\0\\0\\0\\0\\0\\0\\0\\002\\0\\267\\0\\001\\0\\0\\0' > /tmp/foreign; chmod +x /tmp/foreign"""
"""The beginning of a program for another processor, arm64."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is deployed, and what an error has to say of it: what happens, and why."""

    options: Options
    what: str
    why: str


def options(*, memory: str = "512Mi", request: str = "64Mi", **more: Any) -> Options:
    return {"resources": {"requests": {"cpu": "50m", "memory": request}, "limits": {"memory": memory}}, "drain_seconds": 0, **more}


def missing_image(repository: str) -> Trouble:
    return Trouble(_patched(_replaced("image", f"{repository}:nowhere")), "can't pull", "not found")


def out_of_memory() -> Trouble:
    return Trouble(options(memory="24Mi", request="16Mi"), "killed for memory", "its limit of 24Mi")


def foreign_program(image: str) -> Trouble:
    """The program of another architecture that an init container leaves is what the pod runs."""
    init = {
        **{"name": "first", "image": image, "command": ["/bin/sh", "-c", _FOREIGN], "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsUser": 12345},
    }
    first = {"op": "add", "path": "/spec/template/spec/initContainers", "value": [init]}
    return Trouble(_patched(first, _added("command", ["/tmp/foreign"])), "another architecture than the node", "exec format error")


def ends_by_itself(code: int = 1) -> Trouble:
    """With exit code 1 our runtime says that it never can; with others it may the next time."""
    command = ["python3", "-c", f"import sys; print('boom', file=sys.stderr); sys.exit({code})"]
    return Trouble(_patched(_added("command", command)), "its container ends by itself", "boom")


def no_node(label: str) -> Trouble:
    return Trouble(options(node_selector={label: "yes"}), "no node has room for it", "didn't match")


def never_ready(seconds: int) -> Trouble:
    """Its probe is answered with 404 for as long as it may take."""
    return Trouble(_patched(_replaced("readinessProbe/httpGet/path", "/nowhere"), progress_deadline=seconds), "it is not ready", "404")


def quota_of_no_pods() -> Trouble:
    return Trouble(options(), "no room", "exceeded quota: small")


def deploying(namespace: str, repository: str, name: str, given: Options) -> list[str]:
    """The command that creates it there."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    pairs = [word for key, value in {"image_repository": repository, **texts}.items() for word in ("-C", f"{key}={value}")]
    return [str(DEPLOY), "create", "-t", f"kubernetes://{namespace}", "-n", name, "-m", str(saved_model("doubler")), *pairs]


def create(namespace: str, repository: str, name: str, given: Options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(deploying(namespace, repository, name, given), capture_output=True, text=True, check=False)


def _patched(*operations: Mapping[str, Any], **more: Any) -> Options:
    return options(patch={"Deployment": list(operations)}, **more)


def _replaced(path: str, value: object) -> Mapping[str, Any]:
    return {"op": "replace", "path": f"{_CONTAINER}/{path}", "value": value}


def _added(path: str, value: object) -> Mapping[str, Any]:
    return {"op": "add", "path": f"{_CONTAINER}/{path}", "value": value}
