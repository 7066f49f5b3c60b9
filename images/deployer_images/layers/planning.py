"""The image of a model that none in the registry fits: first what it would be, then that.

The tag under which it is put is the one where targets look first, so the next model that asks for the same finds it without resolving anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from deployer.core.compatibility import left_out
from deployer.core.state import PackagedModel, PlannedPackages, digest_of
from deployer.events import Report
from deployer.oci import Image, ModelFacts, Repository, general_tag, labels, model_tag, python_of
from deployer_images import engine, scoring, standin
from deployer_images.builder import LAYERS, BuildOptions, build_and_push
from deployer_images.layers.built_inside import packages_inside
from deployer_images.layers.images import Destination, push_with_packages
from deployer_images.layers.package_set import PackageSet, packages_of
from deployer_images.layers.published import find
from deployer_images.layers.wheels import NoWheel
from deployer_images.locks import over
from deployer_images.runtimes import PROCESS
from deployer_images.wanted import Wanted


def planned(repository: Repository, shared: Image, model: PackagedModel) -> Image:
    """What `make` would make on the shared image; nothing is fetched or sent. A model that isn't on this machine gets none: the shared one as it is.

    Args:
        shared: that in the registry, or what `shared_planned` says of one that isn't there yet.

    Raises:
        NoWheel, ModelInvalid: its packages can't be had that way, and which. TargetUnavailable: no index answers.
    """
    made = shared.planned is None
    called = _called(repository, shared) + ("" if made else ", made now,")

    def there(packages: PackageSet) -> bool:
        return made and not shared.stand_in and find(packages, repository) is not None

    return layered(shared, model, repository.reference(model_tag(model.facts)), called, there)


def layered(shared: Image, model: PackagedModel, reference: str, called: str, there: Callable[[PackageSet], bool] = lambda _: False) -> Image:
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
    try:
        packages = packages_of(*wanted_of(model), shared.platform)
    except NoWheel as refusal:
        if shared.stand_in or not engine.answers():
            raise
        return _built(shared, model, reference, called, refusal)
    said = labels.package_versions({labels.PACKAGES: labels.packages_label(packages.lines)}) or {}
    return replace(
        shared,
        reference=reference,
        digest=digest_of([shared.digest, packages.address]),
        tag=model_tag(model.facts),
        packages={**(shared.packages or {}), **said},
        planned=PlannedPackages(called, packages.address, len(packages.wheels), packages.size, there(packages)),
    )


def _built(shared: Image, model: PackagedModel, reference: str, called: str, refusal: NoWheel) -> Image:
    """One whose packages an engine builds: what they are is known once it has."""
    address = digest_of([shared.digest, model_tag(model.facts)])
    return replace(
        shared,
        reference=reference,
        digest=address,
        tag=model_tag(model.facts),
        packages=None,
        unlisted=f"what is installed is known once it is built: {'; '.join(refusal.reasons)}",
        planned=PlannedPackages(called, address, 0, built=refusal.reasons),
    )


def chosen_packages(
    shared: Image, wanted: Wanted, python: str, report: Report, *, login: tuple[str, str] | None = None, trimmed: bool = True
) -> PackageSet:
    """The packages to put on an image: wheels; where some have none, those that an engine builds, if there is one.

    Args:
        login: for the image's registry.
        trimmed: whether what no import needs is left out.

    Raises:
        NoWheel: there is none. What building raises.
    """
    try:
        return packages_of(wanted, python, shared.platform, trimmed=trimmed)
    except NoWheel:
        if shared.stand_in or not engine.answers():
            raise
        return packages_inside(shared, wanted, python, report, login=login, trimmed=trimmed)


def shared_planned(repository: Repository, facts: ModelFacts) -> Image | None:
    """The shared image for a model's Python as it will be, where the registry has one for another Python to go by; else None."""
    other = _of_another_python(repository)
    if other is None:
        return None
    tag, python = general_tag(facts.python_version), python_of(facts)
    found = replace(other, reference=repository.reference(tag), digest=digest_of([other.digest, python]), tag=tag, python_version=python, packages={})
    return replace(found, planned=PlannedPackages(_called(repository, found), found.digest, 0))


def make(repository: Repository, model: PackagedModel, report: Report, *, trimmed: bool = True) -> Image:
    """Make it: the model's packages as a layer on the shared image; of a stand-in, another with their lock.

    Args:
        trimmed: whether what no import needs is left out of the layer.

    Raises:
        What `planned` and `push_with_packages` raise.
    """
    shared = _shared(repository, model.facts, report)
    wanted, python = wanted_of(model)
    packages = chosen_packages(shared, wanted, python, report, login=_login(repository), trimmed=trimmed)
    tags = (model_tag(model.facts),)
    if not shared.stand_in:
        return push_with_packages(shared, packages, wanted, Destination(repository, tags, {}, report))
    config = repository.config(repository.manifest(shared.digest))
    lines = over(labels.package_lines(config.labels) or (), packages.lines)
    said = {labels.RUNTIME: scoring.VERSION, labels.PYTHON: python_of(model.facts), labels.PACKAGES: labels.packages_label(lines)}
    standin.push(repository, said, shared.platform, *tags)
    return repository.describe(tags[0])


def _shared(repository: Repository, facts: ModelFacts, report: Report) -> Image:
    """The shared image for a model's Python; where there is only one for another, made as that was."""
    tag = general_tag(facts.python_version)
    other = None if repository.exists(tag) else _of_another_python(repository)
    if other is None:
        return repository.describe(tag)
    said = repository.config(repository.manifest(other.digest)).labels
    python = python_of(facts)
    options = BuildOptions(
        python=python,
        base_image=base_for(said.get(labels.BASE_NAME, ""), other.python_version, python),
        platform=other.platform,
        runtime=PROCESS if other.stand_in else LAYERS,
    )
    return build_and_push(options, repository, report)


def _of_another_python(repository: Repository) -> Image | None:
    """A shared image of this version, the newest Python's."""
    form = re.compile(re.escape(general_tag("3.0").removesuffix("30")) + r"3(\d+)")
    found = sorted((int(match[1]), tag) for tag in repository.tags() if (match := form.fullmatch(tag)))
    return repository.describe(found[-1][1]) if found else None


def base_for(name: str, minor: str, wanted: str) -> str | None:
    """The base of an image for another Python: python:3.11-slim becomes python:3.12-slim; what doesn't say its Python may have several."""
    return re.sub(rf"(?<![\d.]){re.escape(minor)}(?!\d)", wanted, name) or None


def wanted_of(model: PackagedModel) -> tuple[Wanted, str]:
    """What a model on this machine wants, mlflow left out where it can do without, and its Python, with the patch where that is known."""
    assert model.path is not None
    return Wanted.of_model(model.path).without(left_out(model.facts, "auto")), model.facts.python_version or python_of(model.facts)


def _ours(shared: Image, facts: ModelFacts) -> bool:
    """Whether a model's packages can go on top: an image of ours, for its Python."""
    return bool(shared.runtime) and shared.python_version == python_of(facts) and shared.packages is not None


def _login(repository: Repository) -> tuple[str, str] | None:
    credentials = repository.login()
    return (credentials.username, credentials.password) if credentials else None


def _called(repository: Repository, shared: Image) -> str:
    return f"{repository.name.rpartition('/')[2]}:{shared.tag}"
