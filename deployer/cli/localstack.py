"""localstack: a local cloud, up, down and looked at."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, ClassVar

import click

from deployer.cli import options
from deployer.cli.groups import HelpfulGroup
from deployer.cli.output import dump, emit, pass_on
from deployer.cli.session import Session
from deployer.words import table

_OUTPUTS = ("table", "json", "yaml")


class Localstack(HelpfulGroup):
    """Its verbs are those of tools that bring things up and down."""

    meanings: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **dict.fromkeys(("start", "run", "create", "serve"), ("up",)),
        **dict.fromkeys(("stop", "rm", "remove", "delete", "kill", "destroy"), ("down",)),
        **dict.fromkeys(("ps", "ls", "list", "get", "info", "show"), ("status",)),
        **dict.fromkeys(("restart", "clear", "clean"), ("reset",)),
        **dict.fromkeys(("log", "journal", "tail"), ("logs",)),
        **dict.fromkeys(("environment", "export", "variables"), ("env",)),
    }


@click.group(cls=Localstack)
def localstack() -> None:
    """A local cloud: AWS's own APIs on this machine, whose endpoints really run."""


@localstack.command()
@click.option("--port", type=click.IntRange(0, 65535), default=7755, show_default=True, help="Of the AWS endpoint; 0 picks a free one.")
@click.option("--registry-port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Of the image registry; 0 picks a free one.")
@click.option("--runtime", type=click.Choice(["auto", "docker", "process"]), default="auto", show_default=True, help="What endpoints run in.")
@click.option(
    "--registry", type=click.Choice(["auto", "debian", "docker", "python"]), default="auto", show_default=True, help="What keeps the images."
)
@click.option("--azure", is_flag=True, help="An Azure beside it: identities, storage, Azure ML's managed endpoints.")
@click.option("--azure-port", type=click.IntRange(0, 65535), default=7756, show_default=True, help="Of the Azure endpoint; 0 picks a free one.")
@click.option("--kubernetes", is_flag=True, help="A Kubernetes beside it, by kind, k3d or minikube, with a registry of its own.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting's first value (docs/local-cloud.md); repeatable.")
@options.output(*_OUTPUTS)
@options.run
def up(
    *,
    session: Session,
    port: int,
    registry_port: int,
    runtime: Any,
    registry: Any,
    azure: bool,
    azure_port: int,
    kubernetes: bool,
    settings: tuple[str, ...],
    output: str | None,
) -> None:
    """Start it; where it is up already, there is nothing to do."""
    import deployer_localstack as cloud
    from deployer.settings.precedence import from_pairs

    first = tuple((name, str(value)) for name, value in from_pairs(settings, "--set").values.items())
    asked = cloud.StartOptions(
        port=port, registry_port=registry_port, runtime=runtime, registry=registry, azure=azure, azure_port=azure_port, settings=first
    )
    found, cluster = cloud.up_with_cluster(asked) if kubernetes else (cloud.up(asked), None)
    text = "\n".join(
        (
            f"The local cloud is up at {found.url}" + ("." if found.started else ", as it was: nothing to do."),
            *([f"An Azure is beside it, at {found.azure}."] if found.azure else []),
            *([f"A Kubernetes is up beside it: {cluster.name}, by {cluster.maker}; its images are in {cluster.registry}."] if cluster else []),
            '  eval "$(deploy localstack env)"    points boto3, the aws CLI and deploy at it',
            "  deploy localstack down             ends it, and all that is in it",
        )
    )
    beside = {"kubernetes": _document(cluster)} if cluster else {}
    emit(output or "", {**_document(found), **beside}, [found.url], lambda: text)


@localstack.command()
@options.output(*_OUTPUTS)
@options.run
def down(session: Session, output: str | None) -> None:
    """End it and all that it started; says what is forgotten."""
    import deployer_localstack as cloud

    forgotten = cloud.down()
    was = "The local cloud is down" if forgotten.was_running else "No local cloud was up"
    left = f"; {forgotten.leftovers} processes of a killed one were ended" if forgotten.leftovers else ""
    text = f"{was}; forgotten: {forgotten}{left}." if forgotten.was_running else f"{was}{left}."
    emit(output or "", _document(forgotten), [], lambda: text)


@localstack.command()
@options.output(*_OUTPUTS)
@options.run
def status(session: Session, output: str | None) -> None:
    """Say whether it is up, where, and what it holds."""
    import deployer_localstack as cloud

    found = cloud.status()
    rows = [("Directory", str(found.directory))]
    if found.running:
        rows = [
            ("URL", found.url),
            *([("Azure", found.azure), ("Azure's images", found.azure_registry)] if found.azure else []),
            ("Registry", f"{found.registry} ({found.registry_kind})"),
            ("Endpoints run in", found.runtime),
            ("Process", str(found.pid)),
            *rows,
            ("Holds", ", ".join(f"{count} {kind}" for kind, count in found.holds.items() if count) or "nothing"),
        ]
    state = "The local cloud is up." if found.running else "No local cloud is up: deploy localstack up starts one."
    emit(output or "", _document(found), [found.url], lambda: f"{state}\n{table(rows)}")


@localstack.command()
@options.output("table", "json", "yaml")
@options.run
def env(session: Session, output: str | None) -> None:
    """Print the variables that point at it: eval "$(deploy localstack env)"."""
    import deployer_localstack as cloud

    variables = cloud.environment()
    text = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    click.echo(text if output in (None, "table") else dump(dict(variables), output, secrets=True))


@localstack.command(cls=options.Following)
@options.follow
@click.option("--journal", is_flag=True, help="The API calls instead, as JSON lines.")
@options.run
def logs(session: Session, follow: bool, journal: bool) -> None:
    """Print its own log, or the journal of all API calls."""
    import deployer_localstack as cloud

    if journal:
        for entry in cloud.control().journal() if cloud.status().running else ():
            click.echo(dump(entry, "jsonl"))
        return
    try:
        for line in cloud.logs(follow=follow):
            pass_on(line)
    except KeyboardInterrupt:
        if not follow:
            raise


@localstack.command()
@options.output(*_OUTPUTS)
@options.run
def reset(session: Session, output: str | None) -> None:
    """Forget all that is in it; it goes on at the same addresses."""
    import deployer_localstack as cloud

    forgotten = cloud.reset()
    emit(output or "", _document(forgotten), [], lambda: f"Forgotten: {forgotten}.")


def _document(value: Any) -> dict[str, Any]:
    return {name: dict(each) if isinstance(each, Mapping) else each for name in value.__slots__ for each in (getattr(value, name),)}
