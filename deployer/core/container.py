"""What a target runs for a model, in the words every container engine shares. Pure data: who starts it is another matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

USER = 10001
"""Whom a container runs as that mustn't be root, where its platform gives no other: a number, as who checks that can't know a name."""

AT_START: Mapping[str, str] = {"DEPLOYER_PACKAGES": "at-start"}
"""The variable that has the runtime install the model's packages as the container starts."""


def with_packages(variables: Mapping[str, str], packages: str) -> dict[str, str]:
    """A container's variables, with where the model's packages come from as `--packages` says it."""
    others = {name: value for name, value in variables.items() if name not in AT_START}
    return others | (dict(AT_START) if packages == "at-start" else {})


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of this machine (`source`) seen at `target` inside."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Container:
    """One container as a target would start it.

    Attributes:
        image: a reference that an engine can run: registry/repository@sha256:… or a local tag.
        command: arguments after the image's entry point, ("serve",) on SageMaker.
        environment: variables; values may be secret and are never printed.
        port: the TCP port that the server listens on inside.
        user: "uid[:gid]", or None for the image's own.
        health: the path that answers 200 once the model is loaded.
    """

    image: str
    command: tuple[str, ...]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    mounts: tuple[Mount, ...] = ()
    user: str | None = None
    health: str = "/ping"
    labels: Mapping[str, str] = field(default_factory=dict)
    read_only_root: bool = False
    isolated_network: bool = False

    def outside(self, value: str) -> str:
        """A path inside the container, below one of its mounts, as it is called outside; anything else as it is."""
        path = PurePosixPath(value)
        found = next((mount for mount in self.mounts if value.startswith("/") and path.is_relative_to(mount.target)), None)
        return str(found.source / path.relative_to(found.target)) if found else value
