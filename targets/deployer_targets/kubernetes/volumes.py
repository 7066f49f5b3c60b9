"""A volume that is made for a generation, and filled once: a pod copies the model onto it from where it is, and compares each file."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from deployer.core.plan import Effect, Progress, Step
from deployer.core.quantities import exceeds
from deployer.core.seam import poll
from deployer.core.state import DeploymentName, Resource
from deployer.core.target import DeploymentRequest, DeploymentSpec
from deployer.errors import ConfigInvalid, Conflict, RolloutFailed, TimedOut
from deployer_targets.kubernetes import delivery, manifests, names, pods, trials
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.images import PodsImage
from deployer_targets.kubernetes.ledger import ConfigMapLedger
from deployer_targets.kubernetes.manifests import Manifest
from deployer_targets.kubernetes.waiting import events_of

Spec = DeploymentSpec[KubernetesConfig]
KIND = "PersistentVolumeClaim"
_GOING_SECONDS = 120.0
"""So long a volume may take to go that is deleted already; it has pods until then."""
_OF_SERVERS = ("startupProbe", "livenessProbe", "readinessProbe", "ports")
_NO_SIDECAR = {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"}
"""A mesh's proxy in the pod would run on once the model is there."""


def claim(spec: Spec) -> Manifest:
    """The claim of a generation. Pure."""
    config, volume = spec.config, delivery.filled(spec.config)
    assert volume is not None
    named = {"storageClassName": volume.storage_class} if volume.storage_class is not None else {}
    manifest = {
        "apiVersion": "v1",
        "kind": KIND,
        "metadata": {
            "name": names.of_generation(spec.name, spec.generation),
            "labels": {**config.labels, **names.labels(spec.name, spec.generation)},
            "annotations": dict(config.annotations),
        },
        "spec": {"accessModes": [volume.access_mode], "resources": {"requests": {"storage": volume.size}}, **named},
    }
    return manifests.patched(config, manifest)


def pod(spec: Spec) -> Manifest:
    """The pod that fills it, on an image that is still to be made: no Service selects it. Pure."""
    config, volume, name = spec.config, delivery.filled(spec.config), names.of_generation(spec.name, spec.generation)
    assert volume is not None
    whole = manifests.pod(spec, manifests.PENDING)
    (server,) = whole["containers"]
    source = {"name": "DEPLOYER_MODEL_SOURCE", "value": delivery.filled_from(config, spec.record.model)}
    mounts = [{key: value for key, value in each.items() if key != "readOnly"} for each in server["volumeMounts"]]
    container = {
        **{key: value for key, value in server.items() if key not in _OF_SERVERS},
        **{"name": "fill", "args": ["fetch"], "env": [*server["env"], source], "volumeMounts": mounts},
    }
    group = {"fsGroup": volume.fs_group} if volume.fs_group else {}
    made = trials.manifest(
        name, config, whole, container, [{"name": "tmp", "emptyDir": {}}, {"name": "model", "persistentVolumeClaim": {"claimName": name}}]
    )
    metadata, inside = made["metadata"], made["spec"]
    return {
        **made,
        "metadata": {**metadata, "labels": {**metadata["labels"], **_NO_SIDECAR}, "annotations": {**metadata["annotations"], **_NO_SIDECAR}},
        "spec": {**inside, "restartPolicy": "OnFailure", "securityContext": {**inside["securityContext"], **group}},
    }


def refuse(request: DeploymentRequest[KubernetesConfig], config: KubernetesConfig) -> None:
    """Refuse a volume that couldn't be filled. Pure.

    Raises:
        ConfigInvalid: what is in the way.
    """
    volume, size = delivery.filled(config), request.model.facts.size
    if volume and request.exported:
        raise ConfigInvalid(
            "files have no volume that is filled: the cluster's own run does that", advice="model_delivery.pvc names a claim that is there by then"
        )
    if volume and exceeds(size, volume.size):
        raise ConfigInvalid(f"model_delivery.pvc.size is {volume.size}, and the model has {size} bytes", advice="ask for more than the model has")


@dataclass(frozen=True, slots=True)
class FillVolume(Step[Kube]):
    """A generation's volume has the model; what a killed run has copied isn't copied again.

    Attributes:
        deadline_seconds: after which it has failed; `timeout_seconds`: after which this run waits no longer.
    """

    name: DeploymentName
    claim: Manifest
    pod: Manifest = field(repr=False)
    image: PodsImage
    timeout_seconds: float
    deadline_seconds: float
    effect = Effect.CREATE

    @property
    def makes(self) -> Resource:
        return Resource(names.VOLUME, self.claim["metadata"]["name"])

    def describe(self) -> str:
        return f"persistentvolumeclaim {self.claim['metadata']['name']}, with the model"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        where = self.claim["metadata"]["name"]
        found = self._there(where, cloud)
        if found is None:
            ConfigMapLedger(cloud, self.name).attach(KIND)
            cloud.check()
            found = cloud.apply(KIND, manifests.marked(self.claim, cloud.run))
        if names.FILLED in (found["metadata"].get("annotations") or {}):
            return False
        cloud.check()
        pod = trials.with_image(self.pod, self.image.opened(cloud).reference())
        with trials.running(trials.owned(pod, KIND, found), cloud):
            self._await(where, cloud, progress)
        cloud.annotate(KIND, where, {names.FILLED: "true"})
        return True

    def _there(self, where: str, cloud: Kube) -> Object | None:
        """The claim, once none of that name is on its way out.

        Raises:
            Conflict: pods hold it.
        """
        for found in poll(lambda: cloud.find(KIND, where), seconds=_GOING_SECONDS, pauses=trials.PAUSES):
            if found is None or "deletionTimestamp" not in found["metadata"]:
                return found
        raise Conflict(f"the claim {where} is deleted, and pods have it still", advice="the same command makes it again once they have ended")

    def _await(self, where: str, cloud: Kube, progress: Progress) -> None:
        begin, why = time.monotonic(), ""
        for found in poll(lambda: cloud.get("Pod", where), seconds=self.timeout_seconds, pauses=trials.PAUSES):
            phase = (found.get("status") or {}).get("phase")
            if phase == "Succeeded":
                return
            trouble = pods.worst([found])
            if trouble and trouble.pod:
                trouble = pods.grown(trouble, events_of(where, cloud))
            why = f"{trouble.what}: {trouble.why}" if trouble else ""
            late = time.monotonic() - begin > self.deadline_seconds
            if phase == "Failed" or late or (trouble and trouble.certain):
                what = trouble.what if trouble else f"its pod has not ended within {self.deadline_seconds:.0f} s" if late else "its pod has failed"
                raise RolloutFailed(
                    f"{self.name}: the volume {where} can't be filled: {what}",
                    why=trouble.why if trouble else "",
                    advice=trouble.advice if trouble else "progress_deadline gives it longer" if late else "",
                    lines=trouble.lines if trouble else (),
                )
            progress.note(why or "a pod copies the model onto the volume")
        raise TimedOut(
            f"{self.name}: the volume {where} isn't filled yet; what served still serves",
            why=why,
            advice="the same command goes on with it; --timeout gives it longer",
        )
