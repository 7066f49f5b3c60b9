"""What has been pushed: the images of each repository, as ECR lists them. Fed by the registry's front, which sees every push."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_REFERENCE = re.compile(r"(?P<host>[^/]+)/(?P<name>[^@:]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")


@dataclass(frozen=True, slots=True)
class RepositoryAddress:
    """A repository's full address: an account, a region, a name."""

    account: str
    region: str
    name: str


@dataclass(slots=True)
class PushedManifest:
    """A manifest that was pushed."""

    digest: str
    media_type: str
    manifest: bytes
    tags: set[str] = field(default_factory=set)
    pushed: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def document(self) -> Mapping[str, Any]:
        return dict(json.loads(self.manifest))

    @property
    def blobs(self) -> list[Mapping[str, Any]]:
        """Descriptors of the config and the layers."""
        document = self.document
        return [each for each in (document.get("config"), *document.get("layers", ())) if each]

    @property
    def manifests(self) -> frozenset[str]:
        """Of a list of manifests: the digests of those that it has."""
        return frozenset(each["digest"] for each in self.document.get("manifests", ()))

    @property
    def size(self) -> int:
        """Bytes of the layers, compressed, as ECR counts them."""
        return sum(int(layer["size"]) for layer in self.document.get("layers", ()))


class ImageIndex:
    """The images of all repositories; safe for threads."""

    def __init__(self) -> None:
        self._images: dict[RepositoryAddress, dict[str, PushedManifest]] = {}
        self._incarnations: dict[RepositoryAddress, int] = {}
        self._lock = threading.RLock()

    def stored_name(self, repository: RepositoryAddress) -> str:
        """The repository's name in the registry behind: apart by account and region, and new after each deletion."""
        with self._lock:
            incarnation = self._incarnations.get(repository, 0)
        return f"{repository.account}/{repository.region}/{incarnation}/{repository.name}"

    def put(self, repository: RepositoryAddress, manifest: bytes, media_type: str, tag: str | None) -> PushedManifest:
        """Record a push; a tag moves to the newest image that claims it."""
        digest = digest_of(manifest)
        with self._lock:
            images = self._images.setdefault(repository, {})
            image = images.setdefault(digest, PushedManifest(digest, media_type, manifest))
            if tag:
                for other in images.values():
                    other.tags.discard(tag)
                image.tags.add(tag)
            return image

    def find(self, repository: RepositoryAddress, *, tag: str | None = None, digest: str | None = None) -> PushedManifest | None:
        with self._lock:
            return next(
                (
                    image
                    for image in self._images.get(repository, {}).values()
                    if (tag is None or tag in image.tags) and (digest is None or digest == image.digest)
                ),
                None,
            )

    def images(self, repository: RepositoryAddress) -> list[PushedManifest]:
        with self._lock:
            return list(self._images.get(repository, {}).values())

    def repositories_named(self, name: str) -> list[RepositoryAddress]:
        with self._lock:
            return [repository for repository in self._images if repository.name == name]

    def refers_to(self, repository: RepositoryAddress, blob: str) -> bool:
        """Whether a manifest of the repository refers to the blob."""
        return any(each["digest"] == blob for image in self.images(repository) for each in image.blobs)

    def remove(self, repository: RepositoryAddress, *, tag: str | None = None, digest: str | None = None) -> PushedManifest | None:
        """A tag alone is taken off; its image goes with the last one. A digest removes the image with all its tags."""
        with self._lock:
            image = self.find(repository, tag=tag, digest=digest)
            if image is None:
                return None
            if tag:
                image.tags.discard(tag)
            if not tag or not image.tags:
                del self._images[repository][image.digest]
            return image

    def forget(self, repository: RepositoryAddress) -> None:
        """The repository was deleted: a new one of this name starts empty."""
        with self._lock:
            self._images.pop(repository, None)
            self._incarnations[repository] = self._incarnations.get(repository, 0) + 1

    def clear(self) -> None:
        with self._lock:
            for repository in list(self._images):
                self.forget(repository)


class ImageName(NamedTuple):
    """A reference as a client writes it: `tag` is "latest" where neither is named, None where a digest alone is."""

    host: str
    name: str
    tag: str | None
    digest: str | None


def image_name(reference: str) -> ImageName | None:
    """A reference taken apart; None where it names no registry."""
    match = _REFERENCE.fullmatch(reference)
    return ImageName(match["host"], match["name"], match["tag"] or (None if match["digest"] else "latest"), match["digest"]) if match else None


def labels_in(config: bytes) -> dict[str, str]:
    """The labels in an image's configuration."""
    return dict((json.loads(config).get("config") or {}).get("Labels") or {})


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
