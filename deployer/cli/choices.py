"""What the options that commands share come to: which model, which target with which options of its own, how a change is made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

from deployer.cli.session import Session
from deployer.errors import ConfigInvalid
from deployer.events import Report, silent
from deployer.settings.config_file import ConfigFile
from deployer.settings.precedence import Options, from_pairs

if TYPE_CHECKING:
    from deployer.client import DeployClient
    from deployer.core.accelerators import Accelerator
    from deployer.core.state import PackagedModel

CONCURRENCY = 4
"""That of `deployer.verbs.many`, which help must not import; a test holds them together."""


@dataclass(frozen=True, slots=True)
class Many:
    """How several deployments are done by one command."""

    concurrency: int = CONCURRENCY
    fail_fast: bool = False

    def behind(self, endpoint: str | None) -> Many:
        """The same, one after the other where all are behind one endpoint: a run claims that for itself."""
        return replace(self, concurrency=1) if endpoint else self


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
    files: tuple[ConfigFile, ...] = ()
    flags: Options = field(default_factory=Options)

    @property
    def file(self) -> ConfigFile | None:
        """The one deployment of the files, where there are any.

        Raises:
            ConfigInvalid: they have several.
        """
        if len(self.files) > 1:
            raise ConfigInvalid(
                f"which of {len(self.files)} deployments is not said",
                advice=f"-n picks one of {_some([each.called for each in self.files])}; where no name is taken, -t names the target instead",
            )
        return self.files[0] if self.files else None

    def each(self) -> tuple[ChosenTarget, ...]:
        """The same, once for each deployment of the files."""
        return tuple(replace(self, files=(file,)) for file in self.files) or (self,)

    def of_names(self, names: Collection[str]) -> ChosenTarget:
        """The same, with those of several deployments alone that are named; what one alone is called may be said anew.

        Raises:
            ConfigInvalid: there is none of a name.
        """
        if len(self.files) < 2 or not names:
            return self
        there = [each.called for each in self.files]
        for name in names:
            if name not in there:
                raise ConfigInvalid(f"no deployment that -f names is called {name}", advice=f"there are {_some(there)}")
        return replace(self, files=tuple(each for each in self.files if each.called in names))

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

    def target_and_config(self) -> tuple[Any, Any]:
        """The one target meant, and its options as far as they are given."""
        client = self.client()
        given = client.settings().all
        return client.target, client.target.config.parse(given.values, given.origins, target=client.uri.scheme)

    def accelerator(self) -> Accelerator | None:
        """What the target that is named runs containers on, as far as that is known; None where none is named."""
        from deployer.core.capabilities import accelerator_of

        return accelerator_of(*self.target_and_config()) if self.target or self.file else None

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


def _some(names: Sequence[str]) -> str:
    """Names, of many the first ones."""
    return ", ".join([*names[:_SHOWN], *(["..."] if len(names) > _SHOWN else [])])


_SHOWN = 10


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
