"""The registry that the nodes pull from, the image that a model is put on, and that with the model in it."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from deployer.core.compatibility import fit
from deployer.core.state import Image, PackagedModel
from deployer.core.target import Request
from deployer.errors import ConfigInvalid
from deployer_targets.kubernetes.client import Kube
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.observe import Seen

if TYPE_CHECKING:
    from deployer.oci import Reference, Repository
    from deployer_images.layers.model_layer import ModelLayer

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
        return opened(Reference.parse(named))
    if kept:
        return opened(Reference.parse(kept))
    raise ConfigInvalid(
        "no image repository is named: the registry that the cluster's nodes pull from",
        advice=f"-C image_repository=REGISTRY/NAME, image_repository in the config file, or {VARIABLE}",
    )


def opened(reference: Reference) -> Repository:
    """A repository, with the login that docker has for it."""
    from deployer.oci import Repository, configured

    return Repository(reference.registry, reference.repository, partial(configured, reference.registry))


def image_for(request: Request[KubernetesConfig], observed: Seen | None, cloud: Kube) -> Image:
    """The image below the model's layer.

    Raises:
        ConfigInvalid: there is none, or it holds nothing to run.
    """
    from deployer.oci import NoSharedImage, choose
    from deployer_images.layers.planning import planned, shared_planned

    kept = observed.record.image if observed and observed.record else ""
    ours = cloud.learnt["repository"] = repository(request.config, kept)
    named = request.config.image_url
    try:
        image = choose(ours, request.model.facts, recorded=request.image, named=named, packages=request.packages, elsewhere=opened)
    except NoSharedImage:
        shared = shared_planned(ours, request.model.facts) if request.packages == "auto" else None
        if shared is None:
            raise
        return planned(ours, shared, request.model)
    if image.stand_in:
        raise ConfigInvalid(
            f"{image.reference} stands in for an image, and holds nothing that a node could run",
            advice="deploy build-and-push-container -t kubernetes --base-image IMAGE makes a whole one, without docker",
        )
    if not named and request.packages == "auto" and not fit(request.model.facts, image, "auto").fits:
        return planned(ours, image, request.model)
    return image


def layer_of(image: Image, model: PackagedModel, kept: str, cloud: Kube) -> ModelLayer:
    """The model on its image, in the repository of the run."""
    from deployer.oci import Reference
    from deployer_images.layers.model_layer import ModelLayer

    ours, below = repository(cloud.config, kept or image.reference), Reference.parse(image.reference)
    return ModelLayer(image, model, ours, ours if ours.holds(below) else opened(below), kept)
