"""Which runtime and image a local deployment has: docker's where an engine has it, else a stand-in for the process runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from deployer.core.compatibility import fit, left_out, makes, trims
from deployer.core.requirements import python_too_old
from deployer.core.state import Digest, Image, ModelFacts, Observed, PackagedModel, digest_of
from deployer.core.target import Diagnosis, Verdict
from deployer.errors import ConfigInvalid, DeployerError, ExtraMissing, MachineFault, TargetUnavailable
from deployer.events import Report
from deployer.oci import general_tag, labels, python_of, tags_for
from deployer_images import engine, scoring
from deployer_images.builder import CONTAINER_NAME
from deployer_images.builds import builds_for, in_several_builds
from deployer_images.faults import NeedsBuild
from deployer_images.layers.engine_images import make_here, planned_here
from deployer_images.layers.wheels import NoWheel
from deployer_images.locks import locked
from deployer_images.uv import OURS
from deployer_images.wanted import Wanted
from deployer_scoring.model.own_paths import path_of
from deployer_targets.local.accelerators import of_processes
from deployer_targets.local.config import LocalConfig

if TYPE_CHECKING:
    from docker import DockerClient

DOCKER, PROCESS = "docker", "process"
STAND_IN_PREFIX = "process/"
"""Begins the reference of a stand-in: no registry has it."""


def runtime_for(config: LocalConfig, model: PackagedModel, observed: Observed | None, packages: str, *, build: bool = False) -> str:
    """What `auto` means: what runs the deployment already, else docker where an engine has an image that fits or can get one, else processes."""
    if config.runtime != "auto":
        return config.runtime
    if config.image_url:
        return PROCESS if config.image_url.startswith(STAND_IN_PREFIX) else DOCKER
    recorded = str(observed.record.options.get("runtime", "")) if observed and observed.record else ""
    return recorded if recorded in (DOCKER, PROCESS) else (PROCESS if own_image(model, packages, build=build).stand_in else DOCKER)


def image_for(config: LocalConfig, model: PackagedModel, kept: str | None, packages: str, *, build: bool = False) -> Image:
    """The image of a deployment: the one named, else the one in service if it fits, else the one built for the model, else the general one.

    Whether the general one fits is not asked here: the caller tells the user package by package.

    Args:
        kept: the reference in service, on an update.
        packages: how strictly an image must fit: see `deployer.core.compatibility`.
        build: whether packages may be built to learn what a stand-in will have.

    Raises:
        MachineFault: docker doesn't have it. TargetUnavailable, ExtraMissing: docker can't be asked.
        ConfigInvalid: processes have no such image.
    """
    stands_in = [each for each in (config.image_url, kept) if each and each.startswith(STAND_IN_PREFIX)]
    if config.runtime == PROCESS:
        if config.image_url and not config.image_url.startswith(STAND_IN_PREFIX):
            raise ConfigInvalid(f"the process runtime can't run the image {config.image_url}", advice="-C runtime=docker, or leave image_url out")
        return stand_in(model, packages, next(iter(stands_in), None), build=build)
    if config.image_url:
        return docker_image(config.image_url)
    if kept and kept not in stands_in and (found := _fitting(model.facts, packages, kept)):
        return found
    return built_image(model, packages)


def outdated(image: Image) -> bool:
    """Whether it stands for the process runtime of another version of this tool: nothing new can be started from it."""
    return image.stand_in and image.runtime not in ("", scoring.VERSION)


def built_image(model: PackagedModel, packages: str) -> Image:
    """The scoring image of this version that docker has here: the first that fits the model; else, where packages are to be made, what `make` will
    make on the general one; else that.

    Raises:
        MachineFault: it has none. TargetUnavailable, ExtraMissing: docker can't be asked. NoWheel, ModelInvalid: none can be made.
    """
    names = _names(model.facts, packages)
    if found := _fitting(model.facts, packages, *names):
        return found
    shared = docker_image(names[-1])
    return planned_here(shared, model, CONTAINER_NAME, trimmed=trims(packages)) if makes(packages) else shared


def own_image(model: PackagedModel, packages: str, *, build: bool = False) -> Image:
    """A scoring image of this version that docker has here or can be made there, and that fits the model; else a stand-in."""
    with suppress(TargetUnavailable, ExtraMissing, MachineFault, NoWheel):
        found = built_image(model, packages)
        if fit(model.facts, found, packages).fits:
            return found
    return stand_in(model, packages, build=build)


def make(model: PackagedModel, packages: str, report: Report) -> Image:
    """Make the image that `built_image` planned.

    Raises:
        What `built_image` raises.
    """
    return make_here(docker_image(_names(model.facts, packages)[-1]), model, CONTAINER_NAME, report, trimmed=trims(packages))


def stand_in(model: PackagedModel, packages: str, kept: str | None = None, *, build: bool = False) -> Image:
    """The process runtime as an image: the same version for the same Python is the same. It has what the model asks for, by construction.

    Args:
        packages: where they come from: see `deployer.core.compatibility`.
        kept: the reference of one in service.
        build: whether packages may be built, which runs their code, to learn which versions it will have. It need not be known: whoever
            starts the process builds them.
    """
    python = python_of(model.facts)
    reference = kept or f"{STAND_IN_PREFIX}{CONTAINER_NAME}:{general_tag(python)}"
    has, unlisted = _packages(model, model.facts.python_version or python, left_out(model.facts, packages), build)
    tag = reference.partition(":")[2]
    version = tag.rpartition("-py")[0]
    return Image(reference, digest_of(reference), tag=tag, python_version=python, runtime=version, packages=has, stand_in=True, unlisted=unlisted)


def docker_image(reference: str) -> Image:
    """An image that the docker engine has, by its id: what a tag means may change while it's in service.

    Raises:
        MachineFault: it doesn't have it. TargetUnavailable, ExtraMissing: it can't be asked.
    """
    with closing(engine.connect()) as client:
        found = _inspected(client, reference)
    if found is None:
        raise MachineFault(
            f"docker has no image {reference}",
            advice="deploy build-and-push-container --no-push builds it; docker pull fetches another; -C runtime=process does without",
        )
    said: Mapping[str, str] = (found["Config"] or {}).get("Labels") or {}
    return Image(
        found["Id"],
        Digest(found["Id"]),
        tag=reference if not reference.startswith("sha256:") else next(iter(found.get("RepoTags") or ()), ""),
        platform=f"{found['Os']}/{found['Architecture']}",
        python_version=said.get(labels.PYTHON, ""),
        runtime=said.get(labels.RUNTIME, ""),
        packages=labels.package_versions(said),
        trimmed=said.get(labels.TRIMMED) == "true",
        stand_in=labels.STAND_IN in said,
    )


def doctor() -> Iterator[Diagnosis]:
    """Docker, and its scoring image."""
    try:
        with closing(engine.connect(timeout_seconds=5)) as client:
            yield Diagnosis("docker", Verdict.OK, f"engine {client.version().get('Version', '')} answers")
            have = _inspected(client, f"{CONTAINER_NAME}:{general_tag(OURS)}")
            advice = "deploy build-and-push-container --no-push, to run models in the image that a cloud would run"
            detail = f"docker has {'' if have else 'no '}{CONTAINER_NAME}:{general_tag(OURS)}"
            yield Diagnosis("scoring image", Verdict.OK, detail) if have else Diagnosis("scoring image", Verdict.WARNING, detail, advice)
    except DeployerError as error:
        yield Diagnosis("docker", Verdict.WARNING, f"{error.message}: models run as processes", error.advice)


def _names(model: ModelFacts, packages: str) -> tuple[str, ...]:
    """What the images for this model are called on this machine, and, the last, the general one."""
    return tuple(f"{CONTAINER_NAME}:{tag}" for tag in tags_for(model, packages))


def _fitting(model: ModelFacts, packages: str, *references: str) -> Image | None:
    """The first of these that docker has and that fits."""
    for reference in references:
        with suppress(MachineFault):
            found = docker_image(reference)
            if fit(model, found, packages).fits:
                return found
    return None


def _packages(model: PackagedModel, python: str, without: frozenset[str], build: bool) -> tuple[Mapping[str, str] | None, str]:
    """Name to version of what the process runtime installs; None where no index can say or a build would have to, and why."""
    if python_too_old(python):
        return None, ""
    if model.path is None and any(map(path_of, (*model.facts.requirements, *model.facts.beside))):
        return None, "what is installed is not known without the model's directory, which has packages of its own"
    try:
        wanted = Wanted.of_model(model.path) if model.path else Wanted(model.facts.requirements)
        wanted = wanted.without(without)
        lock = locked(wanted, python, build=build)
        if in_several_builds(lock.all):
            lock = locked(builds_for(wanted, python, "", of_processes()).wanted, python, build=build)
    except TargetUnavailable:
        return None, ""
    except NeedsBuild as refusal:
        return None, refusal.message
    return labels.package_versions({labels.PACKAGES: labels.packages_label(lock.all)}), ""


def _inspected(client: DockerClient, reference: str) -> dict[str, Any] | None:
    """What docker says of an image, or None where it doesn't have it."""
    from docker.errors import APIError, DockerException, ImageNotFound

    try:
        found: dict[str, Any] = client.api.inspect_image(reference)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return None
    except (APIError, DockerException, OSError) as error:
        raise engine.fault(f"looking for {reference}", error) from error
    return found
