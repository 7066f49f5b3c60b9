"""`deployer.models.check`: a model by its URI."""

from __future__ import annotations

from functools import partial

from deployer.artifacts.fetching import fetch
from deployer.checks.check import Checked, check_model
from deployer.checks.surroundings import of_image, of_requirements
from deployer.core.state import Image
from deployer.errors import ConfigInvalid
from deployer.oci import Reference, Repository, configured


def check(
    model_uri: str,
    *,
    python_version: str | None = None,
    image: str | None = None,
    strict: bool = False,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
) -> Checked:
    """Say what a model needs and what would break where it is served. Nothing of it is run or imported.

    Args:
        model_uri: as `fetch` takes it.
        python_version: hold it against this Python, "3.12", instead of the one that it was saved with.
        image: hold it against what this image has, instead of its own requirements.
        strict: whether a pickle that isn't known to be harmless is an error, not a warning.

    Raises:
        ConfigInvalid: not a URI or an image; both a Python and an image.
        ModelNotFound, ModelInvalid: nothing is there, or no model.
    """
    if image and python_version:
        raise ConfigInvalid("an image has its own Python", advice="leave one of image and python_version out")
    model = fetch(model_uri, tracking_uri=tracking_uri, registry_uri=registry_uri)
    there = of_image(described(image)) if image else of_requirements(model.facts.requirements, python_version or model.facts.python_version)
    return check_model(model, there=there, strict=strict)


def described(image: str) -> Image:
    """The image that a reference names, as its registry describes it.

    Raises:
        ConfigInvalid: it isn't there. TargetUnavailable, CredentialsInvalid: what the registry says.
    """
    reference = Reference.parse(image)
    return Repository(reference.registry, reference.repository, partial(configured, reference.registry)).describe(reference.which)
