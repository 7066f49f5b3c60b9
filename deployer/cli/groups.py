"""Groups of commands: what they say to a word that is none of theirs; and such as are imported when they run, for help needs only their table."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import ClassVar

import click


class HelpfulGroup(click.Group):
    """A group that, without a command, says what it has, and knows what people mean by words from elsewhere.

    Attributes:
        meanings: by a word that is no command here, the commands that do what it does elsewhere.
    """

    meanings: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(self.overview(ctx))
            ctx.exit()
        return super().parse_args(ctx, args)

    def overview(self, ctx: click.Context) -> str:
        """What is printed where no command is named."""
        return ctx.get_help()

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            near = self.meanings.get(args[0].lower()) or tuple(difflib.get_close_matches(args[0].lower(), known, n=1))
            raise click.UsageError(f"{args[0]} is not a command" + (f"; did you mean {' or '.join(near)}?" if near else ""), ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(HelpfulGroup):
    """A group whose commands stand in a table.

    Attributes:
        table: by name, "module:attribute" below deployer.cli and one line of help.
    """

    table: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"deployer.cli.{module}"), attribute)
        return command
