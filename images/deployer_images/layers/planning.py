"""The image of a model that none in the registry fits: first what it would be, then that.

The tag under which it is put is the one where targets look first, so the next model that asks for the same finds it without resolving anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from deployer.core.accelerators import Accelerator
from deployer.core.compatibility import left_out
from deployer.core.requirements import need
from deployer.core.state import PackagedModel, PlannedPackages, digest_of
from deployer.errors import ConfigInvalid
from deployer.events import Report
from deployer.oci import Compression, Image, ModelFacts, Repository, general_tag, image_at, labels, model_tag, python_of
from deployer_images import engine, scoring, standin
from deployer_images.builder import LAYERS, BuildOptions, build_and_push
from deployer_images.builds import builds_for
from deployer_images.layers.built_inside import chosen_packages
from deployer_images.layers.images import ImageDestination, push_with_packages
from deployer_images.layers.package_set import PackageSet, packages_of
from deployer_images.layers.published import find
from deployer_images.layers.wheels import NoWheel
from deployer_images.locks import over
from deployer_images.runtimes import PROCESS
from deployer_images.wanted import Wanted


def planned(repository: Repository, shared: Image, model: PackagedModel, accelerator: Accelerator | None = None, *, trimmed: bool = True) -> Image:
    """What `make` would make on the shared image; nothing is fetched or sent. A model that isn't on this machine gets none: the shared one as it is.

    Args:
        shared: that in the registry, or what `shared_planned` says of one that isn't there yet.
        accelerator: what it will run on, where that is known: the packages are built for that.
        trimmed: whether what no import needs is left out of them.

    Raises:
        NoWheel, ModelInvalid: its packages can't be had that way, and which. TargetUnavailable: no index answers.
    """
    made = shared.planned is None
    called = _called(repository, shared) + ("" if made else ", made now,")

    def there(packages: PackageSet) -> bool:
        return made and not shared.stand_in and find(packages, repository) is not None

    reference = repository.reference(_tag(model, accelerator, repository, shared.platform, trimmed=trimmed))
    return layered(shared, model, reference, called, there=there, accelerator=accelerator, trimmed=trimmed, compression=repository.compression)


def layered(
    shared: Image,
    model: PackagedModel,
    reference: str,
    called: str,
    *,
    there: Callable[[PackageSet], bool] = lambda _: False,
    accelerator: Accelerator | None = None,
    trimmed: bool = True,
    compression: Compression = Compression.GZIP,
) -> Image:
    """An image with a model's packages on top as it will be; one that nothing can be put on, or a model that isn't here: the image as it is.

    Args:
        reference: what it will be called.
        called: the image below, for people.
        there: whether the layer is there already.

    Raises:
        What `planned` raises.
    """
    if model.path is None or not _ours(shared, model.facts):
        return shared
    wanted, python = wanted_of(model)
    try:
        builds = builds_for(wanted, python, shared.platform, accelerator)
        packages = packages_of(builds.wanted, python, shared.platform, trimmed=trimmed).compressed(compression)
    except NoWheel as refusal:
        if shared.stand_in or not engine.answers():
            raise
        return replace(_built(shared, model, reference, called, refusal), tag=reference.rpartition(":")[2], trimmed=trimmed)
    said = labels.package_versions({labels.PACKAGES: labels.packages_label(packages.lines)}) or {}
    return replace(
        shared,
        reference=reference,
        digest=digest_of([shared.digest, packages.address]),
        tag=reference.rpartition(":")[2],
        trimmed=trimmed,
        packages={**(shared.packages or {}), **said},
        planned=PlannedPackages(
            called,
            packages.address,
            len(packages.wheels),
            packages.size,
            there(packages),
            builds=builds.said,
            warnings=(builds.warning,) if builds.warning else (),
        ),
    )


def _built(shared: Image, model: PackagedModel, reference: str, called: str, refusal: NoWheel) -> Image:
    """One whose packages an engine builds: what they are is known once it has."""
    address = digest_of([shared.digest, reference])
    return replace(
        shared,
        reference=reference,
        digest=address,
        packages=None,
        unlisted=f"what is installed is known once it is built: {'; '.join(refusal.reasons)}",
        planned=PlannedPackages(called, address, 0, built=refusal.reasons),
    )


def shared_planned(repository: Repository, facts: ModelFacts) -> Image | None:
    """The shared image for a model's Python as it will be, where the registry has one for another Python to go by; else None."""
    other = _of_another_python(repository)
    if other is None:
        return None
    tag, python = general_tag(facts.python_version), python_of(facts)
    added = added_to(repository.config(repository.manifest(other.digest)).labels)
    found = replace(
        other,
        reference=repository.reference(tag),
        digest=digest_of([other.digest, python]),
        tag=tag,
        python_version=python,
        packages={need(line).name: "" for line in added},
    )
    return replace(found, planned=PlannedPackages(_called(repository, found), found.digest, 0))


@dataclass(frozen=True, slots=True)
class ChosenPackages:
    """A model's packages, the image that they are put on, and what they were chosen for."""

    shared: Image
    wanted: Wanted
    packages: PackageSet
    tag: str


