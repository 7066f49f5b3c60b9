"""What a repository holds: every manifest that can be named in it, with what it says of itself and the blobs that it keeps there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from deployer.core.state import Digest
from deployer.oci import labels
from deployer.oci.manifest import CONFIGS, INDEXES, Manifest
from deployer.oci.repository import Repository

_AT_ONCE = 8
_LARGEST_CONFIG = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Holding:
    """One manifest.

    Attributes:
        labels: of an image's config, or of a layer's own manifest; none where it is neither.
        blobs: what it keeps in the repository, itself included, and the bytes of each.
        config: the digest of its config, by which docker knows an image.
        images: of an index, those that it is made of.
    """

    digest: Digest
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    blobs: Mapping[str, int]
    config: str = ""
    images: tuple[Digest, ...] = ()
    platform: str = ""

    @property
    def size(self) -> int:
        return sum(self.blobs.values())


@dataclass(frozen=True, slots=True)
class Holdings:
    """All manifests of a repository, by digest."""

    all: Mapping[Digest, Holding] = field(default_factory=dict)

    def freed(self, removed: Iterable[Digest]) -> int:
        """The bytes of what no manifest keeps once these are removed."""
        gone = set(removed)
        kept = {blob for digest, each in self.all.items() if digest not in gone for blob in each.blobs}
        lost = {blob: size for digest in gone for blob, size in self.all[digest].blobs.items() if blob not in kept}
        return sum(lost.values())


def holdings(repository: Repository) -> Holdings:
    """What a repository holds, in two requests for each image. A registry that tells tags alone keeps untagged manifests to itself, but for those
    that an index is made of.

    Raises:
        What the registry raises.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="holdings") as pool:
        named = repository.images()
        found: dict[Digest, Holding] = {}
        todo = dict(named)
        while todo:
            read = pool.map(lambda item: _holding(repository, item[0], tuple(sorted(item[1]))), todo.items())
            found |= {each.digest: each for each in read if each is not None}
            todo = {digest: () for each in found.values() for digest in each.images if digest not in found and digest not in todo}
    return Holdings(dict(sorted(found.items(), key=lambda item: (item[1].tags == (), item[1].tags, item[0]))))


def _holding(repository: Repository, digest: Digest, tags: tuple[str, ...]) -> Holding | None:
    manifest = repository.find_manifest(digest)
    if manifest is None:
        return None  # gone since it was listed
    itself: dict[str, int] = {digest: len(manifest.body)}
    if manifest.media_type in INDEXES:
        return Holding(digest, tags, {}, itself, images=manifest.entries)
    config = manifest.config
    blobs = itself | {each.digest: each.size for each in (config, *manifest.layers)}
    said = _of_config(repository, manifest)
    return Holding(digest, tags, {**manifest.annotations, **said[0]}, blobs, config.digest, platform=said[1])


def _of_config(repository: Repository, manifest: Manifest) -> tuple[Mapping[str, str], str]:
    """Its labels and platform; none of what is no image (a signature, a chart)."""
    config = manifest.config
    if config.media_type not in CONFIGS or config.size > _LARGEST_CONFIG:
        return {}, ""
    found = repository.config(manifest)
    return found.labels, found.platform


def is_layer(holding: Holding) -> bool:
    """Whether it is the own manifest of a layer of packages."""
    return labels.DIFF_ID in holding.labels and labels.LAYER in holding.labels
