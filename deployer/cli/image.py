"""build-and-push-container: the scoring image, built once and pushed where a target looks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget
from deployer.cli.options import Command
from deployer.cli.output import emit, say
from deployer.cli.progress import reporting
from deployer.cli.session import Session

if TYPE_CHECKING:
    from deployer.core.state import PackagedModel
    from deployer.oci import Image, Repository

DEFAULT_TARGET = "sagemaker"
CONTAINER_NAME = "deployer-scoring"
PLATFORMS = ("linux/amd64", "linux/arm64")


class Platforms(click.ParamType[tuple[str, ...]]):
    """One platform, or several with commas between them, each once."""

    name = "platforms"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(str(value).split(",")))
        if unknown := [each for each in found if each not in PLATFORMS]:
            self.fail(f"{unknown[0]!r} is none of {', '.join(PLATFORMS)}", param, ctx)
        return found

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(PLATFORMS)}],..."


registry_option = click.option("--registry", metavar="REGISTRY[/PATH]", help="Any OCI registry, instead of the target's own.")


def platform_option(text: str) -> Callable[[Command], Command]:
    """--platform with this help: the command gets `platform: str`."""
    return click.option("--platform", type=click.Choice(PLATFORMS), default=PLATFORMS[0], show_default=True, help=text)


def platforms_option(text: str) -> Callable[[Command], Command]:
    """--platform of several with commas between them, with this help: the command gets `platforms: tuple[str, ...]`."""
    return click.option("--platform", "platforms", type=Platforms(), default=PLATFORMS[0], show_default=True, help=text)


@click.command(name="build-and-push-container")
@options.place
@click.option("--no-push", is_flag=True, help="Build only; the image stays with the docker engine.")
@registry_option
@click.option("-c", "--container-name", default=CONTAINER_NAME, show_default=True, metavar="NAME", help="What the image is called.")
@click.option(
    "--base-image",
    "--base",
    metavar="IMAGE|PATH",
    help="What it stands on; default: the official slim Python image. A path: an OCI archive or a root directory, which takes no engine.",
)
@click.option("--python", metavar="MINOR", help="The Python inside, 3.11; default: the model's, else this one.")
@platforms_option("What it runs on; several, with commas between them: an index of an image for each, of which a deployment gets its own.")
@click.option("--with", "requirements", multiple=True, metavar="REQUIREMENT", help="A package to add; repeatable.")
@click.option(
    "--for", "for_models", multiple=True, metavar="MODEL", help="Everything that this model pins; repeatable: an image for each set of versions."
)
@click.option(
    "--ca-bundle",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar=["SSL_CERT_FILE", "PIP_CERT"],
    help="Certificates to trust while packages are installed; never in the image. Default: SSL_CERT_FILE, PIP_CERT.",
)
@click.option(
    "--runtime",
    type=click.Choice(["docker", "layers", "process"]),
    help="docker builds by an engine, layers does without; process: a stand-in, which only the local cloud takes. Default: what there is.",
)
@click.option("--rebuild", is_flag=True, help="Build though the registry has one of the same inputs, on what the base image's tag stands for now.")
@options.output("table", "json", "yaml", "name", "jsonl")
@options.quiet
@options.run
def build_and_push_container(
    *,
    session: Session,
    place: ChosenTarget,
    no_push: bool,
    registry: str | None,
    container_name: str,
    base_image: str | None,
    python: str | None,
    platforms: tuple[str, ...],
    requirements: tuple[str, ...],
    for_models: tuple[str, ...],
    ca_bundle: Path | None,
    runtime: str | None,
    rebuild: bool,
    output: str | None,
    quiet: bool,
) -> None:
    """Build the scoring image and push it, once: one image serves every model that fits it. The second time there is nothing to do.

    With several --for each model gets an image that fits it; models that pin the same share one.
    """
    from deployer.artifacts import fetch
    from deployer_images.builder import BuildOptions, build_and_push, build_index

    images: dict[str, Image] = {}
    with reporting(session, registry or place.target or DEFAULT_TARGET, quiet=quiet) as report:
        repository = None if no_push else repository_for(place, registry, container_name, create=True)
        models: list[PackagedModel | None] = [fetch(each, report) for each in for_models]
        for model in models or [None]:
            wanted = BuildOptions(
                push=not no_push,
                base_image=base_image,
                python=python,
                platform=platforms[0],
                requirements=requirements,
                model=model.facts if model else None,
                directory=model.path if model else None,
                ca_bundle=ca_bundle,
                container_name=container_name,
                runtime=runtime,
                rebuild=rebuild,
                accelerator=place.accelerator() if model else None,
            )
            several = len(platforms) > 1
            built = build_index(wanted, platforms, repository, report) if several else (build_and_push(wanted, repository, report),)
            images |= {image.reference: image for image in built}
    if quiet:
        say("\n".join(images))
    elif output != "jsonl":
        documents = [asdict(each) for each in images.values()]
        text = "\n".join(f"{each.reference} is ready" + (f", tag {each.tag}." if each.tag else ".") for each in images.values())
        emit(output or "", documents[0] if len(documents) == 1 else documents, list(images), lambda: text)


def repository_for(place: ChosenTarget, registry: str | None, container_name: str, *, create: bool) -> Repository:
    """The registry's that is named, else the target's own, where it is absent made if `create`."""
    if registry is None:
        found: Repository = place.or_target(DEFAULT_TARGET).client().image_repository(container_name, create=create)
        return found
    from deployer.oci import Repository

    return Repository.at(registry, container_name)