def chosen(
    repository: Repository, model: PackagedModel, report: Report, *, trimmed: bool = True, accelerator: Accelerator | None = None
) -> ChosenPackages:
    """What a model's image is made of, and its tag. The shared image for its Python is made where there is only one for another.

    Args:
        trimmed: whether what no import needs is left out of the layer.
        accelerator: as `planned` has it.

    Raises:
        What `planned` raises, and what building raises.
    """
    shared = _shared(repository, model.facts, report)
    wanted, python = wanted_of(model)
    wanted = builds_for(wanted, python, shared.platform, accelerator).wanted
    packages = chosen_packages(shared, wanted, python, report, repository=repository, trimmed=trimmed, accelerator=accelerator)
    return ChosenPackages(
        shared, wanted, packages.compressed(repository.compression), _tag(model, accelerator, repository, shared.platform, trimmed=trimmed)
    )


def make(repository: Repository, model: PackagedModel, report: Report, *, trimmed: bool = True, accelerator: Accelerator | None = None) -> Image:
    """Make what was planned.

    Raises:
        What `chosen` and `put_on` raise.
    """
    return put_on(chosen(repository, model, report, trimmed=trimmed, accelerator=accelerator), repository, model.facts, report)


def put_on(chosen: ChosenPackages, repository: Repository, facts: ModelFacts, report: Report) -> Image:
    """A model's packages as a layer on the shared image; of a stand-in, another with their lock.

    Raises:
        What `push_with_packages` raises.
    """
    shared, packages = chosen.shared, chosen.packages
    if not shared.stand_in:
        return push_with_packages(shared, packages, chosen.wanted, ImageDestination(repository, (chosen.tag,), {}, report))
    config = repository.config(repository.manifest(shared.digest))
    lines = over(labels.package_lines(config.labels) or (), packages.lines)
    said = {labels.RUNTIME: scoring.VERSION, labels.PYTHON: python_of(facts), labels.PACKAGES: labels.packages_label(lines)}
    standin.push(repository, said, shared.platform, chosen.tag)
    return repository.describe(chosen.tag)


def _shared(repository: Repository, facts: ModelFacts, report: Report) -> Image:
    """The shared image for a model's Python; where there is only one for another, made as that was.

    Raises:
        ConfigInvalid: there is no such base for that Python. What building raises.
    """
    tag = general_tag(facts.python_version)
    other = None if repository.exists(tag) else _of_another_python(repository)
    if other is None:
        return image_at(repository, tag)
    said = repository.config(repository.manifest(other.digest)).labels
    python = python_of(facts)
    options = BuildOptions(
        python=python,
        base_image=base_for(said.get(labels.BASE_NAME, ""), other.python_version, python),
        platform=other.platform,
        requirements=added_to(said),
        runtime=PROCESS if other.stand_in else LAYERS,
    )
    try:
        return build_and_push(options, repository, report)
    except ConfigInvalid as refusal:
        raise ConfigInvalid(
            f"no shared image for Python {python} can be made as that for {other.python_version} was: {refusal.message}",
            why=refusal.why,
            advice=f"deploy build-and-push-container --python {python} --base IMAGE makes it on a base with that Python",
        ) from refusal


def added_to(said: Mapping[str, str]) -> tuple[str, ...]:
    """What a shared image with these labels was asked to have beside the runtime."""
    return tuple(json.loads(said.get(labels.ADDED, "[]")))


def shared_tags(repository: Repository) -> tuple[str, ...]:
    """The tags of the shared images of this version, one for each Python, the newest last."""
    form = re.compile(re.escape(general_tag("3.0").removesuffix("30")) + r"3(\d+)")
    found = sorted((int(match[1]), tag) for tag in repository.tags() if (match := form.fullmatch(tag)))
    return tuple(tag for _, tag in found)


def _of_another_python(repository: Repository) -> Image | None:
    """A shared image of this version, the newest Python's."""
    there = shared_tags(repository)
    return image_at(repository, there[-1]) if there else None


def base_for(name: str, minor: str, wanted: str) -> str | None:
    """The base of an image for another Python: python:3.11-slim becomes python:3.12-slim; what doesn't say its Python may have several."""
    return re.sub(rf"(?<![\d.]){re.escape(minor)}(?!\d)", wanted, name) or None


def wanted_of(model: PackagedModel) -> tuple[Wanted, str]:
    """What a model on this machine wants, mlflow left out where it can do without, and its Python, with the patch where that is known."""
    assert model.path is not None
    return Wanted.of_model(model.path).without(left_out(model.facts, "auto")), model.facts.python_version or python_of(model.facts)


def _tag(model: PackagedModel, accelerator: Accelerator | None, repository: Repository, platform: str, *, trimmed: bool) -> str:
    gpu, zstd = accelerator is not None and accelerator.gpu, repository.compression is Compression.ZSTD
    return model_tag(model.facts, gpu=gpu, trimmed=trimmed, zstd=zstd, platform=platform)


def _ours(shared: Image, facts: ModelFacts) -> bool:
    """Whether a model's packages can go on top: an image of ours, for its Python."""
    return bool(shared.runtime) and shared.python_version == python_of(facts) and shared.packages is not None


def _called(repository: Repository, shared: Image) -> str:
    return f"{repository.name.rpartition('/')[2]}:{shared.tag}"
