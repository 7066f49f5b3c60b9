"""Whether a cluster mounts images as volumes: its API server is asked without anything being made, its nodes by one small pod."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import poll
from deployer.core.state import DeploymentName
from deployer.core.target import DeploymentSpec
from deployer.errors import ConfigInvalid, DeployerError, Refused, TimedOut
from deployer_targets.kubernetes import delivery, manifests, names, pods, trials
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.faults import Overtaken
from deployer_targets.kubernetes.images import PodsImage
from deployer_targets.kubernetes.manifests import Manifest
from deployer_targets.kubernetes.waiting import events_of

_PATIENCE = 20.0
"""Seconds that a node may say that it can't start the pod: a first try may fail and a second not."""
_OTHERWISE = (
    "model_delivery=layer has it on the pods' image, uri has each pod fetch it, {pvc: {claim: NAME}} has it on a volume; "
    "image volumes come with Kubernetes 1.33 (1.31 with the feature gate ImageVolume) and containerd 2.1 or CRI-O 1.31"
)
_LACKS = "must specify a volume type"
"""What an API server says of a volume of which it dropped all that it doesn't know."""


def pod(spec: DeploymentSpec[KubernetesConfig], image: str) -> Manifest:
    """One that ends well where a node shows it the files of an image in a volume; on nodes like those of the deployment's pods. Pure."""
    tries = {
        "name": "mounts",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", f'set -- {delivery.PATH}/*; test -e "$1"'],
        "volumeMounts": [{"name": "model", "mountPath": delivery.PATH, "readOnly": True}],
    }
    name = names.of_generation(spec.name, spec.generation)
    return trials.manifest(name, spec.config, manifests.pod(spec, image), tries, [delivery.image_volume(image)])


def refuse_unknown(spec: DeploymentSpec[KubernetesConfig], cloud: Kube) -> None:
    """Ask the API server what it would make of a pod with such a volume; nothing is made.

    Raises:
        ConfigInvalid: it would drop the volume's source. What it says no to else.
    """
    try:
        answer = trials.send(cloud, pod(spec, spec.image.reference), {"dryRun": "All"})
    except Overtaken:
        return  # left by a run that was killed: an API server that has taken one knows the field
    except Refused as no:
        if _LACKS not in no.why:
            raise
        answer = {"spec": {}}
    if not any("image" in each for each in answer["spec"].get("volumes") or ()):
        raise ConfigInvalid(
            f"model_delivery=image_volume: the API server of {cloud.connection.context} drops a volume that is an image", advice=_OTHERWISE
        )


@dataclass(frozen=True, slots=True)
class TryImageVolume(Step[Kube]):
    """A node mounts an image: a pod of this namespace runs that way, or one is made that tries it and is removed in any case.

    It mounts the image that it runs, so that it is tried before a model is sent.
    """

    name: DeploymentName
    manifest: Manifest = field(repr=False)
    image: PodsImage
    deadline_seconds: float
    effect = Effect.READ

    def describe(self) -> str:
        return "a node mounts an image"

    def run(self, cloud: Kube, progress: Progress) -> bool:
        running = cloud.list("Pod", {names.MANAGED_BY: names.MANAGER, names.MOUNTS: "image"}, fields="status.phase=Running")
        if any(map(pods.ready, running)):
            return False
        wanted = _of(self.manifest, self.image.opened(cloud).reference())
        if ledger := cloud.find("ConfigMap", names.ledger(self.name)):
            wanted = trials.owned(wanted, "ConfigMap", ledger)
        cloud.check()
        with trials.running(wanted, cloud):
            self._await(cloud, progress)
        return False

    def _await(self, cloud: Kube, progress: Progress) -> None:
        name, begin, failing = self.manifest["metadata"]["name"], time.monotonic(), 0.0
        for found in poll(lambda: cloud.get("Pod", name), seconds=self.deadline_seconds, pauses=trials.PAUSES):
            phase = (found.get("status") or {}).get("phase")
            if phase == "Succeeded":
                return
            if phase == "Failed":
                raise self._no(f"the pod {name} was shown no file of it{_ended(found)}")
            why, certain = trials.trouble(found, events_of(name, cloud))
            failing = (failing or time.monotonic()) if why and certain else 0.0
            if failing and time.monotonic() - failing >= _PATIENCE:
                raise self._no(why)
            progress.note(why or "the node mounts an image")
        raise TimedOut(
            f"{self.name}: no node has started the pod {name} within {time.monotonic() - begin:.0f} s, which tries image volumes",
            why=why,
            definite=True,
        )

    def _no(self, why: str) -> DeployerError:
        return Refused(f"{self.name}: model_delivery=image_volume: the node's runtime mounts no image as a volume", why=why, advice=_OTHERWISE)


def _ended(found: Object) -> str:
    for each in (found.get("status") or {}).get("containerStatuses") or ():
        if ended := (each.get("state") or {}).get("terminated"):
            message = str(ended.get("message") or "").strip()
            return f" (exit code {ended.get('exitCode')}{f': {message}' if message else ''})"
    return ""


def _of(manifest: Manifest, image: str) -> Manifest:
    """The pod with the image that it runs and mounts."""
    made = trials.with_image(manifest, image)
    return {**made, "spec": {**made["spec"], "volumes": [delivery.image_volume(image)]}}
