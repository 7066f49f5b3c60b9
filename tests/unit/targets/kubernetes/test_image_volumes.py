"""Whether a cluster mounts images as volumes, by what its API server and its nodes say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest

from deployer.core.plan import Progress
from deployer.errors import ConfigInvalid, DeployerError, QuotaExceeded, Refused, TimedOut
from deployer.events import silent
from deployer_targets.kubernetes import image_volumes, manifests, names
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.discovery import Discovery
from deployer_targets.kubernetes.faults import Absent, Overtaken, refusal
from deployer_targets.kubernetes.image_volumes import TryImageVolume
from deployer_targets.kubernetes.images import models_image, pods_image
from deployer_targets.kubernetes.plan import plan
from deployer_targets.kubernetes.steps import MakeDeployment, PushImage, PushModel
from deployer_targets.kubernetes.target import Kubernetes
from tests.unit.targets.kubernetes.builders import NAME, spec

MOUNTED = spec(model_delivery="image_volume")
IMAGE, MODEL = "registry.example/scoring@sha256:" + "5d" * 32, "registry.example/scoring@sha256:" + "a1" * 32
NEWEST = "1.37"
POD = names.of_generation(NAME, MOUNTED.generation)


class Cluster:
    """An API server that answers a dry-run as told, and whose node says of the pod what it is told, one after the other."""

    context, namespace = "here", "ml"

    def __init__(
        self, *said: Mapping[str, Any], dry: Any = None, events: tuple[Mapping[str, Any], ...] = (), running: Any = (), left: int = 0
    ) -> None:
        self._said, self._dry, self._events, self._running, self._left = [*said], dry, [*events], [*running], left
        self.discovery = Discovery(lambda path: {})
        self.made: list[Any] = []
        self.there: list[str] = []

    def call(self, operation: str, method: str, path: str, *, query: Any = None, body: bytes = b"", **_: object) -> Any:
        kind, _, name = path.partition("/namespaces/ml/")[2].partition("/")
        if method == "POST" and "dryRun" in query:
            assert query["dryRun"] == "All"
            if isinstance(self._dry, DeployerError):
                raise self._dry
            return self._dry(json.loads(body))
        if method == "POST":
            if self._left:
                self._left -= 1
                raise Overtaken("make Pod: already exists")
            self.made.append(json.loads(body))
            self.there.append(self.made[-1]["metadata"]["name"])
            return self.made[-1]
        if method == "DELETE":
            if name not in self.there:
                raise Absent(operation)
            self.there.remove(name)
            return {}
        if kind == "configmaps":
            return {"metadata": {"name": name, "uid": "u1"}}
        if name:
            said = self._said.pop(0) if len(self._said) > 1 else self._said[0]
            return {"metadata": {"name": name}, "spec": self.made[-1]["spec"], "status": said}
        return {"items": self._events if kind == "events" else self._running, "metadata": {}}


def kube(cluster: Cluster) -> Kube:
    return Kube(cluster, MOUNTED.config)  # type: ignore[arg-type]


def tried(cluster: Cluster, seconds: float = 5) -> bool:
    """What the step answers."""
    image: Any = SimpleNamespace(opened=lambda _: SimpleNamespace(reference=lambda: IMAGE))
    step = TryImageVolume(NAME, image_volumes.pod(MOUNTED, ""), image, seconds)
    return step.run(kube(cluster), Progress("try", "try", silent))


def ended(code: int) -> dict[str, Any]:
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"state": {"terminated": {"exitCode": code}}}]}


def waiting(reason: str, message: str) -> dict[str, Any]:
    return {"phase": "Pending", "containerStatuses": [{"image": IMAGE, "state": {"waiting": {"reason": reason, "message": message}}}]}


def test_the_model_is_an_image_of_its_own_in_a_volume_that_is_read_alone() -> None:
    waits = manifests.deployment(MOUNTED)
    assert manifests.pending(waits)
    made = manifests.with_image(waits, IMAGE, MODEL)
    assert not manifests.pending(made)
    kubernetes_validate.validate(made, NEWEST, strict=True)
    pod = made["spec"]["template"]["spec"]
    assert {"name": "model", "image": {"reference": MODEL, "pullPolicy": "IfNotPresent"}} in pod["volumes"]
    assert {"name": "model", "mountPath": "/opt/ml/model", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    assert pod["containers"][0]["image"] == IMAGE
    assert pods_image(MOUNTED).model is None
    assert models_image(spec()) is None


def test_nodes_are_tried_before_the_model_is_sent() -> None:
    steps = plan(MOUNTED, None, Kubernetes()).forward
    order = [type(each) for each in steps if isinstance(each, PushImage | TryImageVolume | PushModel | MakeDeployment)]
    assert order == [PushImage, TryImageVolume, PushModel, MakeDeployment]
    assert not [each for each in plan(spec(), None, Kubernetes()).forward if isinstance(each, TryImageVolume | PushModel)]


def test_the_pod_that_tries_keeps_the_restricted_standard_and_goes_where_the_others_go() -> None:
    wanted = spec(
        model_delivery="image_volume",
        node_selector={"pool": "gpu"},
        resources={"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"}},
        env={"PASSWORD": "hunter2"},
    )
    made = image_volumes.pod(wanted, IMAGE)
    kubernetes_validate.validate(made, NEWEST, strict=True)
    (container,) = made["spec"]["containers"]
    assert container["securityContext"] == manifests.pod(wanted, IMAGE)["containers"][0]["securityContext"]
    assert made["spec"]["securityContext"]["runAsNonRoot"]
    assert made["spec"]["nodeSelector"] == {"pool": "gpu"}
    assert container["resources"] == {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    assert not names.selector(NAME).items() & made["metadata"]["labels"].items(), "no Service may lead to it"
    assert "envFrom" not in container


def test_an_api_server_that_keeps_the_field_is_taken() -> None:
    image_volumes.refuse_unknown(MOUNTED, kube(Cluster(dry=lambda sent: sent)))
    image_volumes.refuse_unknown(MOUNTED, kube(Cluster(dry=Overtaken("there"))))


def without_source(sent: Any) -> Any:
    return {"spec": {"volumes": [{"name": each["name"], "emptyDir": {}} for each in sent["spec"]["volumes"]]}}


@pytest.mark.parametrize(
    "dry",
    [without_source, refusal('Pod "churn" is invalid: spec.volumes[0]: Required value: must specify a volume type', "make Pod churn")],
    ids=["made an emptyDir", "said no"],
)
def test_an_api_server_that_drops_the_field_is_refused_with_the_ways_out(dry: Any) -> None:
    cluster = Cluster(dry=dry)
    with pytest.raises(ConfigInvalid, match="drops a volume that is an image") as found:
        image_volumes.refuse_unknown(MOUNTED, kube(cluster))
    assert all(way in found.value.advice for way in ("layer", "uri", "pvc"))
    assert not cluster.made


def test_another_no_of_the_api_server_is_told_as_it_is() -> None:
    with pytest.raises(QuotaExceeded):
        image_volumes.refuse_unknown(MOUNTED, kube(Cluster(dry=refusal("exceeded quota: pods", "make Pod churn"))))


def test_a_node_that_shows_the_files_is_taken_and_the_pod_removed() -> None:
    cluster = Cluster({"phase": "Pending"}, ended(0))
    assert tried(cluster) is False
    (made,) = cluster.made
    assert made["spec"]["volumes"] == [{"name": "model", "image": {"reference": IMAGE, "pullPolicy": "IfNotPresent"}}]
    assert made["spec"]["containers"][0]["image"] == IMAGE
    assert made["metadata"]["ownerReferences"][0]["name"] == names.ledger(NAME)
    assert not cluster.there


def test_what_runs_in_the_namespace_that_way_has_shown_it() -> None:
    cluster = Cluster(running=[{"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}])
    assert tried(cluster) is False
    assert not cluster.made
    unready = Cluster(ended(0), running=[{"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}}])
    tried(unready)
    assert unready.made


def test_a_pod_that_a_killed_run_left_is_made_anew() -> None:
    cluster = Cluster(ended(0), left=1)
    cluster.there.append(POD)
    assert tried(cluster) is False
    assert (len(cluster.made), cluster.there) == (1, [])


@pytest.mark.parametrize(
    ("said", "events", "why"),
    [
        (ended(1), (), "was shown no file of it (exit code 1)"),
        (waiting("CreateContainerError", 'failed to stat "": no such file'), (), 'failed to stat ""'),
        ({"phase": "Pending"}, ({"reason": "FailedMount", "message": "no volume plugin matched"},), "no volume plugin matched"),
    ],
    ids=["an empty directory", "the runtime", "the kubelet"],
)
def test_a_node_that_mounts_none_is_refused_in_its_words_and_the_pod_removed(
    said: Any, events: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_volumes, "_PATIENCE", 0.3)
    cluster = Cluster(said, events=events)
    with pytest.raises(Refused, match="mounts no image as a volume") as found:
        tried(cluster)
    assert why in found.value.why
    assert "layer" in found.value.advice
    assert (len(cluster.made), cluster.there) == (1, [])


def test_a_node_that_is_awaited_too_long_is_no_proof_and_the_pod_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_volumes, "_PATIENCE", 0.0)
    short = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
    cluster = Cluster({"phase": "Pending", "conditions": [short]})
    with pytest.raises(TimedOut) as found:
        tried(cluster, seconds=0.4)
    assert "0/3 nodes are available" in found.value.why
    assert found.value.definite
    assert not cluster.there
