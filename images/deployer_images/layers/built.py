"""A layer of packages on this machine: made once for its address and kept in the user's cache, whole or not there."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from deployer.core.state import Digest
from deployer.errors import MachineFault
from deployer.events import Report, stepping
from deployer.oci import Compression
from deployer.words import size
from deployer_images import cache
from deployer_images.layers.archive import Layer, write_layer
from deployer_images.layers.installed import entries, models, unpack
from deployer_images.layers.package_set import PackageSet
from deployer_images.wanted import Wanted

FILE, FACTS = "layer.tar", "layer.json"
"""Of a layer's folder in the cache."""


@dataclass(frozen=True, slots=True)
class Built:
    """A layer's file."""

    layer: Layer
    file: Path


Unpack = Callable[[Path], None]
"""Puts the files of a set's packages into a directory."""


def build(packages: PackageSet, wanted: Wanted, report: Report, *, ca_bundle: Path | None = None, by: Unpack | None = None) -> Built:
    """The layer of these packages. One process at a time makes it, others wait for it; a file that was damaged since is made anew.

    Args:
        by: unpacks them; by default from their wheels.

    Raises:
        ModelInvalid: a wheel isn't the one that was chosen. TargetUnavailable: no index answers. MachineFault: the disk is full.
    """
    with stepping(report, "build_packages", "packages", packages.name) as outcome:
        unpacked = by or partial(unpack, packages, wanted, ca_bundle=ca_bundle)
        built = kept(packages.address, lambda target: _make(packages, unpacked, target))
        outcome.detail = f"{len(packages.wheels)} packages, {size(built.layer.size)}"
    return built


def kept(address: Digest, make: Callable[[Path], None]) -> Built:
    """The layer of an address; where it isn't here, or isn't whole, `make` puts its file and its facts into the folder."""
    directory = cache.root() / "layers" / address.removeprefix("sha256:")[:40]
    built = _read(cache.made(directory, make))
    if built is None:
        with cache.locked(directory):
            shutil.rmtree(directory, ignore_errors=True)
        built = _read(cache.made(directory, make))
    if built is None:
        raise MachineFault(f"{directory} does not keep what is written to it", advice="set XDG_CACHE_HOME to another disk")
    return built


def _read(directory: Path) -> Built | None:
    """What is kept, unless its bytes aren't those that were written."""
    file = directory / FILE
    try:
        said = json.loads((directory / FACTS).read_text())
        layer = Layer(**{**said, "compression": Compression(said["compression"])})
        with file.open("rb") as content:
            digest = "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return Built(layer, file) if digest == layer.digest else None


def _make(packages: PackageSet, by: Unpack, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache.folder("builds")) as unpacked:
        by(Path(unpacked))
        with (target / FILE).open("wb") as file:
            layer = write_layer(entries(Path(unpacked), models(packages.python), trimmed=packages.trimmed), file, packages.compression)
    (target / FACTS).write_text(json.dumps(asdict(layer)))
