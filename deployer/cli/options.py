"""The options that commands share, in groups: each decorator adds its options and hands the command one object for them."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from deployer.cli.choices import CONCURRENCY, ChosenTarget, Many, ModelChoice, Rollout
from deployer.cli.output import FORMATS
from deployer.cli.session import Session
from deployer.errors import ConfigInvalid
from deployer.settings.config_file import ConfigFile

Command = TypeVar("Command", bound=Callable[..., Any])
OF_CHANGES = ("table", "json", "yaml", "name", "jsonl")
"""What verbs that change something print."""
PACKAGES = ("auto", "untrimmed", "compatible", "exact", "image", "at-start")
"""Those of `deployer.core.compatibility`, which help must not import; a test holds them together."""


def place(command: Command) -> Command:
    """-t, -C, -f: the command gets `place: ChosenTarget`."""

    @click.option(
        "-t", "--target", envvar="DEPLOYER_TARGET", metavar="TARGET", shell_complete=complete_target, help="sagemaker:/us-west-2, local, ..."
    )
    @_configured
    @functools.wraps(command)
    def wrapped(*, target: str | None, pairs: tuple[str, ...], files: tuple[Path, ...], **others: Any) -> Any:
        names = others.get("names") or tuple(filter(None, (others.get("name"),)))
        return command(place=ChosenTarget(target, pairs, ConfigFile.read_all(files)).of_names(names), **others)

    return wrapped  # type: ignore[return-value]


def places(command: Command) -> Command:
    """-t, repeatable, -C, -f: the command gets `places: tuple[ChosenTarget, ...]`, one a target; none where none is named."""

    @click.option(
        "-t",
        "--target",
        multiple=True,
        envvar="DEPLOYER_TARGET",
        metavar="TARGET",
        shell_complete=complete_target,
        help="sagemaker:/us-west-2, local, ...; repeatable.",
    )
    @_configured
    @functools.wraps(command)
    def wrapped(*, target: tuple[str, ...], pairs: tuple[str, ...], files: tuple[Path, ...], **others: Any) -> Any:
        read = ConfigFile.read_all(files)
        said = {uri: (file,) for file in reversed(read) for uri in file.uris()}
        named = dict.fromkeys(target or (uri for file in read for uri in file.uris()))
        return command(places=tuple(ChosenTarget(each, pairs, said.get(each, read[:1])) for each in named), **others)

    return wrapped  # type: ignore[return-value]


def _configured(command: Command) -> Command:
    """-C, -f."""
    pairs = click.option(
        "-C", "--config", "pairs", multiple=True, metavar="KEY=VALUE", shell_complete=complete_option, help="A target's option; repeatable."
    )
    file = click.option(
        "-f",
        "--config-file",
        "files",
        multiple=True,
        metavar="FILE",
        type=click.Path(path_type=Path, allow_dash=True),
        help="A file with name, model, targets and options (churn.yaml), or several of them, or a directory of such files; repeatable. - reads "
        "standard input.",
    )
    return pairs(file(command))


class Following(click.Command):
    """A command with lines to follow. Other tools' `-f` for that is what everybody tries: it is told what it is here."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        takes_file = any("-f" in parameter.opts for parameter in self.params)
        if "-f" in args:
            value = next(iter(args[args.index("-f") + 1 :]), "")
            if not takes_file or not value or (value.startswith("-") and value != "-") or not (value == "-" or Path(value).exists()):
                missing = f"-f names a file with the deployment's options, as for every command, and {value or 'nothing'} is none"
                raise ConfigInvalid(missing if takes_file else "-f is not an option here", advice="-F (--follow) goes on with the lines that come")
        return super().parse_args(ctx, args)


def follow(command: Command) -> Command:
    """-F: the command gets `follow: bool`; its class is `Following`."""
    return click.option("-F", "--follow", is_flag=True, help="Go on with the lines that come, until Ctrl-C.")(command)


def run(command: Command) -> Command:
    """--debug: the command gets `session: Session`."""

    @click.option("--debug", is_flag=True, envvar="DEPLOYER_DEBUG", help="Show the trace of an error.")
    @functools.wraps(command)
    def wrapped(*, debug: bool, **others: Any) -> Any:
        session = click.get_current_context().find_object(Session) or Session()
        session.debug = debug
        session.output = others.get("output") or ""
        with _interruptible(session):
            return command(session=session, **others)

    return wrapped  # type: ignore[return-value]


