"""Small pods that try what can't be asked of a cluster: where they go and what they may as a deployment's, removed whatever comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from deployer.core.seam import Pauses
from deployer.errors import DeployerError, PermissionDenied, QuotaExceeded, Refused
from deployer_targets.kubernetes import names, pods
from deployer_targets.kubernetes.client import JSON, Kube, Object
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.faults import Absent, Overtaken
from deployer_targets.kubernetes.manifests import Manifest

PAUSES = Pauses(shortest=0.25, longest=3.0)
"""Between looks at such a pod."""
_LEFT_OUT = ("topologySpreadConstraints", "terminationGracePeriodSeconds")


def manifest(name: str, config: KubernetesConfig, whole: Manifest, container: Manifest, volumes: Sequence[Mapping[str, Any]] = ()) -> Manifest:
    """A pod that ends by itself, in place of the `whole` one of a deployment: it asks for as much CPU and memory, and runs this container. Pure."""
    (model,) = whole["containers"]
    asked = {part: {each: amount for each, amount in amounts.items() if each in ("cpu", "memory")} for part, amounts in model["resources"].items()}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {**config.labels, names.MANAGED_BY: names.MANAGER}, "annotations": dict(config.annotations)},
        "spec": {
            **{key: value for key, value in whole.items() if key not in _LEFT_OUT},
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{"resources": asked, "securityContext": model["securityContext"], **container}],
            "volumes": [*volumes],
        },
    }


def with_image(wanted: Manifest, image: str) -> Manifest:
    """The pod with an image that was still to be made. Pure."""
    return {**wanted, "spec": {**wanted["spec"], "containers": [{**each, "image": image} for each in wanted["spec"]["containers"]]}}


def owned(wanted: Manifest, kind: str, owner: Object) -> Manifest:
    """The pod as something's own: where a run is killed, it goes with that at the latest. Pure."""
    said = {"apiVersion": "v1", "kind": kind, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    return {**wanted, "metadata": {**wanted["metadata"], "ownerReferences": [said]}}


@contextmanager
def running(wanted: Manifest, cloud: Kube) -> Iterator[None]:
    """The pod is there as long as the block runs; one that a killed run has left makes room."""
    try:
        try:
            send(cloud, wanted, {})
        except Overtaken:
            _remove(cloud, wanted)
            send(cloud, wanted, {})
    except (PermissionDenied, QuotaExceeded, Refused):
        raise  # none was made
    except BaseException:  # whether one was isn't known
        with suppress(DeployerError):
            _remove(cloud, wanted)
        raise
    try:
        yield
    finally:
        _remove(cloud, wanted)


def send(cloud: Kube, wanted: Manifest, query: Mapping[str, str]) -> Any:
    """Have the pod made; what the API server answers."""
    operation = f"make Pod {wanted['metadata']['name']}"
    body, query = json.dumps(wanted).encode(), {"fieldManager": names.MANAGER, **query}
    return cloud.connection.call(operation, "POST", cloud.path("Pod"), query=query, body=body, headers={"Content-Type": JSON})


def trouble(found: Object, events: Sequence[Object]) -> tuple[str, bool]:
    """Why the pod hasn't started, in the node's words, and whether that is said of its image, its volume or its start. Pure."""
    said = [each for each in events if each.get("reason") in ("FailedMount", "Failed") and each.get("message")]
    worst = pods.worst([found], ours=False)
    if worst and worst.what == pods.NO_ROOM:
        return f"{worst.what}: {worst.why}", False
    if worst:
        return f"{worst.what}: {worst.why}", True
    return (str(said[-1]["message"]), True) if said else ("", False)


def _remove(cloud: Kube, wanted: Manifest) -> None:
    """At once, whoever has the name by now: nobody else needs the pod."""
    name = wanted["metadata"]["name"]
    body = json.dumps({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}).encode()
    with suppress(Absent):
        cloud.connection.call(f"delete Pod {name}", "DELETE", cloud.path("Pod", name), body=body, headers={"Content-Type": JSON})
