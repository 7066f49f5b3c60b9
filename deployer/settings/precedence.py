"""Where options come from, nearest first, with the origin of each kept: who asks "why is it so?" is told.

The call or command line, then the environment (`DEPLOYER_<OPTION>`), then the file of this deployment (churn.yaml): these name an option for the
deployment at hand. Then what stands for all deployments: the user's own file, then the cloud SDK's; then the target's defaults.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployer.core.target import Target, TargetUri
from deployer.core.traffic import PARTS
from deployer.errors import ConfigInvalid
from deployer.settings.config_file import ConfigFile

if TYPE_CHECKING:
    from deployer.core.options import TargetConfig

VARIABLE_PREFIX = "DEPLOYER_"


@dataclass(frozen=True, slots=True)
class Options:
    """Options by name, and where each came from, in words for people ("churn.yaml:5")."""

    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    origins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any] | Options | None, origin: str) -> Options:
        """`values`, all from `origin`; options that know where they came from keep that."""
        if isinstance(values, Options):
            return values
        return cls(dict(values or {}), dict.fromkeys(values or {}, origin))

    def over(self, other: Options) -> Options:
        """These, and from `other` what isn't in them; a strategy comes with its own parts."""
        left = {key for key in other.values if "strategy" in self.values and key in PARTS}
        beneath = {key: value for key, value in other.values.items() if key not in left}
        origins = {key: origin for key, origin in other.origins.items() if key not in left}
        return Options({**beneath, **self.values}, {**origins, **self.origins})


@dataclass(frozen=True, slots=True)
class RunOptions:
    """All options of one run: `named` for this deployment, `standing` for all; nearer ones win."""

    named: Options = field(default_factory=Options)
    standing: Options = field(default_factory=Options)

    @property
    def all(self) -> Options:
        return self.named.over(self.standing)


def gather(
    target: Target[Any, Any],
    uri: TargetUri,
    given: Options,
    *,
    file: ConfigFile | None = None,
    environ: Mapping[str, str] | None = None,
) -> RunOptions:
    """Every option for `uri` that is named anywhere.

    Raises:
        ConfigInvalid: a file can't be read, or has nothing for this target.
    """
    environ = os.environ if environ is None else environ
    named = given.over(from_environment(target.config, environ))
    if file is not None:
        named = named.over(Options(*file.options(uri)))
    standing = Options()
    users = user_file(environ)
    if users.is_file():
        standing = Options(*ConfigFile.read(users).options(uri, required=False))
    platform = Options(*target.defaults(uri, {**standing.values, **named.values}))
    return RunOptions(named, standing.over(platform))


def from_environment(config: type[TargetConfig], environ: Mapping[str, str]) -> Options:
    """The options named by `DEPLOYER_INSTANCE_TYPE` and the like; an empty variable is none."""
    found = {name: f"{VARIABLE_PREFIX}{name.upper()}" for name in config.model_fields if environ.get(f"{VARIABLE_PREFIX}{name.upper()}")}
    return Options({name: environ[variable] for name, variable in found.items()}, found)


def user_file(environ: Mapping[str, str]) -> Path:
    """What stands for all of this user's deployments: deployer/config.yaml below $XDG_CONFIG_HOME or ~/.config."""
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "deployer" / "config.yaml"


def from_pairs(pairs: Iterable[str], flag: str = "-C") -> Options:
    """`-C key=value` as given on the command line; the last of one key wins.

    Raises:
        ConfigInvalid: a pair without `=`.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigInvalid(f"{flag} {pair} is not key=value", advice=f"write it as {flag} KEY=VALUE")
        values[key.strip()] = value
    return Options.of(values, "command line")
