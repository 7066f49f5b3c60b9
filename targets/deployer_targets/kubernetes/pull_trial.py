"""Whether the cluster's nodes can pull: a pod is made as a deployment's would be, with the scoring image alone, judged, and removed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from deployer.core.plan import Progress
from deployer.core.seam import poll
from deployer.core.state import DeploymentName, Image, ModelFacts, PackagedModel
from deployer.core.target import DeploymentRequest, DeploymentSpec, Diagnosis, Intent, Verdict, record_of
from deployer.errors import DeployerError, PermissionDenied, TimedOut
from deployer.events import silent
from deployer_targets.kubernetes import images, manifests, names, pods, trials
from deployer_targets.kubernetes.client import Kube, Object
from deployer_targets.kubernetes.faults import Absent
from deployer_targets.kubernetes.manifests import Manifest
from deployer_targets.kubernetes.pull_secrets import MakePullSecret
from deployer_targets.kubernetes.waiting import events_of

NAME = DeploymentName("deployer-doctor")
_SUBJECT = "nodes' pull"
_SECONDS = 600
_ROOM_SECONDS = 20.0
"""So long a pod may have no node before that is what there is to say."""
_SHARED = re.compile(r".+-py3\d+")


def findings(cloud: Kube) -> Iterator[Diagnosis]:
    """What is made, before it is; then what came of it. None raises."""
    try:
        image = _image(cloud)
        if image is None:
            yield Diagnosis(_SUBJECT, Verdict.WARNING, "there is no image to try it with", "deploy build-and-push-container -t kubernetes makes one")
            return
        wanted = pod(cloud, image)
        secret = f", the Secret {names.pull_secret(NAME)}" if cloud.config.pull_secret else ""
        told = f"makes the pod {NAME}{secret} in namespace {cloud.namespace}, which pulls {image.reference} and ends, and removes it"
        yield Diagnosis(_SUBJECT, Verdict.OK, told)
        with _login(cloud, image), trials.running(wanted, cloud):
            yield _judged(cloud, image, cloud.config.progress_deadline or _SECONDS)
    except PermissionDenied as denied:
        advice = "docs/kubernetes/image-volume.yaml has the Role for it"
        yield Diagnosis(_SUBJECT, Verdict.WARNING, f"not tried: {denied.message}: {denied.why}", advice)
    except DeployerError as error:
        yield Diagnosis(_SUBJECT, Verdict.WRONG, f"{error.message} {error.why}".strip(), error.advice)


def pod(cloud: Kube, image: Image) -> Manifest:
    """One with this image that has to be pulled, or asked for anew where a node has it, for the pods of such options. Pure."""
    config = cloud.config.model_copy(update={"model_delivery": "layer"})
    model = PackagedModel(ModelFacts(uri="", digest=image.digest))
    record = record_of(DeploymentRequest(NAME, Intent.CREATE, model, config), image, config, [])
    whole = manifests.pod(DeploymentSpec(record, config, image), image.reference)
    tries = {"name": "pull", "image": image.reference, "imagePullPolicy": "Always", "command": ["/bin/sh", "-c", "exit 0"]}
    made = trials.manifest(NAME, config, whole, tries)
    return {**made, "spec": {**made["spec"], "activeDeadlineSeconds": _SECONDS}}  # of a run that is killed here, it ends by itself


def pulled(found: Object) -> bool:
    """Whether a node has the image of the pod: its container was made, or it is refused for what isn't the pull. Pure."""
    for container in (found.get("status") or {}).get("containerStatuses") or ():
        state = container.get("state") or {}
        after = (state.get("waiting") or {}).get("reason") in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
        return after or "running" in state or "terminated" in state
    return False


def _judged(cloud: Kube, image: Image, seconds: float) -> Diagnosis:
    begin, why = time.monotonic(), ""
    with suppress(TimedOut):
        for found in poll(lambda: cloud.get("Pod", NAME), seconds=seconds, pauses=trials.PAUSES):
            took, node = time.monotonic() - begin, found["spec"].get("nodeName", "")
            if pulled(found):
                return Diagnosis(_SUBJECT, Verdict.OK, f"node {node} has pulled it, within {took:.0f} s")
            worst = pods.worst([found], ours=False)
            why = f"{worst.what}: {worst.why}" if worst else ""
            if worst and worst.certain:
                return Diagnosis(_SUBJECT, Verdict.WRONG, f"node {node}: {why}", worst.advice)
            if worst and worst.what == pods.NO_ROOM and took > _ROOM_SECONDS:
                why = "; ".join(filter(None, [why, *(str(each.get("message", "")) for each in events_of(NAME, cloud)[-1:] if not worst.why)]))
                return Diagnosis(_SUBJECT, Verdict.WARNING, f"not tried: {why}", worst.advice)
    return Diagnosis(_SUBJECT, Verdict.WRONG, f"no node has pulled {image.reference} within {seconds:.0f} s{f': {why}' if why else ''}")


@contextmanager
def _login(cloud: Kube, image: Image) -> Iterator[None]:
    """The Secret that `pull_secret` asks for is there as long as the block runs."""
    if not cloud.config.pull_secret:
        yield
        return
    secret = names.pull_secret(NAME)
    try:
        MakePullSecret(NAME, images.registry_of(image)).run(cloud, Progress("", "", silent))
        yield
    finally:
        with suppress(Absent):
            cloud.delete("Secret", cloud.get("Secret", secret))


def _image(cloud: Kube) -> Image | None:
    """The one that is named, else the first that is for every model."""
    from deployer.oci import Reference, image_at, is_elsewhere

    ours, named = images.repository(cloud.config), cloud.config.image_url
    if named and is_elsewhere(named):
        reference = Reference.parse(named)
        return images.opened(reference).describe(reference.which)
    tag = named or next(filter(_SHARED.fullmatch, ours.tags()), None)
    return image_at(ours, tag) if tag else None
