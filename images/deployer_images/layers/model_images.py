"""An image of one model, which needs nothing beside it: the shared image, or a base and the runtime; the model's packages; the model in a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from deployer.artifacts import ModelFile, combined, digested, files
from deployer.core.accelerators import Accelerator
from deployer.core.requirements import minor_of
from deployer.core.state import Digest, Image, PackagedModel, short
from deployer.errors import ConfigInvalid, ModelInvalid
from deployer.events import Report
from deployer.oci import Compression, Repository, labels
from deployer_images import cuda, engine, scoring
from deployer_images.builds import builds_for, noticed
from deployer_images.layers import blobs
from deployer_images.layers.archive import ArchiveEntry, write_layer
from deployer_images.layers.bases import BaseImage
from deployer_images.layers.built_inside import from_wheels, packages_inside
from deployer_images.layers.images import called, labels_on, runtime_parts
from deployer_images.layers.oci_archive import load_archive
from deployer_images.layers.package_set import PackageSet, runtime_packages
from deployer_images.layers.parts import Assembled, Part, assembled
from deployer_images.layers.planning import wanted_of
from deployer_images.layers.published import build_both, publish
from deployer_images.wanted import Wanted
from deployer_scoring.fetching.files import PLACE, WantedFile, written
from deployer_scoring.model.locate import SAGEMAKER

_PLACE = str(SAGEMAKER.relative_to("/"))


def model_image(
    model: PackagedModel,
    find_base: Callable[[], BaseImage],
    platform: str,
    report: Report,
    *,
    repository: Repository | None = None,
    trimmed: bool = True,
    accelerator: Accelerator | None = None,
) -> Assembled:
    """Put the image together; the same model, base and packages give the same bytes.

    Args:
        find_base: gives what it stands on, once it is known that the packages can be had: the shared image, which has the runtime, or any image
            with the model's Python, which gets it.
        repository: where the image will go: a layer of packages that it has is not made, one that it lacks is kept there for other models.
        trimmed: whether what no import needs is left out of that layer.
        accelerator: what it will run on, where that is known: the packages are built for that.

    Raises:
        ConfigInvalid: the base has another Python, or nothing to run. NoWheel: a package has none, and no engine answers that builds it.
        ModelInvalid: files that no image takes. What fetching, sending, building and uv raise.
    """
    asked, python = wanted_of(model)
    wanted = noticed(builds_for(asked, python, platform, accelerator), report)
    packages = from_wheels(wanted, python, platform, trimmed=trimmed)
    base = find_base()
    known = dict(base.labels)
    _check(base, known, minor_of(python))
    compression = repository.compression if repository else Compression.GZIP
    own: list[Part] = []
    settings: dict[str, Any]
    below: dict[str, str] = known
    if known.get(labels.RUNTIME):
        settings = {"Env": [], "ExposedPorts": {}, "Labels": {}}
    else:
        runtime = runtime_packages(Wanted(), python, platform)
        own, settings = runtime_parts(base, runtime, Wanted(), report)
        settings["Labels"] |= {labels.RUNTIME: scoring.VERSION, labels.PYTHON: minor_of(python), **base.base.labels}
        below = {labels.PACKAGES: labels.packages_label(runtime.lines)}
    if packages is None:
        with _on_engine(base, own, settings, report) as (shared, origin):
            packages = packages_inside(shared, wanted, python, report, origin=origin, repository=repository, trimmed=trimmed, accelerator=accelerator)
    made = _packages_parts(packages.compressed(compression), wanted, report, repository)
    own += [*made, model_part(model, compression)]
    settings["Env"] += cuda.variables(packages.lines)
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


@contextmanager
def _on_engine(base: BaseImage, own: Sequence[Part], settings: Mapping[str, Any], report: Report) -> Iterator[tuple[Image, Repository | None]]:
    """The image below the packages where an engine has it or pulls it, and from where; what is only put together here is gone after the block."""
    if base.origin is not None and not own:
        yield Image(base.origin.reference(base.base.digest), Digest(base.base.digest), platform=base.platform), base.origin
        return
    made = assembled(base, own, settings)
    digest = made.image.manifest.digest
    name = load_archive(made, f"deployer-build:{short(digest)}", report)
    try:
        yield Image(name, digest, platform=base.platform), None
    finally:
        engine.remove(name)


def _packages_parts(packages: PackageSet, wanted: Wanted, report: Report, repository: Repository | None) -> list[Part]:
    """The packages, and their bytecode where there is some."""
    if repository is None:
        built = build_both(packages, wanted, report)
        return [Part(name, each.layer, partial(Path, each.file)) for name, each in zip(called(packages), built, strict=False)]

    def file(number: int) -> Path:
        return build_both(packages, wanted, report)[number].file

    layers = publish(packages, wanted, repository, report)
    return [Part(name, layer, partial(file, number), repository) for number, (name, layer) in enumerate(zip(called(packages), layers, strict=False))]


def model_part(model: PackagedModel, compression: Compression = Compression.GZIP, place: str = f"{_PLACE}/") -> Part:
    """A model's files as a layer, where the runtime looks for them, or in another `place`: "" for the root."""
    directory = model.directory

    def entries() -> Iterator[ArchiveEntry]:
        return (ArchiveEntry(f"{place}{each.path}", each.source, executable=each.executable) for each in files(directory))

    file, layer = blobs.made(lambda stream: write_layer(entries(), stream, compression, quickly=True))
    return Part("model", layer, lambda: file)


def files_part(model: PackagedModel) -> Part:
    """The list of a model's files as a layer, by which the runtime fetches them and knows them again.

    Raises:
        ModelInvalid: they aren't those of the model's digest any more.
    """
    found = digested(files(model.directory))
    if combined(found) != model.digest:
        raise ModelInvalid(
            f"the model changed while it was being deployed, in {model.directory}", advice="run the command again once nothing writes there"
        )
    listed = written(wanted_files(found))
    file, layer = blobs.made(lambda stream: write_layer([ArchiveEntry(str(PLACE.relative_to("/")), listed)], stream))
    return Part("model's files", layer, lambda: file)


def wanted_files(found: Iterable[tuple[ModelFile, bytes]]) -> list[WantedFile]:
    """Files with their SHA-256 as the runtime is told of them."""
    return [WantedFile(file.path, file.size, digest.hex(), file.executable) for file, digest in found]
