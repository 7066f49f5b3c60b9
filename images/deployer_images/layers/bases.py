"""What an image stands on, without an engine: an image of any registry, an OCI archive or layout on this machine, or a root directory.

Nothing of a base is run. Where its Python is, is read from the official images' variable, or else from the names of its files.
"""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from deployer.core.state import Digest
from deployer.errors import ConfigInvalid
from deployer.oci import INDEXES, Compression, Descriptor, Manifest, Reference, Repository, configured, labels
from deployer.oci.manifest import OCI_INDEX, OCI_TAR, platform_of
from deployer_images import cache
from deployer_images.base import Base
from deployer_images.layers import blobs
from deployer_images.layers.archive import Layer, pack_directory, write_compressed
from deployer_images.layers.composing import NEVER

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class BaseLayer:
    """One of a base's layers. `file` fetches it where it isn't on this machine yet."""

    digest: Digest
    size: int
    diff_id: Digest
    file: Callable[[], Path]
    compression: Compression = Compression.GZIP


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A base.

    Attributes:
        origin: the repository that it is in, if it is in one: its registry may have the layers taken over.
    """

    base: Base
    config: Mapping[str, Any]
    layers: tuple[BaseLayer, ...]
    origin: Repository | None = None

    @property
    def platform(self) -> str:
        return platform_of(self.config)

    @property
    def labels(self) -> Mapping[str, str]:
        """Those of its config."""
        return (self.config.get("config") or {}).get("Labels") or {}

    def interpreter(self, minor: str) -> str:
        """Where its Python of that minor is, "/usr/local/bin/python3.11".

        Raises:
            ConfigInvalid: it has none, or another.
        """
        for each in (self.config.get("config") or {}).get("Env") or ():
            if each.startswith(f"PYTHON_VERSION={minor}."):
                return f"/usr/local/bin/python{minor}"
        found = self._interpreters()
        if place := next((f"/{path}" for path in found if path.endswith(f"/python{minor}")), None):
            return place
        others = sorted({path.rpartition("/python")[2] for path in found})
        raise ConfigInvalid(
            f"the base image has Python {' and '.join(others)}, not {minor}" if others else f"the base image {self.base.name} has no Python",
            advice="name a base image with that Python (--base), or another Python (--python)",
        )

    def _interpreters(self) -> list[str]:
        """The paths of all Pythons in it, those of /usr/local first."""
        key = cache.key(*(layer.digest for layer in self.layers))
        file = cache.root() / "bases" / f"{key}.json"
        if not file.exists():
            names = {name for layer in self.layers for name in _names(layer.file())}
            cache.write(file, json.dumps(sorted(names, key=lambda name: (not name.startswith("usr/local/"), name))))
        return list(json.loads(file.read_text()))


def opened(name: str, platform: str) -> BaseImage:
    """A base by its reference, or by a path that begins with "/" or ".".

    Raises:
        ConfigInvalid: it isn't there, or not for that platform, or nothing that can be built on.
        TargetUnavailable, PermissionDenied: what its registry says.
    """
    if not name.startswith(("/", ".")):
        found = _of_registry(name, platform)
    elif not (path := Path(name).absolute()).exists():
        raise ConfigInvalid(f"there is no base image {name}", advice="name an OCI archive or a root directory that is on this machine, or an image")
    elif path.is_file():
        found = _of_layout(name, _unpacked(path), platform)
    elif (path / "oci-layout").is_file():
        found = _of_layout(name, path, platform)
    elif (path / "usr").is_dir():
        found = _of_root(name, path, platform)
    else:
        raise ConfigInvalid(f"{name} is no base image", why="it is neither an OCI archive nor a directory with a system's /usr")
    return _for(platform, found)


def _for(platform: str, found: BaseImage) -> BaseImage:
    if found.platform != platform:
        raise ConfigInvalid(f"the base image {found.base.name} is for {found.platform}, not {platform}", advice="name one with --base")
    return found


def in_repository(origin: Repository, which: str, platform: str) -> BaseImage:
    """A base by its tag or digest in a repository that is logged in; its layers may be compressed by zstd, too.

    Raises:
        ConfigInvalid: it isn't there, or not for that platform. TargetUnavailable, PermissionDenied: what the registry says.
    """
    reference = origin.reference(which)
    return _for(platform, _there(_in_repository(origin, Reference.parse(reference), platform, zstd=True), reference))


def find_in_repository(origin: Repository, which: str, platform: str) -> BaseImage | None:
    """The same, or None where it isn't there, or only stands in for an image."""
    found = _in_repository(origin, Reference.parse(origin.reference(which)), platform)
    return None if found is None or labels.STAND_IN in found.labels else _for(platform, found)


def _of_registry(name: str, platform: str) -> BaseImage:
    reference = Reference.parse(name)
    origin = Repository(reference.registry, reference.repository, partial(configured, reference.registry))
    return _there(_in_repository(origin, reference, platform), str(reference))


