"""Options that commands of `models` share, MLflow's names among them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from deployer.errors import ConfigInvalid

Command = TypeVar("Command", bound=Callable[..., Any])
MANAGERS = ("uv", "local", "virtualenv", "conda")
"""Those of `deployer_images.managers`, which help must not import; a test holds them together."""


def env_manager(command: Command) -> Command:
    """--env-manager, and MLflow's older --no-conda: the command gets `manager: str`."""

    @click.option(
        "--env-manager",
        "manager",
        type=click.Choice(MANAGERS),
        default="uv",
        show_default=True,
        help="What makes the model's environment; local: none, it runs in this one.",
    )
    @click.option("--no-conda", is_flag=True, hidden=True, help="MLflow's older name of --env-manager local.")
    @functools.wraps(command)
    def wrapped(*, manager: str, no_conda: bool, **others: Any) -> Any:
        return command(manager="local" if no_conda else manager, **others)

    return wrapped  # type: ignore[return-value]


def trim(command: Command) -> Command:
    """--trim and --no-trim: the command gets `trim: bool`."""
    said = "Leave out what no import needs: tests, headers, static libraries; --no-trim keeps it."
    return click.option("--trim/--no-trim", default=True, show_default=True, help=said)(command)


def ignored_of_mlflow(*flags: str) -> Callable[[Command], Command]:
    """Flags of MLflow's that ask for nothing here: they are taken, and do nothing."""

    def decorate(command: Command) -> Command:
        for flag in flags:
            command = click.option(flag, is_flag=True, hidden=True, expose_value=False, help="MLflow's; not needed here.")(command)
        return command

    return decorate


def mlserver_refused(command: Command) -> Command:
    """MLflow's --enable-mlserver, which is refused in words."""
    return click.option("--enable-mlserver", is_flag=True, hidden=True, expose_value=False, callback=_refuse_mlserver, help="MLflow's.")(command)


def _refuse_mlserver(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        raise ConfigInvalid("MLServer isn't used here", advice="leave --enable-mlserver out: --workers and --batching do what it is wanted for")
