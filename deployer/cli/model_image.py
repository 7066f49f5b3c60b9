"""models build-docker and models generate-dockerfile."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget, ModelChoice
from deployer.cli.image import CONTAINER_NAME, platform_option, platforms_option, registry_option, repository_for
from deployer.cli.model_options import ignored_of_mlflow, mlserver_refused, trim
from deployer.cli.output import say
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.errors import ConfigInvalid

if TYPE_CHECKING:
    from deployer.core.state import PackagedModel
    from deployer.events import Report
    from deployer.oci import Reference, Repository
    from deployer_images.layers.bases import BaseImage

_BASE = click.option(
    "--base-image",
    "--base",
    metavar="IMAGE|PATH",
    help="What it stands on: a shared image of ours, or any with the model's Python; default: the shared one of -t or --registry, "
    "else the official slim Python image.",
)


@click.command(name="build-docker")
@options.model
@options.place
@click.option("-n", "--name", metavar="NAME[:TAG]", help="What the image is called, registry.example.com/churn:3; default: as the model is.")
@click.option("--push", is_flag=True, help="Send it to the name's registry, or that of --registry or -t; no engine is needed.")
@registry_option
@click.option(
    "--output", "archive", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write an OCI archive, image.tar, instead."
)
@_BASE
@platforms_option("What it runs on; with --push several, with commas between them: an index of an image for each.")
@click.option(
    "--compression",
    type=click.Choice(["gzip", "zstd"]),
    help="How the layers that are made are compressed, with --push: zstd is smaller and sooner made, and read by containerd, CRI-O, podman and "
    "docker 23. Default: what the target takes; gzip with --registry.",
)
@trim
@ignored_of_mlflow("--install-mlflow", "--install-java")
@mlserver_refused
@options.quiet
@options.run
def build_docker(
    *,
    session: Session,
    model: ModelChoice,
    place: ChosenTarget,
    name: str | None,
    push: bool,
    registry: str | None,
    archive: Path | None,
    base_image: str | None,
    platforms: tuple[str, ...],
    compression: str | None,
    trim: bool,
    quiet: bool,
) -> None:
    """Make an image of one model that needs nothing beside it: docker run -p 8080:8080 IMAGE answers.

    \b
    Its layers: a base, the server, the model's packages (shared with all models that have the same), the model. Nothing is run to make it,
    and the same model on the same base gives the same image. It stays with the docker engine, or is pushed (--push), or written (--output).
    With -t, and the options that it is to run with (-C), packages are built for what that has: a GPU, or none.

    --output is a file here, not the format that it is elsewhere.
    """
    from deployer.oci import Compression
    from deployer_images.layers.model_images import model_image
    from deployer_images.layers.oci_archive import check_engine, check_place

    if push and archive:
        raise ConfigInvalid("--push and --output name two places", advice="leave one of them out")
    if len(platforms) > 1 and not push:
        raise ConfigInvalid("an index of several platforms goes to a registry", advice="add --push, or name one --platform")
    if compression and not push:
        raise ConfigInvalid("--compression says how layers are sent", advice="add --push, or leave --compression out")
    with reporting(session, model.uri or "", quiet=quiet) as report:
        found, called = _fetched(model, place, report, name)
        if archive:
            check_place(archive)
        elif not push:
            check_engine()
        there, runs_on = _shared(place, registry), place.accelerator()
        to = _repository(place, registry, called) if push else None
        if to is not None and compression:
            to.compression = Compression(compression)
        images = {
            each: model_image(found, partial(_base, found, base_image, there, each), each, report, repository=to, trimmed=trim, accelerator=runs_on)
            for each in platforms
        }
        made = images[platforms[0]]
        if to is not None:
            from deployer_images.layers.images import ImageDestination, put, put_index
            from deployer_images.layers.parts import send_parts

            tag = _parsed(called).tag or "latest"
            goal = ImageDestination(to, (tag,), {}, report)
            for each in images.values():
                send_parts(each.parts, to, report)
            several = {platform: each.image for platform, each in images.items()}
            reference = put_index(several, goal) if len(several) > 1 else put(made.image, goal).reference
            said = f"{reference} is ready, tag {tag}."
        elif archive is not None:
            from deployer_images.layers.oci_archive import save_archive

            reference = str(archive)
            said = f"{archive} is written: docker load -i {archive}, or skopeo copy oci-archive:{archive} ..."
            save_archive(made, called, archive, report)
        else:
            from deployer_images.layers.oci_archive import load_archive

            reference = load_archive(made, called, report)
            said = f"{reference} is in docker: docker run -p 8080:8080 {reference}"
    say(reference if quiet else said)


@click.command(name="generate-dockerfile")
@options.model
@options.place
@click.option(
    "-d",
    "--output-directory",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("deployer-dockerfile"),
    show_default=True,
    metavar="DIR",
    help="Where it goes; made where it is absent, else it must be empty.",
)
@click.option("--base-image", "--base", metavar="IMAGE", help="What it stands on; default: the official slim Python image.")
@platform_option("What it runs on.")
@ignored_of_mlflow("--install-mlflow", "--install-java")
@mlserver_refused
@options.run
def generate_dockerfile(*, session: Session, model: ModelChoice, place: ChosenTarget, directory: Path, base_image: str | None, platform: str) -> None:
    """Write a Dockerfile for one model, with all that it copies: docker build DIR, or podman build DIR, needs no index and no network
    but the base image's.

    What is built behaves as `models build-docker` makes it. The packages are chosen and unpacked here, for one platform, and none is built: each
    needs a wheel. With -t, and the options that it is to run with (-C), they are those for what that has: a GPU, or none.
    """
    from deployer_images.dockerfiles import generate

    with reporting(session, model.uri or "") as report:
        found, called = _fetched(model, place, report, None)
        generate(found, directory, base_image=base_image, platform=platform, report=report, accelerator=place.accelerator())
    say(f"{directory} is written: docker build -t {called} {directory}")


def _fetched(model: ModelChoice, place: ChosenTarget, report: Report, name: str | None) -> tuple[PackagedModel, str]:
    """The model, and what its image is called."""
    from deployer.artifacts import candidate_name
    from deployer.checks import with_mlflow_said

    uri = model.named(place.file)
    if name:
        _parsed(name)
    found = with_mlflow_said(model.fetched(uri, report))
    return found, name or re.sub(r"[^a-z0-9]+", "-", candidate_name(uri).lower()).strip("-") or "model"


def _parsed(name: str) -> Reference:
    from deployer.oci import Reference

    reference = Reference.parse(name)
    if reference.digest:
        raise ConfigInvalid(f"{name} names an image by its digest, which is not known before it is made", advice="name it by a tag")
    return reference


def _repository(place: ChosenTarget, registry: str | None, called: str) -> Repository:
    """Where a name is pushed: its own registry, where it has one, else the one that is named apart."""
    first = called.partition("/")[0]
    if "/" in called and (set(first) & set(".:") or first == "localhost"):
        from deployer.oci import Repository, configured

        reference = _parsed(called)
        return Repository(reference.registry, reference.repository, partial(configured, reference.registry))
    if not (registry or place.target or place.file):
        raise ConfigInvalid(f"--push needs a registry, and {called} names none", advice="--name REGISTRY/NAME, --registry, or -t")
    return repository_for(place, registry, called.partition(":")[0], create=True)


def _shared(place: ChosenTarget, registry: str | None) -> Repository | None:
    """Where the shared image may be."""
    return repository_for(place, registry, CONTAINER_NAME, create=False) if registry or place.target or place.file else None


def _base(model: PackagedModel, named: str | None, shared: Repository | None, platform: str) -> BaseImage:
    from deployer.oci import general_tag, python_of
    from deployer_images.layers.bases import find_in_repository, opened

    if named:
        return opened(named, platform)
    tag = general_tag(model.facts.python_version)
    if shared is not None and (found := find_in_repository(shared, tag, platform)):
        return found
    return opened(f"python:{python_of(model.facts)}-slim", platform)