def _there(found: BaseImage | None, name: str) -> BaseImage:
    if found is None:
        raise ConfigInvalid(f"the base image {name} is not to be had", advice="name another with --base")
    return found


def _in_repository(origin: Repository, reference: Reference, platform: str, *, zstd: bool = False) -> BaseImage | None:
    name = str(reference)
    top = origin.find_manifest(reference.which)
    if top is None:
        return None
    manifest = origin.manifest(_of_platform(top, platform, name)) if top.media_type in INDEXES else top

    def fetched(descriptor: Descriptor) -> Path:
        def write(stream: IO[bytes]) -> None:
            with origin.stream_blob(descriptor.digest) as pieces:
                for piece in pieces:
                    stream.write(piece)

        return blobs.kept(descriptor.digest, write)

    base = Base.named(f"{reference.name}{f':{reference.tag}' if reference.tag else ''}@{top.digest}")
    assert base is not None  # it has a digest
    config = origin.config(manifest).document
    return BaseImage(base, config, tuple(_layers(manifest, config, fetched, zstd=zstd)), origin)


def _of_layout(name: str, layout: Path, platform: str) -> BaseImage:
    def blob(digest: str) -> Path:
        file = layout / "blobs" / digest.replace(":", "/")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest) or not file.is_file():
            raise ConfigInvalid(f"the base image {name} is not whole", why=f"it has no {digest}")
        return file

    try:
        index = (layout / "index.json").read_bytes()
        listed = [Descriptor.read(each) for each in json.loads(index)["manifests"]]
        top = Manifest(OCI_INDEX, index) if len(listed) != 1 else Manifest(listed[0].media_type, blob(listed[0].digest).read_bytes())
        manifest = top
        if top.media_type in INDEXES:
            chosen = blob(_of_platform(top, platform, name)).read_bytes()
            manifest = Manifest(json.loads(chosen).get("mediaType", ""), chosen)
        config = json.loads(blob(manifest.config.digest).read_bytes())
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ConfigInvalid(
            f"{name} is no OCI archive", why=str(fault), advice="docker buildx build --output type=oci, or skopeo copy, makes one"
        ) from fault
    return BaseImage(Base(name, top.digest, name), config, tuple(_layers(manifest, config, lambda descriptor: blob(descriptor.digest))))


def _of_root(name: str, root: Path, platform: str) -> BaseImage:
    file, layer = blobs.made(lambda stream: pack_directory(root, stream))
    system, architecture, *_ = platform.split("/")
    config = {
        "os": system,
        "architecture": architecture,
        "config": {"Env": [_PATH]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created": NEVER, "created_by": "a root directory"}],
    }
    return BaseImage(Base(name, layer.digest, name), config, (BaseLayer(layer.digest, layer.size, layer.diff_id, lambda: file),))


def _layers(manifest: Manifest, config: Mapping[str, Any], file: Callable[[Descriptor], Path], *, zstd: bool = False) -> Sequence[BaseLayer]:
    diff_ids = config["rootfs"]["diff_ids"]
    found = []
    for descriptor, diff_id in zip(manifest.layers, diff_ids, strict=True):
        compression = Compression.of(descriptor.media_type)
        if compression is Compression.GZIP or (zstd and compression is not None):
            found.append(BaseLayer(descriptor.digest, descriptor.size, diff_id, partial(file, descriptor), compression))
        elif descriptor.media_type == OCI_TAR:
            plain = file(descriptor)
            packed, layer = blobs.made(partial(_compress, plain))
            found.append(BaseLayer(layer.digest, layer.size, diff_id, partial(Path, packed)))
        else:
            raise ConfigInvalid(
                f"the base image's layers are of a form that isn't taken everywhere: {descriptor.media_type}",
                advice="name a base whose layers are compressed by gzip (skopeo copy --dest-compress-format gzip makes one)",
            )
    return found


def _compress(plain: Path, stream: IO[bytes]) -> Layer:
    with plain.open("rb") as content:
        return write_compressed(content, stream)


def _of_platform(index: Manifest, platform: str, name: str) -> Digest:
    found = index.platforms
    if platform not in found:
        there = ", ".join(sorted(found)) or "none"
        raise ConfigInvalid(f"the base image {name} is for {there}, not {platform}", advice="name one with --base")
    return found[platform]


def _unpacked(archive: Path) -> Path:
    """An OCI archive as a layout, unpacked once."""
    stat = archive.stat()

    def unpack(target: Path) -> None:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")
        except tarfile.TarError as fault:
            raise ConfigInvalid(f"{archive} is no OCI archive", why=str(fault)) from fault

    return cache.made(cache.root() / "layouts" / cache.key(str(archive), stat.st_size, stat.st_mtime_ns), unpack)


def _names(file: Path) -> list[str]:
    """The Pythons among the files of a layer."""
    with gzip.open(file) as content, tarfile.open(fileobj=content, mode="r|") as tar:
        names = [member.name.removeprefix("./").lstrip("/") for member in tar if member.isfile()]
    return [name for name in names if re.search(r"(^|/)bin/python3\.\d+$", name)]
