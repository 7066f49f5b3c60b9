"""The options that commands share, in groups: each decorator adds its options and hands the command one object for them."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deployer.cli.output import FORMATS
from deployer.cli.session import Session
from deployer.errors import ConfigInvalid
from deployer.events import Report, silent
from deployer.settings.config_file import ConfigFile
from deployer.settings.precedence import Options, from_pairs

if TYPE_CHECKING:
    from deployer.client import DeployClient
    from deployer.core.state import PackagedModel

Command = TypeVar("Command", bound=Callable[..., Any])
PACKAGES = ("auto", "compatible", "exact", "image", "at-start")
"""Those of `deployer.core.compatibility`, which help must not import; a test holds them together."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model, and where MLflow's URIs are looked up."""

    uri: str | None = None
    flavor: str | None = None
    tracking_uri: str | None = None
    registry_uri: str | None = None

    def named(self, file: ConfigFile | None = None, *, advice: str = "name it: -m MODEL") -> str:
        """The model's URI, as given, else as the file says.

        Raises:
            ConfigInvalid: neither says it.
        """
        uri = self.uri or (file.model_uri if file else None)
        if not uri:
            raise ConfigInvalid("which model is not said", advice=advice)
        return uri

    def fetched(self, uri: str, report: Report) -> PackagedModel:
        """The model at a URI, on this machine, looked up where MLflow's options say."""
        from deployer.artifacts import fetch

        return fetch(uri, report, tracking_uri=self.tracking_uri, registry_uri=self.registry_uri)


@dataclass(frozen=True, slots=True)
class ChosenTarget:
    """Where to deploy, and with which options."""

    target: str | None = None
    pairs: tuple[str, ...] = ()
    file: ConfigFile | None = None
    flags: Options = field(default_factory=Options)

    def targets(self) -> tuple[str, ...]:
        """The targets meant: the one given, or all of the file's.

        Raises:
            ConfigInvalid: none is named.
        """
        named = (self.target,) if self.target else self.file.uris() if self.file else ()
        if not named:
            raise ConfigInvalid(
                "which target is not said", advice="name it: -t TARGET, or DEPLOYER_TARGET in the environment; deploy targets lists them"
            )
        return named

    def or_target(self, target: str) -> ChosenTarget:
        """The same, at this target where none is named."""
        return self if self.target or self.file else replace(self, target=target)

    def client(self, on_event: Report = silent, models: ModelChoice | None = None) -> DeployClient:
        """The client for the one target meant.

        Raises:
            ConfigInvalid: none is named, or the file has more than one.
        """
        targets = self.targets()
        if len(targets) > 1:
            raise ConfigInvalid("which target is not said", advice=f"-t with one of {', '.join(targets)}")
        return self.client_of(targets[0], on_event, models)

    def client_of(self, target: str, on_event: Report = silent, models: ModelChoice | None = None) -> DeployClient:
        """The client for one of `targets()`; `models` says where model URIs are looked up."""
        from deployer.client import DeployClient  # when a command runs: to complete one it is not needed

        context = click.get_current_context(silent=True)
        if context is not None and (session := context.find_object(Session)) is not None:
            session.target = target
        where = {"tracking_uri": models.tracking_uri, "registry_uri": models.registry_uri} if models else {}
        return DeployClient(target, self.flags.over(from_pairs(self.pairs)), on_event=on_event, config_file=self.file, **where)

    def with_flags(self, flags: dict[str, tuple[Any, str]]) -> ChosenTarget:
        """The same, with options that have a flag of their own: option to value and flag. Unset ones (None) are left out."""
        given = {key: (value, flag) for key, (value, flag) in flags.items() if value is not None}
        named = Options({key: value for key, (value, _) in given.items()}, {key: flag for key, (_, flag) in given.items()})
        return replace(self, flags=named.over(self.flags))

    def with_variables(self, variables: Mapping[str, str]) -> ChosenTarget:
        """The same, with the container's variables, the option `env`, as --env has them.

        Raises:
            ConfigInvalid: -C says them too: one of the two would be lost.
        """
        if variables and "env" in from_pairs(self.pairs).values:
            raise ConfigInvalid("the container's variables are said twice, by --env and by -C env", advice="leave one of them out")
        return self.with_flags({"env": (variables or None, "--env")})


def place(command: Command) -> Command:
    """-t, -C, -f: the command gets `place: ChosenTarget`."""

    @click.option(
        "-t", "--target", envvar="DEPLOYER_TARGET", metavar="TARGET", shell_complete=complete_target, help="sagemaker:/us-west-2, local, ..."
    )
    @_configured
    @functools.wraps(command)
    def wrapped(*, target: str | None, pairs: tuple[str, ...], file: Path | None, **others: Any) -> Any:
        return command(place=ChosenTarget(target, pairs, ConfigFile.read(file) if file else None), **others)

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
    def wrapped(*, target: tuple[str, ...], pairs: tuple[str, ...], file: Path | None, **others: Any) -> Any:
        read = ConfigFile.read(file) if file else None
        named = dict.fromkeys(target or (read.uris() if read else ()))
        return command(places=tuple(ChosenTarget(each, pairs, read) for each in named), **others)

    return wrapped  # type: ignore[return-value]


def _configured(command: Command) -> Command:
    """-C, -f."""
    pairs = click.option(
        "-C", "--config", "pairs", multiple=True, metavar="KEY=VALUE", shell_complete=complete_option, help="A target's option; repeatable."
    )
    file = click.option(
        "-f",
        "--config-file",
        "file",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        help="A file with name, model, targets and options (churn.yaml); - reads standard input.",
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


def output(*formats: str) -> Callable[[Command], Command]:
    """-o with these formats (default: all)."""
    return click.option("-o", "--output", type=click.Choice(formats or FORMATS), help="What to print: text for people (table, wide), or a document.")


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
    """--packages: the command gets `packages: str`."""
    return click.option(
        "--packages",
        type=click.Choice(PACKAGES),
        help="Where the model's packages come from: an image that has them, or else a layer that is made of them, once for all models with the "
        "same (auto, the default); only an image that has them (compatible; exact: each pin), an image as it is (image), "
        "or an installation when the container starts (at-start). An update keeps what was named before.",
    )(command)


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


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a change is to be made."""

    packages: str | None
    adopt: bool
    allow_schema_change: bool = False
    endpoint: str | None = None
    allow_build: bool = False

    @property
    def shared(self) -> dict[str, Any]:
        """What every call that deploys or plans takes."""
        return {"packages": self.packages, "adopt": self.adopt, "endpoint": self.endpoint}


def rollout(command: Command) -> Command:
    """What all changing verbs that deploy a model share: the command gets `rollout: Rollout`, and `place` with the flags' options in it."""

    @click.option("--timeout", type=click.IntRange(min=1), metavar="SECONDS", help="How long to wait (timeout_seconds).")
    @click.option("--no-wait", is_flag=True, help="Don't wait until it serves (synchronous=false).")
    @packages
    @variables
    @click.option("--allow-schema-change", is_flag=True, help="Deploy a model whose signature breaks today's callers.")
    @click.option("--adopt", is_flag=True, help="Take over what carries the name but isn't ours.")
    @endpoint
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
        **others: Any,
    ) -> Any:
        flags = {"timeout_seconds": (timeout, "--timeout"), "synchronous": (False if no_wait else None, "--no-wait")}
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