@contextmanager
def _interruptible(session: Session) -> Iterator[None]:
    """SIGTERM, with which CI systems end a job, is Ctrl-C: what was begun is taken back or told. Either is noted, too, lest it be lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        session.interrupted = True
        raise KeyboardInterrupt

    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def many(command: Command) -> Command:
    """--concurrency, --fail-fast: the command gets `many: Many`."""

    @click.option(
        "--concurrency",
        type=click.IntRange(min=1),
        default=CONCURRENCY,
        metavar="N",
        help=f"How many of several deployments go on at a time (default {CONCURRENCY}).",
    )
    @click.option("--fail-fast", is_flag=True, help="Of several, begin none any more once one has failed; those under way go on to their end.")
    @functools.wraps(command)
    def wrapped(*, concurrency: int, fail_fast: bool, **others: Any) -> Any:
        return command(many=Many(concurrency, fail_fast), **others)

    return wrapped  # type: ignore[return-value]


def output(*formats: str) -> Callable[[Command], Command]:
    """-o with these formats (default: all)."""
    return click.option("-o", "--output", type=click.Choice(formats or FORMATS), help="What to print: text for people (table, wide), or a document.")


def dry_run(what: str) -> Callable[[Command], Command]:
    """--dry-run, of a verb by which something would be `what`."""
    return click.option("--dry-run", is_flag=True, help=f"Show what would be {what}, and do nothing.")


def quiet(command: Command) -> Command:
    return click.option("-q", "--quiet", is_flag=True, help="Print the name alone.")(command)


def name(command: Command) -> Command:
    """NAME or -n: the command gets `name`, None where it is to be taken from the file or the model."""

    @click.argument("named", metavar="[NAME]", required=False, shell_complete=complete_name)
    @_name_option()
    @functools.wraps(command)
    def wrapped(*, named: str | None, name: str | None, **others: Any) -> Any:
        return command(name=_one_name((named,) if named else (), name)[0], **others)

    return wrapped  # type: ignore[return-value]


def endpoint(command: Command) -> Command:
    """--endpoint: the command gets `endpoint: str | None`."""
    return click.option("--endpoint", metavar="NAME", help="The endpoint that it is behind, where a target has endpoints apart from deployments.")(
        command
    )


def names(command: Command) -> Command:
    """The same for any number of names: the command gets `names`, empty where the file is to say it."""

    @click.argument("named", metavar="[NAME]...", nargs=-1, shell_complete=complete_name)
    @_name_option()
    @functools.wraps(command)
    def wrapped(*, named: tuple[str, ...], name: str | None, **others: Any) -> Any:
        return command(names=tuple(each for each in _one_name(named, name) if each), **others)

    return wrapped  # type: ignore[return-value]


def _name_option() -> Callable[[Command], Command]:
    text = "The deployment's name, as NAME alone; default: the file's, else the model's."
    return click.option("-n", "--name", metavar="NAME", shell_complete=complete_name, help=text)


def _one_name(named: tuple[str, ...], name: str | None) -> tuple[str | None, ...]:
    """What is named, once; a model where a name belongs is told."""
    if name and named and named != (name,):
        raise ConfigInvalid(f"two names are given: {' '.join(named)}, and -n {name}", advice="leave one of them out")
    for each in named:
        if "/" in each or ":" in each or each == ".":
            raise ConfigInvalid(f"{each} is not a deployment's name", advice=f"a model is named by -m {each}, a target by -t, a file by -f")
    return named or (name,)


def model(command: Command) -> Command:
    """-m, --flavor and where to look: the command gets `model: ModelChoice`."""

    @click.option(
        "-m",
        "--model-uri",
        "--model",
        "uri",
        metavar="MODEL",
        shell_complete=complete_model,
        help="A path, s3:, runs:/, models:/name/version, models:/name@alias, ...",
    )
    @click.option("--flavor", metavar="FLAVOR", help="The model's flavor; python_function is the only one.")
    @click.option("--tracking-uri", metavar="URI", help="MLflow's tracking server, for runs:/; default: MLFLOW_TRACKING_URI.")
    @click.option("--registry-uri", metavar="URI", help="MLflow's model registry, for models:/; default: MLFLOW_REGISTRY_URI.")
    @functools.wraps(command)
    def wrapped(*, uri: str | None, flavor: str | None, tracking_uri: str | None, registry_uri: str | None, **others: Any) -> Any:
        return command(model=ModelChoice(uri, flavor, tracking_uri, registry_uri), **others)

    return wrapped  # type: ignore[return-value]


def packages(command: Command) -> Command:
    """--packages, and --no-trim for one of its values: the command gets `packages: str`."""

    @click.option(
        "--packages",
        type=click.Choice(PACKAGES),
        help="Where the model's packages come from: an image that has them, or else a layer that is made of them, once for all models with the "
        "same (auto, the default; untrimmed: with their tests, headers and static libraries, too); only an image that has them (compatible; "
        "exact: each pin), an image as it is (image), or an installation when the container starts (at-start). "
        "An update keeps what was named before.",
    )
    @click.option("--no-trim", is_flag=True, help="The same as --packages untrimmed.")
    @functools.wraps(command)
    def wrapped(*, packages: str | None, no_trim: bool, **others: Any) -> Any:
        if no_trim and packages not in (None, "auto", "untrimmed"):
            raise ConfigInvalid(f"--packages {packages} makes no packages to trim", advice="leave --no-trim out, or --packages")
        return command(packages="untrimmed" if no_trim else packages, **others)

    return wrapped  # type: ignore[return-value]


def variables(command: Command) -> Command:
    """--env KEY=VALUE, as often as it is given: the command gets `variables: dict[str, str]`."""

    @click.option(
        "--env", "pairs_of_env", multiple=True, metavar="KEY=VALUE", help="A variable for the container or the model's process; repeatable."
    )
    @functools.wraps(command)
    def wrapped(*, pairs_of_env: tuple[str, ...], **others: Any) -> Any:
        return command(variables=_variables(pairs_of_env), **others)

    return wrapped  # type: ignore[return-value]


def _variables(pairs: tuple[str, ...]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    if any(not name or not separator for name, separator, _ in split):
        raise ConfigInvalid("--env takes KEY=VALUE", advice="write it as --env KEY=VALUE")
    return {name: value for name, _, value in split}


def rollout(command: Command) -> Command:
    """What all changing verbs that deploy a model share: the command gets `rollout: Rollout`, and `place` with the flags' options in it."""

    @click.option("--timeout", type=click.IntRange(min=1), metavar="SECONDS", help="How long to wait (timeout_seconds).")
    @click.option("--no-wait", is_flag=True, help="Don't wait until it serves (synchronous=false).")
    @packages
    @variables
    @click.option("--allow-schema-change", is_flag=True, help="Deploy a model whose signature breaks today's callers.")
    @click.option("--adopt", is_flag=True, help="Take over what carries the name but isn't ours.")
    @endpoint
    @click.option("--pull-secret", is_flag=True, help="Give a cluster's nodes docker's login to the registry (pull_secret=true).")
    @click.option("--allow-build", is_flag=True, help="Build packages without a wheel for a plan, which runs their code.")
    @functools.wraps(command)
    def wrapped(
        *,
        place: ChosenTarget,
        timeout: int | None,
        no_wait: bool,
        packages: str | None,
        variables: Mapping[str, str],
        allow_schema_change: bool,
        adopt: bool,
        endpoint: str | None,
        allow_build: bool,
        pull_secret: bool,
        **others: Any,
    ) -> Any:
        flags = {
            "timeout_seconds": (timeout, "--timeout"),
            "synchronous": (False if no_wait else None, "--no-wait"),
            "pull_secret": (pull_secret or None, "--pull-secret"),
        }
        place = place.with_flags(flags).with_variables(variables)
        return command(place=place, rollout=Rollout(packages, adopt, allow_schema_change, endpoint, allow_build), **others)

    return wrapped  # type: ignore[return-value]


def complete_target(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from deployer.core.targets import available

    return [scheme for scheme in available() if scheme.startswith(incomplete)]


def complete_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The deployments of the target that the line names so far, or DEPLOYER_TARGET does."""
    from deployer.cli.completion import deployments

    target = ctx.params.get("target") or os.environ.get("DEPLOYER_TARGET")
    return [name for name in deployments(target) if name.startswith(incomplete)] if target else []


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Registered models and their versions; else directories. A shell breaks words at colons: what it has is completed as it stands."""
    from deployer.cli.completion import directories, registered

    uris = [uri for uri in registered() if uri.startswith(incomplete)] if not incomplete or "models:/".startswith(incomplete[:8]) else []
    return [*uris, *([] if ":" in incomplete else directories(incomplete))]


def complete_option(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The options of the target that the line names so far."""
    from deployer.core.target import TargetUri
    from deployer.core.targets import load

    uri = ctx.params.get("target")
    return [f"{option}=" for option in load(TargetUri.parse(uri)).config.model_fields if option.startswith(incomplete)] if uri else []
