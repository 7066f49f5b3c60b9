"""Whole images, put together in a registry: the shared one on a base, and one of a model's packages on that."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from deployer.core.state import Image, digest_of
from deployer.events import Report, stepping
from deployer.oci import ImageConfiguration, Repository, labels
from deployer.oci.manifest import index_manifest
from deployer.words import size
from deployer_images import cache, cuda, scoring
from deployer_images.context import DOCKERFILE
from deployer_images.layers import blobs
from deployer_images.layers.archive import ArchiveEntry, Layer, write_layer
from deployer_images.layers.bases import BaseImage
from deployer_images.layers.bytecode import write_bytecode
from deployer_images.layers.composing import Composed, compose
from deployer_images.layers.dockerfile import settings
from deployer_images.layers.installed import RUNTIME, RUNTIMES, VENV, entries, models, unpack
from deployer_images.layers.package_set import PackageSet
from deployer_images.layers.parts import Part, assembled, send_parts
from deployer_images.layers.published import publish
from deployer_images.locks import over
from deployer_images.uv import installed_interpreter
from deployer_images.wanted import Wanted


@dataclass(frozen=True, slots=True)
class ImageDestination:
    """Where an image goes.

    Attributes:
        labels: what its config says of it beside what follows from its contents.
    """

    repository: Repository
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    report: Report


def push_shared(base: BaseImage, packages: PackageSet, wanted: Wanted, to: ImageDestination) -> Image:
    """The image that serves every model: the base, and the runtime with its packages in a layer; an empty environment for a model's.

    Args:
        packages: the runtime's, and what else is to be in it.

    Raises:
        ConfigInvalid: the base has no such Python. What fetching, sending and uv raise.
    """
    runtime, said = runtime_parts(base, packages, wanted, to.report)
    said["Labels"] |= to.labels
    made = assembled(base, runtime, said)
    send_parts(made.parts, to.repository, to.report)
    return put(made.image, to)


def runtime_parts(base: BaseImage, packages: PackageSet, wanted: Wanted, report: Report) -> tuple[list[Part], dict[str, Any]]:
    """The layer of the runtime with its packages on a base, made here, and of its bytecode where that Python is here too; the settings of both."""
    python = base.interpreter(packages.python)
    with stepping(report, "build_image", "image", base.base.name) as outcome:
        file, layer = blobs.made(lambda stream: _write_runtime(packages, wanted, python, stream))
        outcome.detail = size(layer.size)
    parts, said = [Part("runtime", layer, lambda: file)], settings(DOCKERFILE.read_text())
    interpreter = installed_interpreter(packages.python)
    said["Labels"][labels.BYTECODE] = str(interpreter is not None).lower()
    if interpreter is not None:
        with stepping(report, "build_bytecode", "bytecode", base.base.name) as outcome:
            compiled, bytecode = blobs.made(lambda stream: write_bytecode(file, RUNTIME, interpreter, stream))
            outcome.detail = size(bytecode.size)
        parts.append(Part("runtime bytecode", bytecode, lambda: compiled))
    return parts, said


def push_with_packages(shared: Image, packages: PackageSet, wanted: Wanted, to: ImageDestination) -> Image:
    """A model's packages on top of the shared image, of which nothing is fetched but its config.

    Raises:
        What `publish` raises.
    """
    layers = publish(packages, wanted, to.repository, to.report)
    manifest = to.repository.manifest(shared.digest)
    config = to.repository.config(manifest)
    said = {**labels_on(config.labels, packages, compiled=len(layers) > 1), **to.labels}
    changes = {"Env": cuda.variables(packages.lines), "ExposedPorts": {}, "Labels": said}
    return put(compose(config.document, manifest.layers, [*zip(layers, called(packages), strict=False)], changes), to)


def called(packages: PackageSet) -> tuple[str, str]:
    """What the layers of packages and of their bytecode are called, for people and in an image's history."""
    return (f"packages {packages.name}", f"bytecode {packages.name}")


def labels_on(below: Mapping[str, str], packages: PackageSet, *, compiled: bool) -> dict[str, str]:
    """What an image with these packages on top says otherwise than the one below: it was made of more, and isn't to be taken for that."""
    return {
        labels.BYTECODE: str(compiled).lower(),
        labels.PACKAGES: labels.packages_label(over(labels.package_lines(below) or (), packages.lines)),
        labels.LAYER: packages.address,
        **cuda.label(packages.lines),
        labels.TRIMMED: "true" if packages.trimmed else "false",
        labels.INPUTS: digest_of([below.get(labels.INPUTS, ""), packages.address]),
    }


def put(image: Composed, to: ImageDestination) -> Image:
    """Put an image in place whose layers are there."""
    to.repository.upload(image.config)
    to.repository.put_manifest(image.manifest, *to.tags)
    return to.repository.described(image.manifest, ImageConfiguration(json.loads(image.config)), tag=to.tags[0])


def put_index(images: Mapping[str, Composed], to: ImageDestination) -> str:
    """Put one image for several platforms in place, each of whose layers are there; the reference of the index of them."""
    for image in images.values():
        to.repository.upload(image.config)
        to.repository.put_manifest(image.manifest)
    index = index_manifest({platform: image.manifest for platform, image in images.items()})
    return to.repository.reference(to.repository.put_manifest(index, *to.tags))


def _write_runtime(packages: PackageSet, wanted: Wanted, python: str, stream: IO[bytes]) -> Layer:
    """The scoring runtime with its packages, and an environment that ends with them."""
    with tempfile.TemporaryDirectory(dir=cache.folder("builds")) as name:
        directory = Path(name)
        unpack(packages, wanted, directory)
        scoring.copy(directory)
        return write_layer((*entries(directory, RUNTIMES, trimmed=packages.trimmed), *_environment(packages.python, python)), stream)


def _environment(minor: str, python: str) -> Iterator[ArchiveEntry]:
    """What `python -m venv --without-pip` makes, without running it."""
    home = python.rpartition("/")[0]
    yield ArchiveEntry(f"{VENV}/pyvenv.cfg", f"home = {home}\ninclude-system-site-packages = false\nversion = {minor}\n".encode())
    yield ArchiveEntry(f"{VENV}/bin/python", link=python)
    yield ArchiveEntry(f"{VENV}/bin/python3", link="python")
    yield ArchiveEntry(f"{VENV}/bin/python{minor}", link="python")
    yield ArchiveEntry(f"{VENV}/lib64", link="lib")
    yield ArchiveEntry(f"{models(minor).modules}/zzz-deployer-runtime.pth", f"/{RUNTIME}\n".encode())
