"""What registries hold, which deployments use it, and what may go: `deploy images list` and `prune`.

Who uses an image is asked of the targets that are named, each time anew; a registry doesn't know. So only what is made for one lock goes unnamed:
what others may use, with or without a target of ours, is listed, and removed by its digest alone. What a record names is never removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from deployer.core.capabilities import SupportsEndpoints, SupportsImageUses
from deployer.core.state import Digest
from deployer.core.target import Target
from deployer.errors import ConfigInvalid, Conflict
from deployer.events import Report, silent, stepping
from deployer.oci import Repository, labels
from deployer.oci.holdings import Holding, Holdings, holdings, is_layer
from deployer.words import size

_AT_ONCE = 8
_SHARED = re.compile(r".+-py3\d+")
"""The tags of images for every model (`general_tag`)."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Use:
    """An image's reference as a cloud has it, and who uses it ("churn, generation 5d41402abc")."""

    reference: str
    by: str


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One manifest in a registry.

    Attributes:
        kind: "shared", "model" (a model's packages on the shared one, or all of it by an engine), "whole" (with the model in it), "pods"
            (what pods run whose model is elsewhere), "packages" (a layer's own manifest), "index", or "foreign": not of this tool.
        size: its bytes, of which others may have some, too.
        used_by: the deployments, with their generations, and other things of a target's cloud that name it.
        stays: why it isn't removed unless its digest is named; "" where nothing speaks for it.
    """

    repository: str
    digest: Digest
    tags: tuple[str, ...]
    kind: str
    platform: str
    size: int
    used_by: tuple[str, ...]
    stays: str


@dataclass(frozen=True, slots=True)
class ImageListing:
    """What is in one repository.

    Attributes:
        targets: those that were asked who uses it.
        freed: the bytes that go with all of `unused`.
    """

    repository: str
    targets: tuple[str, ...]
    images: tuple[StoredImage, ...]
    freed: int

    @property
    def unused(self) -> tuple[StoredImage, ...]:
        """What `prune` takes."""
        return tuple(each for each in self.images if not each.stays)


@dataclass(frozen=True, slots=True)
class PrunedImages:
    """What was removed of one repository, or would be."""

    repository: str
    removed: tuple[StoredImage, ...]
    freed: int


def list_images(repository: Repository, uses: Mapping[str, Sequence[Use]]) -> ImageListing:
    """What a repository holds.

    Args:
        uses: by target, what it says is used (`uses_of`).
    """
    return _listed(repository, holdings(repository), uses)


def prune_images(
    repository: Repository, uses: Mapping[str, Sequence[Use]], digests: Sequence[str] = (), *, dry_run: bool = False, report: Report = silent
) -> PrunedImages:
    """Remove what nothing uses; or, with `digests`, these alone, whoever else may use them.

    Raises:
        ConfigInvalid: a digest isn't one, or isn't there. Conflict: a record names it, or an index that stays has it. Refused: the registry removes
            nothing.
    """
    found = holdings(repository)
    listing = _listed(repository, found, uses)
    by_digest = {each.digest: each for each in listing.images}
    chosen = tuple(_chosen(by_digest, each, repository) for each in dict.fromkeys(digests)) if digests else listing.unused
    gone = [each.digest for each in chosen]
    _check_indexes(found, gone)
    freed = found.freed(gone)
    if gone and not dry_run:
        with stepping(report, "remove_images", "images", repository.uri) as outcome:
            # An index first: registries keep the images that one has. A layer's own manifest last: until then others find it.
            for kinds in (("index",), ("shared", "model", "whole", "pods", "foreign"), ("packages",)):
                if part := [each.digest for each in chosen if each.kind in kinds]:
                    repository.remove(part)
            outcome.detail = f"{len(gone)} removed, {size(freed)}"
    return PrunedImages(repository.uri, chosen, freed)


def uses_of(target: Target[Any, Any], cloud: Any) -> tuple[Use, ...]:
    """Every image that a record names, of each generation that is kept of each deployment; and what else there is in the cloud that names one.

    Raises:
        What looking raises: of a deployment that can't be read nobody knows what it uses.
    """
    places = [cloud]
    if isinstance(target, SupportsEndpoints):
        places += [target.behind(each["name"], cloud) for each in target.list_endpoints(cloud)]
    deployments = [(place, each.name) for place in places for each in target.list(place)]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="uses") as pool:
        seen = list(pool.map(lambda item: target.observe(item[1], item[0]), deployments))
    found = [
        Use(record.image, f"{observed.name}, generation {generation}")
        for observed in seen
        if observed is not None
        for generation, record in observed.records.items()
    ]
    if isinstance(target, SupportsImageUses):
        known = {use.reference for use in found}
        found += [Use(reference, by) for reference, by in target.image_uses(cloud) if reference not in known]
    return tuple(found)


def _listed(repository: Repository, found: Holdings, uses: Mapping[str, Sequence[Use]]) -> ImageListing:
    named = [use for each in uses.values() for use in each]
    used = {digest: _users(holding, repository, named) for digest, holding in found.all.items()}
    for digest, holding in found.all.items():  # who runs one of its images may have come by the index, and the other way round
        own = tuple(dict.fromkeys((*used[digest], *(by for image in holding.images for by in used.get(image, ())))))
        used |= dict.fromkeys((digest, *(image for image in holding.images if image in used)), own) if holding.images else {}
    stays = _reasons(found, used)
    images = tuple(
        StoredImage(repository.uri, digest, each.tags, _kind(each), each.platform, each.size, used[digest], stays[digest])
        for digest, each in found.all.items()
    )
    return ImageListing(repository.uri, tuple(uses), images, found.freed(digest for digest, why in stays.items() if not why))


def _users(holding: Holding, repository: Repository, uses: Sequence[Use]) -> tuple[str, ...]:
    """A digest counts wherever the reference says it is: registries have several names, and docker calls an image by that of its config."""
    names = {f"{repository.uri}:{tag}" for tag in holding.tags}
    digests = {holding.digest, holding.config}
    return tuple(dict.fromkeys(use.by for use in uses if use.reference in names or digests & set(_DIGEST.findall(use.reference))))


def _kind(holding: Holding) -> str:
    if holding.images:
        return "index"
    if is_layer(holding):
        return "packages"
    if labels.MODEL in holding.labels:
        return "whole"
    if labels.OWN in holding.labels:
        return "pods"
    if labels.RUNTIME not in holding.labels:
        return "foreign"
    return "shared" if any(map(_SHARED.fullmatch, holding.tags)) else "model"


def _reasons(found: Holdings, used: Mapping[Digest, tuple[str, ...]]) -> dict[Digest, str]:
    """Why each stays; a layer does for an image that does."""
    words = {
        "shared": "every model may get it",
        "whole": "has its model in it: whoever runs it is not known",
        "pods": "of pods whose model is elsewhere: whoever runs it is not known",
        "foreign": "not made by this tool",
        "index": "whoever runs it is not known",
    }
    stays = {digest: "in use" if used[digest] else words.get(_kind(each), "") for digest, each in found.all.items()}
    for each in found.all.values():
        for image in each.images:
            if image in stays:
                stays[image] = stays[image] or "an index has it"
    layers = {found.all[digest].labels.get(labels.LAYER) for digest, why in stays.items() if why and _kind(found.all[digest]) != "packages"}
    for digest, each in found.all.items():
        if _kind(each) == "packages" and each.labels[labels.LAYER] in layers:
            stays[digest] = stays[digest] or "an image that stays has it"
    return stays


def _chosen(there: Mapping[Digest, StoredImage], named: str, repository: Repository) -> StoredImage:
    if not _DIGEST.fullmatch(named):
        raise ConfigInvalid(f"{named!r} is not a digest", advice="sha256: and 64 hex digits, as deploy images list -o wide shows them")
    found = there.get(Digest(named))
    if found is None:
        raise ConfigInvalid(f"there is no {named} in {repository.uri}", advice="deploy images list shows what is there")
    if found.used_by:
        raise Conflict(
            f"{named} is in use by {'; '.join(found.used_by)}",
            advice="deploy update to another image, deploy prune or deploy delete first: what a record names is never removed",
        )
    return found


def _check_indexes(found: Holdings, gone: Sequence[Digest]) -> None:
    for digest, each in found.all.items():
        if digest not in gone and (lost := set(each.images) & set(gone)):
            raise Conflict(f"the index {digest} has {', '.join(sorted(lost))}", advice="name the index, too, or leave its images where they are")
