"""How soon a command says why pods don't come, once a real cluster knows: each reason for itself."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deployer_localstack.http.certificates import Authority
from tests.bench.tables import Table
from tests.e2e.kubernetes import troubles
from tests.e2e.kubernetes.troubles import Trouble

SPACE = "deployer-bench-diagnosis"
_DENIED = "no team label"
_PATIENCE = 180
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A reason.

    Attributes:
        knows: tells an object of the cluster that shows it; from `seconds` after that on it counts.
        ends: the command ends for it, where it else goes on waiting.
    """

    what: str
    trouble: Trouble
    knows: Callable[[Object], bool]
    seconds: float = 0.0
    ends: bool = True


def table(image: str, environment: Mapping[str, str]) -> Table:
    """One after the other, in a namespace of their own."""
    repository = environment["DEPLOYER_IMAGE_REPOSITORY"]
    cases = (
        Case("image not found", troubles.missing_image(repository), lambda each: "ErrImagePull" in _waiting(each)),
        Case("ends: the model can't be loaded", troubles.ends_by_itself(), lambda each: _crashes(each) >= 1),
        Case("ends three times", troubles.ends_by_itself(code=3), lambda each: _crashes(each) >= 3),
        Case("OOMKilled", troubles.out_of_memory(), lambda each: "OOMKilled" in json.dumps(_containers(each))),
        Case("wrong architecture", troubles.foreign_program(image), lambda each: "exec format error" in json.dumps(_containers(each))),
        Case("no node fits", troubles.no_node("deployer-bench"), lambda each: _condition(each, "PodScheduled", "False"), ends=False),
        Case("probe fails until progress_deadline", troubles.never_ready(12), lambda each: each["kind"] == "Pod", seconds=12),
    )
    denied = Case("admission webhook", Trouble(troubles.options(), "admission webhook", _DENIED), _refused)
    quota = Case("quota", troubles.quota_of_no_pods(), _refused)
    _kubectl(environment, "create", "namespace", SPACE)
    try:
        _kubectl(environment, "label", "namespace", SPACE, f"{SPACE}=yes")
        rows = [_row(case, repository, environment) for case in cases]
        with _webhook(environment):
            rows.append(_row(denied, repository, environment))
        _kubectl(environment, "create", "quota", "small", "--hard=pods=0", "-n", SPACE)
        while not json.loads(_kubectl(environment, "get", "quota", "small", "-n", SPACE, "-o", "json")).get("status", {}).get("hard"):
            time.sleep(0.1)
        rows.append(_row(quota, repository, environment))
    finally:
        _kubectl(environment, "delete", "namespace", SPACE, "--wait=false")
    note = "What the cluster knows comes by a watch of its pods and Deployments, from the command's beginning on. Goal: said within 3 s of it."
    return Table("Diagnosis on Kubernetes", ("why pods don't come", "the cluster knows after, s", "said after that, s"), tuple(rows), note)


def _row(case: Case, repository: str, environment: Mapping[str, str]) -> tuple[str, str, str]:
    name = f"case-{case.what.split()[0].rstrip(':').lower()}-{abs(hash(case.what)) % 1000}"
    known: list[float] = []
    with ExitStack() as stack:
        for where in ("api/v1/{}/pods", "apps/v1/{}/deployments"):
            path = f"/{'apis/' if where.startswith('apps') else ''}{where.format(f'namespaces/{SPACE}')}?watch=1"
            stack.enter_context(_watched(path, environment, lambda each: _of(each, name) and case.knows(each), known))
        begin = time.monotonic()
        said = _said(case, troubles.deploying(SPACE, repository, name, case.trouble.options), environment)
        deadline = time.monotonic() + 5
        while not known:  # the watch's line may come a moment after the command's
            assert time.monotonic() < deadline, f"{case.what}: the cluster doesn't show it"
            time.sleep(0.01)
    knew = known[0] + case.seconds
    return case.what, f"{knew - begin:.1f}", f"{max(0.0, said - knew):.1f}"


def _said(case: Case, command: list[str], environment: Mapping[str, str]) -> float:
    """When the command said it; it is left to go back where it does."""
    with subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        killer = threading.Timer(_PATIENCE, process.kill)
        killer.start()
        at, heard = 0.0, []
        for line in process.stdout:
            heard.append(line)
            if not at and case.trouble.what in line and ("✗" in line or not case.ends):
                at = time.monotonic()
                if not case.ends:
                    process.terminate()
        killer.cancel()
    assert at, f"{case.what}: not said in\n{''.join(heard)}"
    return at


@contextmanager
def _watched(path: str, environment: Mapping[str, str], shows: Callable[[Object], bool], known: list[float]) -> Iterator[None]:
    """When things there first show it is put into `known`, for as long as the block runs."""
    with subprocess.Popen(["kubectl", "get", "--raw", path], env=dict(environment), stdout=subprocess.PIPE, text=True) as process:

        def follow() -> None:
            assert process.stdout
            for line in process.stdout:
                if not known and shows(json.loads(line)["object"]):
                    known.append(time.monotonic())

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield
        finally:
            process.terminate()
            thread.join()


@contextmanager
def _webhook(environment: Mapping[str, str]) -> Iterator[None]:
    """One of this process that refuses each pod of the namespace."""
    authority = Authority.fresh(SPACE)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refuses)
    server.socket = authority.server_context().wrap_socket(server.socket, server_side=True)
    hook = {
        **{"name": "policy.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore"},
        "clientConfig": {"url": f"https://127.0.0.1:{server.server_port}/", "caBundle": base64.b64encode(authority.certificate).decode()},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {SPACE: "yes"}},
    }
    manifest = {
        **{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"},
        **{"metadata": {"name": SPACE}, "webhooks": [hook]},
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _kubectl(environment, "create", "-f", "-", given=manifest)
    try:
        time.sleep(1)  # until the API server has read it
        yield
    finally:
        _kubectl(environment, "delete", "validatingwebhookconfiguration", SPACE)
        server.shutdown()
        server.server_close()


class _Refuses(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"uid": asked["request"]["uid"], "allowed": False, "status": {"message": _DENIED}}
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _of(found: Object, name: str) -> bool:
    return bool((found["metadata"].get("labels") or {}).get("app.kubernetes.io/instance") == name)


def _containers(found: Object) -> list[Object]:
    return [*(found["status"].get("containerStatuses") or ())]


def _waiting(found: Object) -> list[str]:
    return [(each["state"].get("waiting") or {}).get("reason", "") for each in _containers(found)]


def _crashes(found: Object) -> int:
    """How often its container has ended."""
    return sum(each["restartCount"] + ("terminated" in each[("lastState" if "waiting" in each["state"] else "state")]) for each in _containers(found))


def _condition(found: Object, kind: str, status: str) -> bool:
    return any(each["type"] == kind and each["status"] == status for each in found["status"].get("conditions") or ())


def _refused(found: Object) -> bool:
    return _condition(found, "ReplicaFailure", "True")


def _kubectl(environment: Mapping[str, str], *arguments: str, given: object = None) -> str:
    text = json.dumps(given) if given else None
    return subprocess.run(["kubectl", *arguments], env=dict(environment), input=text, capture_output=True, text=True, check=True).stdout
