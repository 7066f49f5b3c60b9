"""A deployment as files for kubectl, kustomize, Helm, Argo CD, Flux or KServe.

One Deployment of a lasting name that rolls from one model to the next by itself, unlike a create's Deployment for each generation: a tool that
applies files at once would take the old pods away before the new ones answer. Pod template and Service are a create's. No namespace is in them, so
that the same files do for several.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import yaml

from deployer.core.state import Share
from deployer.core.target import DeploymentSpec, Exported, generation_by
from deployer.errors import ConfigInvalid
from deployer.events import Report, stepping
from deployer_targets.kubernetes import attachments, chart, delivery, kserve, manifests, names, serving_runtimes
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.images import PodsImage, models_image, pods_image
from deployer_targets.kubernetes.manifests import Manifest

Spec = DeploymentSpec[KubernetesConfig]


def exported(spec: Spec, form: str, cloud: Kube, report: Report) -> Exported:
    """The files, once the image that they name is in its registry.

    Raises:
        ConfigInvalid: Helm, and patches, which a chart's templates can't take.
    """
    if form == "helm" and spec.config.patch:
        raise ConfigInvalid("a chart's templates can't be patched", advice="leave -C patch out, or take --format kustomize")
    if form == "inference-service" and delivery.source_of(spec):
        return serving_runtimes.service_of(spec)
    if form == serving_runtimes.FORM:
        return serving_runtimes.of_model(spec, _image(PodsImage(spec.image), cloud, report))
    return files_of(spec, form, _image(pods_image(spec), cloud, report), _models_image(spec, cloud, report))


def files_of(spec: Spec, form: str, image: str, model: str = "") -> Exported:
    """The files of a spec, whose pods run `image` and have `model` mounted where that is an image of its own. Pure."""
    needs, spec = _needs(spec, form), _lasting(_without_login(spec))
    if form == "helm":
        documents, others = chart.documents(spec, deployment(spec, image, model), image, model), chart.texts()
    elif form == "inference-service":
        documents, others = {"inferenceservice.yaml": kserve.inference_service(deployment(spec, image, model), spec.config)}, {}
    else:
        documents, others = {"deployment.yaml": deployment(spec, image, model), "service.yaml": service(spec)}, {}
        documents |= {f"{each['kind'].lower()}.yaml": each for each in beside(spec)}
    if form == "kustomize":
        head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
        documents = {"kustomization.yaml": {**head, "resources": list(documents)}, **documents}
    return Exported({path: _text(each) for path, each in documents.items()} | dict(others), needs)


def deployment(spec: Spec, image: str, model: str = "") -> Manifest:
    """The one Deployment, whose pods are a create's."""
    made = manifests.with_image(manifests.deployment(spec), image, model)
    own = made["spec"]
    del own["revisionHistoryLimit"]
    if spec.config.autoscaling:
        del own["replicas"]
    else:
        own["replicas"] = spec.config.replicas
    own["selector"] = {"matchLabels": names.selector(spec.name)}
    for each in own["template"]["spec"]["containers"]:
        if each["name"] == manifests.CONTAINER and "envFrom" in each:
            each["envFrom"] = [{"secretRef": {"name": _secret(spec)}}]
    return _anybodys(made, spec)


def service(spec: Spec) -> Manifest:
    """The Service, which selects the Deployment's pods, old ones and new."""
    return _anybodys(manifests.service(spec.name, "", spec.config, {names.MODEL: spec.record.model.uri}), spec)


def beside(spec: Spec) -> Iterator[Manifest]:
    """What stands beside them, for the one Deployment and all of its pods."""
    for each in attachments.attachments(spec.name, spec.config, (Share(spec.generation),)):
        if attachments.is_backend(each, spec.name):
            continue
        own = each["spec"]
        if each["kind"] == attachments.ROUTE:
            (rule,) = own["rules"]
            rule["backendRefs"] = [{**rule["backendRefs"][0], "name": spec.name, "weight": 1}]
        if "scaleTargetRef" in own:
            own["scaleTargetRef"]["name"] = spec.name
        if each["kind"] == "PodDisruptionBudget":
            own["selector"] = {"matchLabels": names.selector(spec.name)}
        yield _anybodys(each, spec)


def _text(document: Any) -> str:
    """As YAML, in the order in which it was put together."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _without_login(spec: Spec) -> Spec:
    """The same without a login, which is in no file either."""
    return replace(spec, config=spec.config.model_copy(update={"pull_secret": False}))


def _lasting(spec: Spec) -> Spec:
    """The same with a generation that goes by model, image, options and packages alone, whoever exports it: an environment has no part in it."""
    generation = generation_by(spec.model.digest, spec.image, spec.config, spec.record.packages)
    return replace(spec, record=replace(spec.record, generation=generation))


def _anybodys(manifest: Manifest, spec: Spec) -> Manifest:
    """Under its lasting name, and without the label by which `deploy list` knows what is its own."""
    metadata = manifest["metadata"]
    labels = {key: value for key, value in metadata["labels"].items() if key not in (names.MANAGED_BY, names.GENERATION)}
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key != names.IMAGE}
    said = {"annotations": annotations} if annotations else {}
    return {**manifest, "metadata": {"name": spec.name, "labels": labels, **said}}


def _image(wanted: PodsImage, cloud: Kube, report: Report) -> str:
    image = wanted.opened(cloud)
    step = ("model-layer", "model layer") if wanted.has_model else ("pods-image", "image")
    with stepping(report, *step) as outcome:
        outcome.changed = image.push(lambda done, total: None)
        outcome.resource = image.reference()
    return outcome.resource


def _models_image(spec: Spec, cloud: Kube, report: Report) -> str:
    """The model's own image, where it is mounted; else ""."""
    wanted = models_image(spec)
    if wanted is None:
        return ""
    image = wanted.opened(cloud)
    with stepping(report, "model-image", "model image") as outcome:
        outcome.changed = image.push(lambda done, total: None)
        outcome.resource = image.reference()
    return outcome.resource


def _secret(spec: Spec) -> str:
    return f"{spec.name}-env"


def _needs(spec: Spec, form: str) -> tuple[str, ...]:
    """A repository is no place for secrets: the environment stays out of the files."""
    counted = (
        "the autoscaler has the number of pods, so the files don't say it: applied in place of some that did, they make it 1 for a moment, "
        f"but where kubectl apply edit-last-applied deployment/{spec.name} has taken replicas out before"
    )
    logins = (
        "the nodes' login to the registry is in no file: -C image_pull_secrets names a Secret that is there, kubectl create secret docker-registry"
    )
    volume = delivery.volume_of(spec.config)
    claim = (
        f"the claim {volume.claim} is in no file: it has to be where the pods are, with the model's files in {volume.path or 'its root'}"
        if volume
        else ""
    )
    mounts = "the nodes have to mount images as volumes: Kubernetes 1.33 (1.31 with the feature gate ImageVolume), containerd 2.1 or CRI-O 1.31"
    said = (
        *filter(None, (claim,)),
        *((mounts,) if delivery.mounted(spec.config) else ()),
        *((counted,) if spec.config.autoscaling and form != "inference-service" else ()),
        *((logins,) if spec.config.pull_secret else ()),
    )
    if not spec.config.env:
        return said
    if form == "helm":
        return (
            *said,
            f"the values of {', '.join(spec.config.env)} are in no file: give them as the value env (--set env.KEY=..., or sealed values)",
        )
    literals = " ".join(f"--from-literal={key}=..." for key in spec.config.env)
    return (
        *said,
        f"the environment is in no file: kubectl create secret generic {_secret(spec)} {literals}",
    )
