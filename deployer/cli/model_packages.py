"""models packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget, ModelChoice
from deployer.cli.image import CONTAINER_NAME, platform_option, registry_option, repository_for
from deployer.cli.model_options import trim
from deployer.cli.output import emit
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.errors import ConfigInvalid, ModelInvalid
from deployer.words import size, table

if TYPE_CHECKING:
    from deployer_images.layers.inventory import Inventory


@click.command()
@click.argument("model_argument", metavar="[MODEL]", required=False)
@options.model
@options.place
@registry_option
@click.option("-c", "--container-name", default=CONTAINER_NAME, show_default=True, metavar="NAME", help="What the shared image is called there.")
@platform_option("What the image runs on.")
@click.option("--build", is_flag=True, help="Make the layer, and with it the model's image, and push both: a deployment later finds them.")
@trim
@options.output("table", "json", "yaml", "name")
@options.run
def packages(
    *,
    session: Session,
    model_argument: str | None,
    model: ModelChoice,
    place: ChosenTarget,
    registry: str | None,
    container_name: str,
    platform: str,
    build: bool,
    trim: bool,
    output: str | None,
) -> None:
    """Say which packages a model's layer holds, how large they are, and whether the registry has it.

    \b
    The exit code is 2 where a package has no wheel, and no engine answers that would build it: why is said of each. Without -t or --registry
    no registry is asked. Nothing of the model or of its packages is run, but with --build what an engine builds, in a container of the shared image.
    With -t, and the options that it is to run with (-C), builds are chosen for what that has: a GPU, or none.
    """
    from deployer.checks import with_mlflow_said
    from deployer_images.layers.inventory import inventory, made

    uri = model_argument or model.named(place.file, advice="deploy models packages MODEL")
    asked = bool(registry or place.target or place.file)
    if build and not asked:
        raise ConfigInvalid("--build pushes to a registry, and none is named", advice="-t TARGET, or --registry")
    with reporting(session, uri, quiet=output is not None) as report:
        found = with_mlflow_said(model.fetched(uri, report))
        repository = repository_for(place, registry, container_name, create=build).on(platform) if asked else None
        accelerator = place.accelerator()
        listed = inventory(found, platform, repository, trimmed=trim, accelerator=accelerator)
        if build and repository is not None and (listed.built or not listed.missing):
            listed = made(listed, found, repository, report, accelerator)
    emit(output or "", listed.document(), [] if listed.missing else [listed.packages.address], lambda: text(listed))
    if listed.missing and not listed.built:
        raise SystemExit(ModelInvalid.exit_code)


def text(listed: Inventory) -> str:
    """What it comes to, then each package, the largest first."""
    packages = listed.packages
    rows = sorted(packages.wheels, key=lambda each: (-each.size, each.name))
    lines = table([("PACKAGE", "VERSION", "SIZE"), *((each.name, each.version, size(each.size) if each.size else "") for each in rows)])
    return "\n\n".join(
        part
        for part in (table(_rows(listed)), lines if rows else "", "\n".join(f"  {'·' if listed.built else '✗'} {each}" for each in listed.missing))
        if part
    )


def _rows(listed: Inventory) -> list[tuple[str, str]]:
    packages = listed.packages
    large = f", {size(packages.size)} to fetch" if packages.size else ""
    count = f"{len(packages.wheels)} packages{large}, for Python {packages.python} on {packages.platform}"
    if listed.missing:
        others = f"{len(listed.missing)} can't be had as a wheel"
        by_engine = f"{others}: the engine here builds what there is of it, with --build or at the first deployment"
        return [("Model", listed.model), ("Packages", by_engine if listed.built else f"{count}; no layer can be made, for {others}")]
    builds = [("Builds", each) for each in (listed.builds, listed.warning) if each]
    return [("Model", listed.model), ("Layer", packages.name), ("Packages", count), *builds, ("Registry", _there(listed))]


def _there(listed: Inventory) -> str:
    if not listed.repository:
        return "not asked: name one with -t or --registry"
    if listed.stand_in:
        return f"{listed.repository} holds stand-ins: packages are made on the machine that runs them"
    if listed.compressed is None:
        return f"{listed.repository} does not have it: --build makes and pushes it, or the first deployment does"
    return f"{listed.repository} has it, {size(listed.compressed)}"
