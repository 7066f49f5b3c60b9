"""Manifests of images as registries keep them, in Docker's form and OCI's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deployer.core.state import Digest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_TAR = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

IMAGES = frozenset({DOCKER_MANIFEST, OCI_MANIFEST})
"""One image for one platform."""
CONFIGS = frozenset({DOCKER_CONFIG, OCI_CONFIG})
INDEXES = frozenset({DOCKER_LIST, OCI_INDEX})
"""A list of such images, one a platform."""


class Compression(StrEnum):
    """How a layer's tar is compressed. Docker's manifests know gzip alone; OCI's know both, and so do containerd since 1.5 and CRI-O."""

    GZIP = "gzip"
    ZSTD = "zstd"

    @classmethod
    def of(cls, media_type: str) -> Compression | None:
        """That of a layer; None where it has another, or none."""
        return {DOCKER_LAYER: cls.GZIP, OCI_LAYER: cls.GZIP, OCI_ZSTD: cls.ZSTD}.get(media_type)

    @property
    def media_type(self) -> str:
        """Of a layer in an OCI manifest."""
        return OCI_ZSTD if self is Compression.ZSTD else OCI_LAYER


def sha256(content: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob that a manifest refers to."""

    media_type: str
    digest: Digest
    size: int

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Descriptor:
        return cls(document.get("mediaType", ""), Digest(document["digest"]), document["size"])

    def document(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "size": self.size, "digest": self.digest}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, byte by byte: its digest is that of the bytes."""

    media_type: str
    body: bytes

    @property
    def digest(self) -> Digest:
        return sha256(self.body)

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def config(self) -> Descriptor:
        return Descriptor.read(self.document["config"])

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        return tuple(Descriptor.read(layer) for layer in self.document["layers"])

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.document.get("annotations") or {}

    @property
    def entries(self) -> tuple[Digest, ...]:
        """Of an index: the manifests that it is made of, attestations too."""
        return tuple(Digest(entry["digest"]) for entry in self.document.get("manifests", ()))

    @property
    def platforms(self) -> dict[str, Digest]:
        """Of an index: platform ("linux/amd64", "linux/arm/v7") to the image's digest; attestations, which are no images, left out."""
        found = {}
        for entry in self.document.get("manifests", ()):
            platform = platform_of(entry.get("platform") or {})
            if not platform.startswith("unknown"):
                found[platform] = Digest(entry["digest"])
        return found


def image_manifest(config: bytes, layers: Sequence[Descriptor]) -> Manifest:
    """That of one image: Docker's, which every registry and SageMaker take, where its layers allow it; else OCI's."""
    compressed = [(layer, Compression.of(layer.media_type) or Compression.GZIP) for layer in layers]
    if all(each is Compression.GZIP for _, each in compressed):
        below = tuple(Descriptor(DOCKER_LAYER, layer.digest, layer.size) for layer in layers)
        return docker_manifest(Descriptor(DOCKER_CONFIG, sha256(config), len(config)), below)
    below = tuple(Descriptor(each.media_type, layer.digest, layer.size) for layer, each in compressed)
    return oci_manifest(Descriptor(OCI_CONFIG, sha256(config), len(config)), below, {})


def index_manifest(images: Mapping[str, Manifest]) -> Manifest:
    """The list of an image's platforms, by platform: Docker's where all of its images are Docker's, else OCI's."""
    media_type = DOCKER_LIST if all(each.media_type == DOCKER_MANIFEST for each in images.values()) else OCI_INDEX
    entries = []
    for platform, image in sorted(images.items()):
        system, architecture, *variant = platform.split("/")
        where = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        entries.append({**Descriptor(image.media_type, image.digest, len(image.body)).document(), "platform": where})
    return Manifest(media_type, json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode())


def docker_manifest(config: Descriptor, layers: tuple[Descriptor, ...]) -> Manifest:
    """A Docker schema 2 manifest of one image."""
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": config.document(),
        "layers": [layer.document() for layer in layers],
    }
    return Manifest(DOCKER_MANIFEST, json.dumps(document, indent=3).encode())


def oci_manifest(config: Descriptor, layers: tuple[Descriptor, ...], annotations: Mapping[str, str]) -> Manifest:
    """An OCI manifest of one image."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.document(),
        "layers": [layer.document() for layer in layers],
        "annotations": dict(sorted(annotations.items())),
    }
    return Manifest(OCI_MANIFEST, json.dumps(document).encode())


def platform_of(document: Mapping[str, Any]) -> str:
    """ "linux/arm/v7" of an image's config, or of the platform in an index."""
    parts = (document.get("os", "linux"), document.get("architecture", "amd64"), document.get("variant", ""))
    # arm64 has one variant in use, which some tools write and others don't.
    return "/".join(part for part in parts if part and not (part == "v8" and parts[1] == "arm64"))
