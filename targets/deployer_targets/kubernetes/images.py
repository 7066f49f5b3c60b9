"""The registry that the nodes pull from, the image that a model is put on, and that with the model in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from deployer.core.state import Image, PackagedModel
from deployer.core.target import DeploymentRequest, DeploymentSpec
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes.accelerators import accelerator
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.delivery import listed, mounted, volume_of
from deployer_targets.kubernetes.observe import Seen

if TYPE_CHECKING:
    from deployer.oci import Reference, Repository
    from deployer_images.layers.own_image import OwnImage
    from deployer_images.layers.volume_image import VolumeImage

VARIABLE = "DEPLOYER_IMAGE_REPOSITORY"


def repository(config: KubernetesConfig, kept: str = "") -> Repository:
    """Where images go.

    Args:
        kept: an image in service, whose repository does where none is named.

    Raises:
        ConfigInvalid: none is named.
    """
    from deployer.oci import Reference

    named = config.image_repository or os.environ.get(VARIABLE)
    if named:
        return opened(Reference.parse(named), config.compression)
    if kept:
        return opened(Reference.parse(kept), config.compression)
    raise ConfigInvalid(
        "no image repository is named: the registry that the cluster's nodes pull from",
        advice=f"-C image_repository=REGISTRY/NAME, image_repository in the config file, or {VARIABLE}",
    )


def opened(reference: Reference, compression: str = "gzip") -> Repository:
    """A repository, with the login that docker has for it."""
    from deployer.oci import Compression, Repository, configured

    return Repository(reference.registry, reference.repository, partial(configured, reference.registry), compression=Compression(compression))


def registry_of(image: Image) -> str:
    """The host that the nodes pull it from."""
    from deployer.oci import Reference

    return Reference.parse(image.reference).registry


def image_for(request: DeploymentRequest[KubernetesConfig], observed: Seen | None, cloud: Kube) -> Image:
    """The image below the model's layer.

    Raises:
        ConfigInvalid: there is none, or it holds nothing to run.
    """
    from deployer_images import choosing

    kept = observed.record.image if observed and observed.record else ""
    architecture = request.config.node_selector.get("kubernetes.io/arch", "")
    ours = cloud.learnt["repository"] = repository(request.config, kept).on(architecture and f"linux/{architecture}")
    return choosing.image_for(
        ours,
        request.model,
        recorded=request.image,
        named=request.config.image_url,
        packages=request.packages,
        elsewhere=opened,
        accelerator=accelerator(request.config),
        check=_refuse_stand_in,
    )


def _refuse_stand_in(image: Image) -> None:
    if image.stand_in:
        raise ConfigInvalid(
            f"{image.reference} stands in for an image, and holds nothing that a node could run",
            advice="deploy build-and-push-container -t kubernetes --base-image IMAGE makes a whole one, without docker",
        )


def has_grpc(image: Image) -> bool:
    """Whether an image is known to have what answering gRPC takes."""
    return (image.packages or {}).keys() >= {"grpcio", "protobuf"}


@dataclass(frozen=True, slots=True)
class PodsImage:
    """What the pods run: an image, and on it the model, or the list of its files, or neither where a volume has it that nobody compares.

    Attributes:
        kept: an image in service, in whose repository this one will be, and which may have the model already.
        listed: the pods go by the list of the model's files.
    """

    image: Image
    model: PackagedModel | None = None
    kept: str = ""
    listed: bool = False

    @property
    def has_model(self) -> bool:
        """Whether the model's files are on it."""
        return self.model is not None and not self.listed

    def opened(self, cloud: Kube) -> OwnImage:
        """The same in the repository of the run."""
        from deployer.oci import Reference
        from deployer_images.layers.own_image import OwnImage

        ours, below = repository(cloud.config, self.kept or self.image.reference), Reference.parse(self.image.reference)
        return OwnImage(self.image, self.model, ours, ours if ours.holds(below) else opened(below), self.kept, self.listed)


def pods_image(spec: DeploymentSpec[KubernetesConfig], kept: str = "") -> PodsImage:
    """What the pods of a deployment run."""
    by_list = listed(spec.config, spec.record.model)
    elsewhere = mounted(spec.config) or (volume_of(spec.config) and not by_list)
    return PodsImage(spec.image, None if elsewhere else spec.model, kept, by_list)


@dataclass(frozen=True, slots=True)
class ModelsImage:
    """The model as an image of its own, beside that which the pods run. `kept`: as of `PodsImage`."""

    image: Image
    model: PackagedModel
    kept: str = ""

    def opened(self, cloud: Kube) -> VolumeImage:
        """The same in the repository of the run."""
        from deployer_images.layers.volume_image import VolumeImage

        return VolumeImage(self.model, repository(cloud.config, self.kept or self.image.reference), self.image.platform)


def models_image(spec: DeploymentSpec[KubernetesConfig], kept: str = "") -> ModelsImage | None:
    """The model's own image, where pods have it mounted."""
    return ModelsImage(spec.image, spec.model, kept) if mounted(spec.config) else None
