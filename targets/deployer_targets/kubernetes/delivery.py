"""How the model comes to the pods: on their image, from a volume, as an image that is mounted, or fetched by each; what its size asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployer.core.state import ModelFacts
from deployer.core.target import DeploymentSpec
from deployer.errors import ConfigInvalid
from deployer.words import size
from deployer_scoring.fetching.uris import SCHEMES, is_archive
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.attachment_options import ModelDelivery, VolumeClaim
from deployer_targets.kubernetes.config import KubernetesConfig

Spec = DeploymentSpec[KubernetesConfig]
PATH = "/opt/ml/model"
PENDING = "made-of-the-model"
"""Stands for the model's own image until it is made."""
IMAGE_VOLUME = "image_volume"
LARGE, HUGE = 5 * 10**9, 20 * 10**9
_SECONDS, _BYTES_A_SECOND = 600, 20 * 10**6
_ROOM = 256 * 1024**2
"""Beside the model, for what the server writes to /tmp."""


def volume_of(config: KubernetesConfig) -> VolumeClaim | None:
    """The volume that has the model; None where it comes otherwise."""
    return config.model_delivery.pvc if isinstance(config.model_delivery, ModelDelivery) else None


def filled(config: KubernetesConfig) -> VolumeClaim | None:
    """The volume that is made, and filled once; None where there is none."""
    volume = volume_of(config)
    return volume if volume and volume.size else None


def mounted(config: KubernetesConfig) -> bool:
    """Whether the model is an image of its own, which the nodes mount."""
    return config.model_delivery == IMAGE_VOLUME


def image_volume(reference: str) -> dict[str, Any]:
    """An image as the volume that has the model."""
    return {"name": "model", "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}


def source_of(spec: Spec) -> str:
    """Where the pods fetch the model from; "" where they don't."""
    return _source(spec.config, spec.record.model)


def listed(config: KubernetesConfig, model: ModelFacts) -> bool:
    """Whether the pods go by the list of the model's files that is on their image: they fetch those, or compare what is on the volume."""
    volume = volume_of(config)
    return volume.check if volume else bool(_source(config, model))


def said(spec: Spec) -> str | dict[str, Any]:
    """The way as the option names it, and where from."""
    if volume := volume_of(spec.config):
        return {"pvc": {"claim": volume.claim, "path": volume.path}}
    return {"uri": source} if (source := source_of(spec)) else IMAGE_VOLUME if mounted(spec.config) else "layer"


def volumes(spec: Spec) -> list[dict[str, Any]]:
    """Those that have the model."""
    if volume := volume_of(spec.config):
        claim = volume.claim or names.of_generation(spec.name, spec.generation)
        return [{"name": "model", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}]
    if mounted(spec.config):
        return [image_volume(PENDING)]
    return [{"name": "model", "emptyDir": {}}] if source_of(spec) else []


def mounts(spec: Spec) -> list[dict[str, Any]]:
    """Where the server finds it there."""
    if volume := volume_of(spec.config):
        mount = {"name": "model", "mountPath": PATH, "readOnly": True}
        return [{**mount, "subPath": volume.path} if volume.path else mount]
    if mounted(spec.config):
        return [{"name": "model", "mountPath": PATH, "readOnly": True}]
    return [{"name": "model", "mountPath": PATH}] if source_of(spec) else []


def variables(spec: Spec) -> dict[str, str]:
    """What the server is told of it."""
    source = source_of(spec)
    return {"DEPLOYER_MODEL_SOURCE": source} if source else {}


def resources(spec: Spec) -> dict[str, Any]:
    """What a container asks for: with room on the node's disk for a model that it fetches, an archive of it included."""
    asked = spec.config.resources.model_dump(mode="json")
    source = source_of(spec)
    if source and "ephemeral-storage" not in {**asked["requests"], **asked["limits"]}:
        room = spec.record.model.size * (2 if is_archive(source) else 1) + _ROOM
        asked["requests"] = {**asked["requests"], "ephemeral-storage": f"{-(-room // 1024**2)}Mi"}
    return asked


def deadline(spec: Spec) -> int:
    """Seconds that new pods may take: as asked for, else ten minutes and the time that a large model takes to come to a node."""
    return spec.config.progress_deadline or _SECONDS + max(0, spec.record.model.size - LARGE) // _BYTES_A_SECOND


def patience(spec: Spec) -> int:
    """Seconds that a run waits for new pods: as asked for, else until it is known that they fail."""
    config = spec.config
    return config.timeout_seconds if "timeout_seconds" in config.model_fields_set else max(config.timeout_seconds, deadline(spec) + _SECONDS)


def warnings(config: KubernetesConfig, model: ModelFacts) -> Iterator[str]:
    """What the model's size may come to."""
    volume = filled(config)
    if volume and volume.access_mode == "ReadWriteOnce" and (config.replicas > 1 or config.autoscaling):
        yield "the volume is for pods on one node alone, and there may be several pods: access_mode: ReadWriteMany has them on any"
    if volume_of(config) or model.size <= LARGE:
        return
    large = size(model.size)
    if model.size > HUGE:
        yield (
            f"the model has {large}, which each node keeps on its disk and each new pod waits for: "
            'have it on a volume instead, -C model_delivery=\'{"pvc": {"size": 50Gi}}\''
        )
    elif _source(config, model):
        yield f"each pod fetches the model's {large} before it serves, and has them on its node's disk"
    else:
        yield f"the model's layer has {large}: nodes keep it twice on their disks, packed and unpacked, and a pod on a new node waits for its pull"


def check_source(config: KubernetesConfig, model: ModelFacts) -> None:
    """Refuse what no pod could fetch.

    Raises:
        ConfigInvalid: no store or server has it, or the pods may not ask that.
    """
    source = _source(config, model) or filled_from(config, model)
    if not source:
        return
    scheme = source.partition("://")[0]
    if scheme not in SCHEMES or "://" not in source:
        raise ConfigInvalid(
            f"pods can't fetch the model from {source}",
            advice=f"model_delivery takes {{uri: ADDRESS}}, where the same files are, of {', '.join(f'{each}://' for each in SCHEMES)}; or layer",
        )
    if source == model.uri and scheme in ("http", "https") and not is_archive(source):
        raise ConfigInvalid(
            f"{source} doesn't end as an archive does, so pods wouldn't know what it is",
            advice="name one that ends in .tar.gz or .zip, or the address of the model's directory: model_delivery={uri: ADDRESS}",
        )
    if config.asks_names_alone:
        raise ConfigInvalid(
            f"pods are to fetch the model from {source}, and network_policy lets them ask for names alone",
            advice="network_policy.egress names the store, and what gives the pods their identity; or leave model_delivery out",
        )


def filled_from(config: KubernetesConfig, model: ModelFacts) -> str:
    """Where the volume that is made is filled from; "" where none is."""
    volume = filled(config)
    return (volume.uri or model.location or model.uri) if volume else ""


def _source(config: KubernetesConfig, model: ModelFacts) -> str:
    if isinstance(config.model_delivery, ModelDelivery):
        return config.model_delivery.uri or ""
    return (model.location or model.uri) if config.model_delivery == "uri" else ""
