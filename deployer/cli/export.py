"""export: a deployment as files, for kubectl, Helm, Argo CD, Flux, az ml, Bicep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget, ModelChoice
from deployer.cli.output import say
from deployer.cli.progress import reporting
from deployer.cli.session import Session
from deployer.errors import MachineFault


@click.command()
@options.name
@options.endpoint
@options.place
@options.model
@options.packages
@options.variables
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Where the files go; made where it is absent. Files of the same names are replaced, others stay.",
)
@click.option(
    "--format",
    "form",
    metavar="FORM",
    help="plain (the default); Kubernetes: kustomize, helm, inference-service, serving-runtime; Azure ML: bicep, scoring-script.",
)
@options.quiet
@options.run
def export(
    *,
    session: Session,
    name: str | None,
    endpoint: str | None,
    place: ChosenTarget,
    model: ModelChoice,
    packages: str | None,
    variables: Mapping[str, str],
    directory: Path,
    form: str | None,
    quiet: bool,
) -> None:
    """Write a deployment as files, for kubectl, Helm, Argo CD, Flux or az ml to apply; nothing is deployed.

    A serving-runtime is for any model, and needs none; with one, it has that model's packages. A scoring-script is for Azure's own image.

    The image that they name is pushed to its registry where it isn't there. The same model and options give the same files.

    -o is a directory here, not the format that it is elsewhere.
    """
    client = place.with_variables(variables).client(models=model)
    with reporting(session, str(client.uri), quiet=quiet) as report:
        client.on_event = report
        made = client.export(name, model.uri, model.flavor, form=form, packages=packages, endpoint=endpoint)
        _write(made.files, directory)
    if quiet:
        say(str(directory))
        return
    say(f"{directory} has {', '.join(made.files)}.")
    for need in made.needs:
        say(f"Before they are applied: {need}")
    for command in made.commands:
        say(f"  {command}")


def _write(files: Mapping[str, str], directory: Path) -> None:
    for path, text in files.items():
        to = directory / path
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(text)
        except OSError as error:
            raise MachineFault(f"{to} can't be written: {error.strerror}", advice="-o names a directory that can be written") from error
