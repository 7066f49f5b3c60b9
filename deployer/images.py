"""What registries hold, and what of it may go, in Python: what `deploy images list` and `prune` do.

for listing in list_images(["sagemaker:/us-west-2"]):
    print(listing.repository, [each.tags for each in listing.unused], listing.freed)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deployer.client import DeployClient
from deployer.core.capabilities import SupportsImageRegistry
from deployer.errors import ConfigInvalid
from deployer.events import Report, silent
from deployer.oci import Repository
from deployer.verbs import images
from deployer.verbs.images import ImageListing, PrunedImages, StoredImage, Use
from deployer_images.builder import CONTAINER_NAME

__all__ = ["ImageListing", "PrunedImages", "StoredImage", "list_images", "prune_images"]


def list_images(
    targets: Sequence[str | DeployClient], *, registry: str | None = None, container_name: str = CONTAINER_NAME
) -> tuple[ImageListing, ...]:
    """What the registries hold, and which deployments of these targets use it.

    Args:
        registry: any OCI registry (`registry.example.com/team`), instead of the targets' own.
        container_name: what images are called there.

    Raises:
        ConfigInvalid: no registry is named, and none of the targets has one.
    """
    clients = _clients(targets)
    uses = _uses(clients)
    return tuple(images.list_images(each, uses) for each in _repositories(clients, registry, container_name))


def prune_images(
    targets: Sequence[str | DeployClient],
    digests: Sequence[str] = (),
    *,
    registry: str | None = None,
    container_name: str = CONTAINER_NAME,
    dry_run: bool = False,
    on_event: Report = silent,
) -> tuple[PrunedImages, ...]:
    """Remove what no deployment of these targets uses, and nobody else may; with digests these alone, unless a record names one.

    Args:
        targets: every one whose deployments take images from there: an image of one that isn't named counts as unused.

    Raises:
        ConfigInvalid: no target is named, or one that can't be asked; a digest isn't there. Conflict: a record names it.
        Refused, PermissionDenied: the registry removes nothing.
    """
    if not targets:
        raise ConfigInvalid("which targets use the registry is not said", advice="name every one: -t TARGET -t TARGET; what none of them uses goes")
    clients = _clients(targets)
    there = list(_repositories(clients, registry, container_name))
    if digests and len(there) > 1:
        raise ConfigInvalid("the targets have several registries, and a digest is one of only one", advice="name that registry: --registry")
    uses = _uses(clients)
    return tuple(images.prune_images(each, uses, digests, dry_run=dry_run, report=on_event) for each in there)


def _clients(targets: Sequence[str | DeployClient]) -> tuple[DeployClient, ...]:
    return tuple(DeployClient(each) if isinstance(each, str) else each for each in targets)


def _uses(clients: Sequence[DeployClient]) -> Mapping[str, Sequence[Use]]:
    return {str(client.uri): client.image_uses() for client in clients}


def _repositories(clients: Sequence[DeployClient], registry: str | None, container_name: str) -> Iterator[Repository]:
    if registry is not None:
        yield Repository.at(registry, container_name)
        return
    own = [client for client in clients if isinstance(client.target, SupportsImageRegistry)]
    if not own:
        raise ConfigInvalid("no registry is named, and none of the targets has one of its own", advice="--registry REGISTRY[/PATH], or -t with one")
    seen = set()
    for client in own:
        repository: Repository = client.image_repository(container_name)
        if repository.uri not in seen:
            seen.add(repository.uri)
            yield repository
