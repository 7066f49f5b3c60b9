"""An image of one model, which needs nothing beside it: the shared image, or a base and the runtime; the model's packages; the model in a layer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from deployer.artifacts import files
from deployer.core.requirements import minor_of
from deployer.core.state import PackagedModel
from deployer.errors import ConfigInvalid
from deployer.events import Report
from deployer.oci import Repository, labels
from deployer_images import scoring
from deployer_images.layers import blobs
from deployer_images.layers.archive import Entry, Layer, write_layer
from deployer_images.layers.bases import BaseImage
from deployer_images.layers.images import called, labels_on, runtime_part
from deployer_images.layers.package_set import PackageSet, packages_of, runtime_packages
from deployer_images.layers.parts import Assembled, Part, assembled
from deployer_images.layers.planning import wanted_of
from deployer_images.layers.published import build_both, publish
from deployer_images.wanted import Wanted
from deployer_scoring.model.locate import SAGEMAKER

_PLACE = str(SAGEMAKER.relative_to("/"))


def model_image(model: PackagedModel, base: BaseImage, report: Report, repository: Repository | None = None, *, trimmed: bool = True) -> Assembled:
    """Put the image together; the same model, base and packages give the same bytes.

    Args:
        base: the shared image, which has the runtime, or any image with the model's Python, which gets it.
        repository: where the image will go: a layer of packages that it has is not made, one that it lacks is kept there for other models.
        trimmed: whether what no import needs is left out of that layer.

    Raises:
        ConfigInvalid: the base has another Python, or nothing to run. ModelInvalid: no wheel gives a package, or files that no image takes.
        What fetching, sending and uv raise.
    """
    wanted, python = wanted_of(model)
    known = dict(base.labels)
    _check(base, known, minor_of(python))
    packages = packages_of(wanted, python, base.platform, trimmed=trimmed)
    own: list[Part] = []
    settings: dict[str, Any]
    below: dict[str, str] = known
    if known.get(labels.RUNTIME):
        settings = {"Env": [], "ExposedPorts": {}, "Labels": {}}
    else:
        runtime = runtime_packages(Wanted(), python, base.platform)
        part, settings = runtime_part(base, runtime, Wanted(), report)
        own.append(part)
        settings["Labels"] |= {labels.RUNTIME: scoring.VERSION, labels.PYTHON: packages.python, **base.base.labels}
        below = {labels.PACKAGES: labels.packages_label(runtime.lines)}
    made = _packages_parts(packages, wanted, report, repository)
    own += [*made, model_part(model)]
    settings["Labels"] |= {**labels_on(below, packages, compiled=len(made) > 1), labels.MODEL: model.digest}
    return assembled(base, own, settings)


def _check(base: BaseImage, known: dict[str, str], minor: str) -> None:
    if labels.STAND_IN in known:
        raise ConfigInvalid(f"{base.base.name} stands in for an image, and holds nothing to run", advice="name another with --base-image")
    if not known.get(labels.RUNTIME):
        base.interpreter(minor)
    elif known.get(labels.PYTHON) != minor:
        raise ConfigInvalid(
            f"the base image has Python {known.get(labels.PYTHON, '?')}, and the model was saved by {minor}", advice="name another with --base-image"
        )


def _packages_parts(packages: PackageSet, wanted: Wanted, report: Report, repository: Repository | None) -> list[Part]:
    """The packages, and their bytecode where there is some."""
    if repository is None:
        built = build_both(packages, wanted, report)
        return [Part(name, each.layer, partial(Path, each.file)) for name, each in zip(called(packages), built, strict=False)]

    def file(number: int) -> Path:
        return build_both(packages, wanted, report)[number].file

    layers = publish(packages, wanted, repository, report)
    return [Part(name, layer, partial(file, number), repository) for number, (name, layer) in enumerate(zip(called(packages), layers, strict=False))]


def model_part(model: PackagedModel) -> Part:
    """A model's files as a layer, where the runtime looks for them."""
    directory = model.directory

    def entries() -> Iterator[Entry]:
        return (Entry(f"{_PLACE}/{each.path}", each.source, executable=each.executable) for each in files(directory))

    file, layer = blobs.made(lambda stream: write_layer(entries(), stream))
    return Part("model", Layer(layer.digest, layer.diff_id, layer.size, layer.unpacked), lambda: file)
