"""Which image a model gets on a target: one that is there, or one that is still to be made."""

from __future__ import annotations

from collections.abc import Callable

from deployer.core.accelerators import Accelerator
from deployer.core.compatibility import fit, makes, trims
from deployer.core.state import PackagedModel
from deployer.oci import Image, NoSharedImage, Reference, Repository, choose


def image_for(
    repository: Repository,
    model: PackagedModel,
    *,
    recorded: str | None,
    named: str | None,
    packages: str,
    elsewhere: Callable[[Reference], Repository],
    accelerator: Accelerator | None = None,
    check: Callable[[Image], None] = lambda _: None,
) -> Image:
    """The image that is named, is in service, was built for the model or is for every model; where the last doesn't fit, what would be made on it.

    Args:
        recorded, named, packages, elsewhere, accelerator: as `deployer.oci.choose` has them.
        check: refuses one that is there, and won't do on this target.

    Raises:
        ConfigInvalid: there is none. What `check` raises, and where one would be made, what `planned` raises.
    """
    try:
        image = choose(repository, model.facts, recorded=recorded, named=named, packages=packages, elsewhere=elsewhere, accelerator=accelerator)
    except NoSharedImage:
        if not makes(packages):
            raise
        from deployer_images.layers.planning import planned, shared_planned  # costs as much as all the rest of a command that needs none of it

        shared = shared_planned(repository, model.facts)
        if shared is None:
            raise
        return planned(repository, shared, model, accelerator, trimmed=trims(packages))
    check(image)
    if named or not makes(packages) or fit(model.facts, image, packages, accelerator).fits:
        return image
    from deployer_images.layers.planning import planned

    return planned(repository, image, model, accelerator, trimmed=trims(packages))
