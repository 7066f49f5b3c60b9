"""Which runtime and image a local deployment has: docker's where an engine has it, else a stand-in for the process runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from deployer.errors import ConfigInvalid, DeployerError, ExtraMissing, MachineFault, TargetUnavailable
from deployer.oci import labels
from deployer.state import Digest, Image, ModelFacts, Observed, digest_of
from deployer.target import Finding, Verdict
from deployer_images import engine, scoring
from deployer_images.environments import minor_of
from deployer_images.locks import Lock, locked
from deployer_images.uv import OURS
from deployer_targets.local.config import LocalConfig

if TYPE_CHECKING:
    from docker import DockerClient

DOCKER, PROCESS = "docker", "process"
STAND_IN_PREFIX = "process/"
"""Begins the reference of a stand-in: no registry has it."""
REPOSITORY = "deployer-scoring"
"""What build-and-push-container calls the image on this machine; the tag is `tag_for`."""


def runtime_for(config: LocalConfig, model: ModelFacts, observed: Observed | None) -> str:
    """What `auto` means: what runs the deployment already, else docker where an engine answers and has the image, else processes."""
    if config.runtime != "auto":
        return config.runtime
    if config.image_url:
        return PROCESS if config.image_url.startswith(STAND_IN_PREFIX) else DOCKER
    recorded = str(observed.record.options.get("runtime", "")) if observed and observed.record else ""
    if recorded in (DOCKER, PROCESS):
        return recorded
    return PROCESS if own_image(model).stand_in else DOCKER


def image_for(config: LocalConfig, model: ModelFacts, kept: str | None) -> Image:
    """The image of a deployment.

    Args:
        kept: the reference in service, which an update keeps where it still fits.

    Raises:
        MachineFault: docker doesn't have it. TargetUnavailable, ExtraMissing: docker can't be asked.
        ConfigInvalid: processes have no such image.
    """
    named = config.image_url or kept
    if config.runtime == DOCKER:
        return docker_image(named if named and not named.startswith(STAND_IN_PREFIX) else config.image_url or _tag(model))
    if config.image_url and not config.image_url.startswith(STAND_IN_PREFIX):
        raise ConfigInvalid(f"the process runtime can't run the image {config.image_url}", advice="-C runtime=docker, or leave image_url out")
    return stand_in(model, named if named and named.startswith(STAND_IN_PREFIX) else None)


def outdated(image: Image) -> bool:
    """Whether it stands for the process runtime of another version of this tool: nothing new can be started from it."""
    return image.stand_in and image.runtime not in ("", scoring.VERSION)


def own_image(model: ModelFacts, *, required: bool = False) -> Image:
    """The scoring image of this version that docker has here, for the model's Python; a stand-in where there is none and it isn't `required`.

    Raises:
        MachineFault, TargetUnavailable, ExtraMissing: it's required, and docker doesn't have it or can't be asked.
    """
    try:
        return docker_image(_tag(model))
    except (MachineFault, TargetUnavailable, ExtraMissing):
        if required:
            raise
        return stand_in(model)


def stand_in(model: ModelFacts, kept: str | None = None) -> Image:
    """The process runtime as an image: the same version for the same Python is the same. It has what the model asks for, by construction."""
    python = _minor(model)
    reference = kept or f"{STAND_IN_PREFIX}{REPOSITORY}:{tag_for(python)}"
    lock = _lock(model, python)
    packages = labels.package_versions({labels.PACKAGES: labels.packages_label(lock.all)}) if lock else None
    version = reference.partition(":")[2].rpartition("-py")[0]
    return Image(reference, digest_of(reference), python_version=python, runtime=version, packages=packages, stand_in=True)


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
        stand_in=labels.STAND_IN in said,
    )


def tag_for(python: str) -> str:
    """The tag of the scoring image of this version for a minor of Python: 0.1.0-py311."""
    return f"{scoring.VERSION}-py{python.replace('.', '')}"


def doctor() -> Iterator[Finding]:
    """Docker, and its scoring image."""
    try:
        with closing(engine.connect(timeout_seconds=5)) as client:
            yield Finding("docker", Verdict.OK, f"engine {client.version().get('Version', '')} answers")
            have = _inspected(client, f"{REPOSITORY}:{tag_for(OURS)}")
            advice = "deploy build-and-push-container --no-push, to run models in the image that a cloud would run"
            detail = f"docker has {'' if have else 'no '}{REPOSITORY}:{tag_for(OURS)}"
            yield Finding("scoring image", Verdict.OK, detail) if have else Finding("scoring image", Verdict.WARNING, detail, advice)
    except DeployerError as error:
        yield Finding("docker", Verdict.WARNING, f"{error.message}: models run as processes", error.advice)


def _tag(model: ModelFacts) -> str:
    return f"{REPOSITORY}:{tag_for(_minor(model))}"


def _minor(model: ModelFacts) -> str:
    try:
        return minor_of(model.python_version)
    except ConfigInvalid:
        return OURS


def _lock(model: ModelFacts, python: str) -> Lock | None:
    """The exact versions that the process runtime installs; None where no index can say."""
    try:
        return locked(model.requirements, python)
    except TargetUnavailable:
        return None


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
