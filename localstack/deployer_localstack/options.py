"""What a local cloud can be told when it starts, and where its directory is."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

RuntimeChoice = Literal["auto", "docker", "process"]
RegistryChoice = Literal["auto", "debian", "docker", "python"]

INSTANCE_VARIABLE = "DEPLOYER_LOCALSTACK_INSTANCE"
"""Every process that a local cloud starts carries its directory in this variable, so that leftovers of a killed one are found."""

INSTANCE_LABEL = "io.deployer.localstack"
"""The same mark on docker containers."""


TOKEN_VARIABLE = "DEPLOYER_LOCALSTACK_TOKEN"
"""Where clients of the control API find its token, if they don't read the local cloud's directory."""

ELSEWHERE = "DEPLOYER_LOCALSTACK_DIR names another directory"
"""What to do where the directory can't be had."""

PORT = 7755
"""Of the AWS endpoint. No service has it (IANA's registry has none from 7748 to 7774), nor LocalStack (4566) or moto's server (5000)."""

AZURE_PORT = 7756
"""Of the local Azure, beside it."""

_TOKEN_FILE = "token"


def default_directory() -> Path:
    """$DEPLOYER_LOCALSTACK_DIR, else deployer/localstack below $XDG_STATE_HOME (~/.local/state)."""
    if chosen := os.environ.get("DEPLOYER_LOCALSTACK_DIR"):
        return Path(chosen).expanduser().resolve()
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return (Path(state).expanduser() / "deployer" / "localstack").resolve()


def new_token(directory: Path) -> str:
    """What the control API wants to hear from now on; kept in a file that its user alone can read."""
    token, draft = secrets.token_urlsafe(32), directory / f"{_TOKEN_FILE}.new"
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    draft.write_text(token)
    draft.replace(directory / _TOKEN_FILE)
    return token


def token_of(directory: Path) -> str:
    """The token of the local cloud in a directory; empty where it has none, or isn't ours to read."""
    try:
        return (directory / _TOKEN_FILE).read_text()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How to start a local cloud.

    Attributes:
        directory: where its pid, ports, log, registry and unpacked models are; two clouds need two directories.
        port: of the AWS endpoint; 0 lets the system choose one.
        registry_port: of the image registry; 0 lets the system choose one.
        runtime: what endpoints run in. "auto" runs stand-in images as processes and real ones in docker; "process" and "docker" allow
            only the one.
        registry: which registry keeps the images: Debian's docker-registry, the official image under docker, or the small one in Python.
        commands: also run images that are nothing but a command of this machine (label io.deployer.command); for tests.
        azure: also start the local Azure.
        azure_port: of it; 0 lets the system choose one.
        settings: first values of the adjustable settings (`deployer_localstack.aws.settings`, and Azure's), by name.
    """

    directory: Path = field(default_factory=default_directory)
    port: int = PORT
    registry_port: int = 0
    runtime: RuntimeChoice = "auto"
    registry: RegistryChoice = "auto"
    commands: bool = False
    azure: bool = False
    azure_port: int = AZURE_PORT
    settings: tuple[tuple[str, str], ...] = ()
