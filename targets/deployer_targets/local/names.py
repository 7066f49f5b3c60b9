"""What things are called on this machine: deployments, their directories and sockets, models, containers. Pure, but for the environment."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployer.core.state import DeploymentName, Digest, Resource, digest_of, short
from deployer.errors import ConfigInvalid

DIRECTORY_VARIABLE = "DEPLOYER_LOCAL_DIR"
LABEL = "deployer.local"
"""The container label that leads from a docker container to its supervisor: `place/name`."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def name_for(candidate: str) -> DeploymentName:
    """The nearest valid name: lower case, other characters turned into `-`, cut at 63."""
    plain = re.sub(r"[^a-z0-9]+", "-", candidate.lower()).strip("-")[:63].strip("-")
    return DeploymentName(plain or "model")


def check_name(name: str) -> DeploymentName:
    """The name itself.

    Raises:
        ConfigInvalid: it isn't 1 to 63 lower-case letters, digits and inner hyphens.
    """
    if not _NAME.fullmatch(name):
        limits = "1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends"
        raise ConfigInvalid(f"{name!r} is not a name for a local deployment: it has {limits}", advice=f"-n {name_for(name)} is valid")
    return DeploymentName(name)


@dataclass(frozen=True, slots=True)
class StateDirectories:
    """Where the supervisors of one user live.

    Attributes:
        sockets: a directory a deployment, each with its supervisor's socket and log; held by the supervisor's lock while it lives.
        models: a directory a deployment, each with the copies of its models. Apart, because sockets may lie in memory.
        private: what must be its user's alone, from the outside in; what the user named is left as it is.
    """

    sockets: Path
    models: Path
    private: tuple[Path, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> StateDirectories:
        """DEPLOYER_LOCAL_DIR, or else XDG_RUNTIME_DIR/deployer/local, or else a directory of this user below the temporary one."""
        if named := environment.get(DIRECTORY_VARIABLE):
            base = Path(named).absolute()
            return cls(base / "run", base / "models", (base / "run", base / "models"))
        runtime = environment.get("XDG_RUNTIME_DIR")
        base = Path(runtime) / "deployer" if runtime else Path(tempfile.gettempdir()) / f"deployer-{os.getuid()}"
        cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        sockets, models = base / "local", cache / "deployer" / "local"
        return cls(sockets, models / short(digest_of(str(sockets))), (base, sockets, models))

    @property
    def id(self) -> str:
        """Ten hex digits that tell this place from others on the machine, for labels."""
        return short(digest_of(str(self.sockets)))

    def home(self, name: str) -> Path:
        return self.sockets / name

    def socket(self, name: str) -> Path:
        return self.home(name) / "socket"

    def log(self, name: str) -> Path:
        return self.home(name) / "supervisor.log"

    def models_of(self, name: str) -> Path:
        return self.models / name

    def model(self, name: str, digest: Digest) -> Path:
        return self.models_of(name) / short(digest)

    def label(self, name: str) -> str:
        return f"{self.id}/{name}"


def supervisor(name: str) -> Resource:
    return Resource("supervisor", name)


def record(generation: str) -> Resource:
    return Resource("record", generation)


def container(generation: str) -> Resource:
    return Resource("container", generation)


def model(digest: Digest) -> Resource:
    return Resource("model", short(digest))
