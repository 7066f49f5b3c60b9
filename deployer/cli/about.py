"""targets, help, config schema, completion, and what `--version` says."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import click

from deployer.cli import options
from deployer.cli.groups import HelpfulGroup
from deployer.cli.output import emit, say
from deployer.cli.session import Session
from deployer.errors import ConfigInvalid, DeployerError
from deployer.version import __version__
from deployer.words import table

DISTRIBUTIONS = ("boto3", "azure-core", "azure-identity", "kubernetes", "docker", "mlflow", "mlflow-skinny", "moto")


def installed(distribution: str) -> str:
    """Its version, or nothing where it isn't installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def version_text() -> str:
    """This tool, Python and the SDKs that are installed."""
    found = [f"{name} {number}" for name in DISTRIBUTIONS if (number := installed(name))]
    return ", ".join([f"deployer {__version__}", f"Python {sys.version.split()[0]}", *found])


@click.command()
@options.output("table", "json", "yaml", "name")
@options.run
def targets(session: Session, output: str | None) -> None:
    """Show which target can do what; read off the targets' classes."""
    from deployer.core.targets import available, support_table, target_class

    classes: dict[str, Any] = {}
    missing: dict[str, DeployerError] = {}
    for name, entry in available().items():
        try:
            classes[name] = target_class(entry)
        except DeployerError as reason:
            missing[name] = reason
    rows = support_table(classes)
    document = {name: {verb: has[name] for verb, has in rows} for name in classes}
    text = table([("", *classes), *((verb, *("yes" if has[name] else "no" for name in classes)) for verb, has in rows)]) if classes else ""
    emit(output or "", {**document, **{name: {"missing": error.advice} for name, error in missing.items()}}, [*classes, *missing], lambda: text)
    for name, error in missing.items():
        say(f"{name}: {error.message}: {error.advice}", err=True)


@click.command(name="help")
@click.option("-t", "--target", metavar="TARGET", shell_complete=options.complete_target, help="Show this target's options.")
@click.argument("command", nargs=-1)
@options.run
@click.pass_context
def help_(ctx: click.Context, session: Session, target: str | None, command: tuple[str, ...]) -> None:
    """Show a target's options, or help for a command."""
    if target:
        from deployer.client import target_help

        click.echo(target_help(target))
        return
    found: click.Command = ctx.find_root().command
    path = ctx.find_root()
    for word in command:
        inner = found.get_command(path, word) if isinstance(found, click.Group) else None
        if inner is None:
            raise ConfigInvalid(f"{word} is not a command", advice="deploy --help lists them")
        path, found = click.Context(inner, parent=path, info_name=word), inner
    click.echo(found.get_help(path))


class ConfigGroup(HelpfulGroup):
    meanings: ClassVar[Mapping[str, tuple[str, ...]]] = dict.fromkeys(("show", "generate", "print", "get", "init"), ("schema",))


@click.group(cls=ConfigGroup)
def config() -> None:
    """The options' file (churn.yaml)."""


@config.command()
@options.output("json", "yaml")
@options.run
def schema(session: Session, output: str | None) -> None:
    """Print the JSON schema of the options' file, made from the installed targets.

    \b
    Save it, and name it in the file's first line for editors to check by:
      deploy config schema > deployer.schema.json
      # yaml-language-server: $schema=deployer.schema.json
    """
    from deployer.core.targets import available, target_class
    from deployer.settings.config_file import schema as schema_of

    configs = {}
    for name, entry in available().items():
        try:
            configs[name] = target_class(entry)().config
        except DeployerError as error:
            say(f"without {name}: {error.message}: {error.advice}", err=True)
    emit(output or "json", schema_of(configs), [], str)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, targets and options: eval "$(deploy completion bash)"."""
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    if completer is None:
        raise ConfigInvalid(f"{shell} can't be completed")
    name = ctx.find_root().info_name or "deploy"
    if shell == "bash":
        click.echo('COMP_WORDBREAKS="${COMP_WORDBREAKS//:}"  # targets and models have colons')
    click.echo(completer(ctx.find_root().command, {}, name, f"_{name}_COMPLETE".replace("-", "_").upper()).source())
