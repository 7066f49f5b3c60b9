"""images list and prune."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget
from deployer.cli.groups import LazyGroup
from deployer.cli.image import CONTAINER_NAME
from deployer.cli.output import emit, width_of
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.core.state import short
from deployer.words import size, table

if TYPE_CHECKING:
    from deployer.verbs.images import ImageListing, PrunedImages, StoredImage

VERBS = {
    "list": ("images:list_images", "List what registries hold, and which deployments use it."),
    "prune": ("images:prune_images", "Remove what no deployment uses."),
}


class ImagesGroup(LazyGroup):
    """Its verbs by name, as the program has its commands."""

    table = VERBS
    meanings = {  # noqa: RUF012 - as its base has it
        **dict.fromkeys(("ls", "show", "layers", "get", "inspect", "du"), ("list",)),
        **dict.fromkeys(("rm", "remove", "delete", "clean", "gc", "rmi"), ("prune",)),
    }

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=ImagesGroup)
def images() -> None:
    """Look at what registries hold of images and layers of packages, and remove what nobody uses."""


_registry = click.option("--registry", metavar="REGISTRY[/PATH]", help="Any OCI registry, instead of the targets' own.")
_name = click.option("-c", "--container-name", default=CONTAINER_NAME, show_default=True, metavar="NAME", help="What images are called there.")


@click.command(name="list")
@options.places
@_registry
@_name
@options.output("table", "wide", "json", "yaml", "name", "jsonl")
@options.run
def list_images(*, session: Session, places: tuple[ChosenTarget, ...], registry: str | None, container_name: str, output: str | None) -> None:
    """List what a registry holds: images, layers of packages, who uses them, and what prune would free.

    Who uses an image is asked of the targets that are named, of every generation that they keep.
    """
    from deployer.images import list_images as listed

    found = listed([each.client() for each in places], registry=registry, container_name=container_name)
    form = output or ""
    rows = [each for listing in found for each in listing.images]
    documents = [_document(listing) for listing in found]
    emit(
        form,
        [asdict(each) for each in rows] if form == "jsonl" else documents[0] if len(documents) == 1 else documents,
        [_reference(each) for each in rows],
        lambda: "\n\n".join(_text(each, form) for each in found),
    )


@click.command(name="prune")
@click.argument("digests", metavar="[DIGEST]...", nargs=-1)
@options.places
@_registry
@_name
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and do nothing.")
@options.output("table", "json", "yaml", "name", "jsonl")
@options.quiet
@options.run
def prune_images(
    *,
    session: Session,
    digests: tuple[str, ...],
    places: tuple[ChosenTarget, ...],
    registry: str | None,
    container_name: str,
    dry_run: bool,
    output: str | None,
    quiet: bool,
) -> None:
    """Remove the images and layers that no deployment uses. Name every target that takes images from the registry: -t, again and again.

    \b
    What a record names, of any generation that is kept, is never removed. What others may use (the shared images, images with their model
    inside, what isn't of this tool) stays unless its DIGEST is named; then that alone is removed.
    """
    from deployer.images import prune_images as pruned

    with reporting(session, registry or ", ".join(str(each.target) for each in places), quiet=quiet or dry_run) as report:
        clients = [each.client() for each in places]
        found = pruned(clients, digests, registry=registry, container_name=container_name, dry_run=dry_run, on_event=report)
    if quiet:
        return
    documents: list[Any] = [{**asdict(each), "dry_run": dry_run} for each in found]
    names = [_reference(image) for each in found for image in each.removed]
    emit(
        output or "",
        documents[0] if len(documents) == 1 and output != "jsonl" else documents,
        names,
        lambda: "\n".join(_ended(each, dry_run) for each in found),
    )


def _text(listing: ImageListing, form: str) -> str:
    if not listing.images:
        return f"There is nothing in {listing.repository}."
    rows = [(_digest(each, form), ", ".join(each.tags) or "none", each.kind, size(each.size), _fate(each)) for each in listing.images]
    shown = table([("DIGEST", "TAGS", "KIND", "SIZE", "USED BY"), *rows], width=width_of(form))
    asked = f"Of {', '.join(listing.targets)} no generation" if listing.targets else "No target was asked: name those that use it by -t. None"
    count = len(listing.unused)
    return f"{listing.repository}\n{shown}\n{asked} uses {count} of {len(listing.images)}: prune frees {size(listing.freed)}."


def _digest(image: StoredImage, form: str) -> str:
    return image.digest if form == "wide" else short(image.digest)


def _fate(image: StoredImage) -> str:
    return "; ".join(image.used_by) or (f"({image.stays})" if image.stays else "nothing")


def _ended(pruned: PrunedImages, dry_run: bool) -> str:
    if not pruned.removed:
        return f"There is nothing to remove in {pruned.repository}."
    what = "would be removed from" if dry_run else "removed from"
    rows = table((each.digest, ", ".join(each.tags), size(each.size)) for each in pruned.removed)
    count = len(pruned.removed)
    return f"{count} {'image' if count == 1 else 'images'} {what} {pruned.repository}, {size(pruned.freed)}:\n{rows}"


def _document(listing: ImageListing) -> dict[str, Any]:
    return {**asdict(listing), "unused": [each.digest for each in listing.unused]}


def _reference(image: StoredImage) -> str:
    return f"{image.repository}@{image.digest}"
