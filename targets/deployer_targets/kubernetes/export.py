"""A deployment as files for kubectl, kustomize, Helm, Argo CD, Flux or KServe.

One Deployment of a lasting name that rolls from one model to the next by itself, unlike a create's Deployment for each generation: a tool that
applies files at once would take the old pods away before the new ones answer. Pod template and Service are a create's. No namespace is in them, so
that the same files do for several.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from deployer.core.state import Generation
from deployer.core.target import DeploymentSpec, Exported
from deployer.errors import ConfigInvalid
from deployer.events import Report, stepping
from deployer_targets.kubernetes import chart, kserve, manifests, names
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.images import layer_of
from deployer_targets.kubernetes.manifests import Manifest

Spec = DeploymentSpec[KubernetesConfig]


def exported(spec: Spec, form: str, cloud: Kube, report: Report) -> Exported:
    """The files, once the image that they name is in its registry.

    Raises:
        ConfigInvalid: Helm and patches, which a chart's templates can't take.
    """
    if form == "helm" and spec.config.patch:
        raise ConfigInvalid("a chart's templates can't be patched", advice="leave -C patch out, or take --format kustomize")
    return files_of(spec, form, _image(spec, cloud, report))


def files_of(spec: Spec, form: str, image: str) -> Exported:
    """The files of a spec. Pure."""
    spec = _lasting(spec)
    if form == "helm":
        documents, others = chart.documents(spec, deployment(spec, image), image), chart.texts()
    elif form == "inference-service":
        documents, others = {"inferenceservice.yaml": kserve.inference_service(deployment(spec, image), spec.config.request_timeout)}, {}
    else:
        documents, others = {"deployment.yaml": deployment(spec, image), "service.yaml": service(spec)}, {}
    if form == "kustomize":
        head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
        documents = {"kustomization.yaml": {**head, "resources": list(documents)}, **documents}
    return Exported({path: _text(each) for path, each in documents.items()} | dict(others), _needs(spec, form))


def deployment(spec: Spec, image: str) -> Manifest:
    """The one Deployment, whose pods are a create's."""
    made = manifests.with_image(manifests.deployment(spec), image)
    own = made["spec"]
    del own["revisionHistoryLimit"]
    own["replicas"] = spec.config.replicas
    own["selector"] = {"matchLabels": names.selector(spec.name)}
    for each in own["template"]["spec"]["containers"]:
        if each["name"] == manifests.CONTAINER and "envFrom" in each:
            each["envFrom"] = [{"secretRef": {"name": _secret(spec)}}]
    return _anybodys(made, spec)


def service(spec: Spec) -> Manifest:
    """The Service, which selects the Deployment's pods, old ones and new."""
    return _anybodys(manifests.service(spec.name, "", spec.config, {names.MODEL: spec.record.model.uri}), spec)


def _text(document: Any) -> str:
    """As YAML, in the order in which it was put together."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _lasting(spec: Spec) -> Spec:
    """The same with a generation that goes by model, image and options alone, whoever exports it: an environment has no part in it."""
    generation = Generation(spec.model.digest, spec.image.digest, spec.config.revision()).id
    return replace(spec, record=replace(spec.record, generation=generation))


def _anybodys(manifest: Manifest, spec: Spec) -> Manifest:
    """Under its lasting name, and without the label by which `deploy list` knows what is its own."""
    metadata = manifest["metadata"]
    labels = {key: value for key, value in metadata["labels"].items() if key not in (names.MANAGED_BY, names.GENERATION)}
    annotations = {key: value for key, value in metadata["annotations"].items() if key != names.IMAGE}
    said = {"annotations": annotations} if annotations else {}
    return {**manifest, "metadata": {"name": spec.name, "labels": labels, **said}}


def _image(spec: Spec, cloud: Kube, report: Report) -> str:
    layer = layer_of(spec.image, spec.model, "", cloud)
    with stepping(report, "model-layer", "model layer") as outcome:
        outcome.changed = layer.push(lambda done, total: None)
        outcome.resource = layer.reference()
    return outcome.resource


def _secret(spec: Spec) -> str:
    return f"{spec.name}-env"


def _needs(spec: Spec, form: str) -> tuple[str, ...]:
    """A repository is no place for secrets: the environment stays out of the files."""
    if not spec.config.env:
        return ()
    if form == "helm":
        return (f"the values of {', '.join(spec.config.env)} are in no file: give them as the value env (--set env.KEY=..., or sealed values)",)
    literals = " ".join(f"--from-literal={key}=..." for key in spec.config.env)
    return (f"the environment is in no file: kubectl create secret generic {_secret(spec)} {literals}",)
