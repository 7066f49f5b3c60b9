"""run-local: what a target would run, here."""

from __future__ import annotations

from collections.abc import Mapping

import click

from deployer.cli import options
from deployer.cli.choices import ChosenTarget, ModelChoice
from deployer.cli.output import dump, pass_on, say
from deployer.cli.progress import reporting
from deployer.cli.session import Session


@click.command(name="run-local")
@options.place
@options.model
@click.option(
    "--runtime", type=click.Choice(["docker", "process"]), help="Default: docker where an engine answers and has the image, else processes."
)
@options.packages
@options.variables
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Where to listen; 0 picks a free one.")
@click.option("--detach", is_flag=True, help="Leave it running: deploy list -t local shows it, deploy delete -t local ends it.")
@options.output("table", "json", "yaml")
@options.run
def run_local(
    *,
    session: Session,
    place: ChosenTarget,
    model: ModelChoice,
    runtime: str | None,
    packages: str | None,
    variables: Mapping[str, str],
    port: int,
    detach: bool,
    output: str | None,
) -> None:
    """Run here exactly what a target would run: the same image, command, mount, user and environment.

    In the foreground it prints the container's lines until Ctrl-C, which removes everything; --detach returns once it answers.
    """
    client = place.with_variables(variables).client(models=model)
    model.named(place.file)
    with reporting(session, str(client.uri)) as report:
        started = client.run_local(
            model.uri,
            model.flavor,
            runtime=runtime,
            packages=packages,
            port=port,
            detach=detach,
            on_event=report,
            log=lambda line: pass_on(line, err=True),
            ready=(lambda _: None) if detach else lambda each: say(each.text),
        )
    if not detach:
        return
    document = {"name": started.name, "url": started.url, "runtime": started.runtime, "curl": started.curl}
    if output in ("json", "yaml"):
        click.echo(dump(document, output))
    else:
        say(f"{started.text}\n  deploy logs   -t local -n {started.name} -F\n  deploy delete -t local -n {started.name}")
