"""What client and supervisor say to each other: one JSON document a line over the supervisor's socket.

A request is `{"verb": …, "run": …, arguments}`; the answer `{"ok": …}`, or `{"error": {"kind", "message", "why", "advice", "lines", "definite"}}`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployer.core.container import Container, Mount
from deployer.core.state import Record
from deployer.errors import Conflict, CredentialsInvalid, DeployerError, DeploymentNotFound, MachineFault, Refused, TargetUnavailable

LINE_LIMIT = 64 << 20
"""Bytes of one document: a record's signature and requirements may be long."""

_ADDRESS_LIMIT = 107
"""Bytes of a Unix socket's path (unix(7), sun_path)."""

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


_KINDS: Mapping[str, type[DeployerError]] = {
    "machine": MachineFault,
    "conflict": Conflict,
    "unavailable": TargetUnavailable,
    "credentials": CredentialsInvalid,
    "refused": Refused,
    "absent": DeploymentNotFound,
    "fault": DeployerError,
}


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One generation's container as its supervisor sees it; `state` is one of backend.State.

    Attributes:
        fault: where it couldn't be started because of others, the network or credentials: for `raise_error`.
    """

    state: str
    reason: str = ""
    restarts: int = 0
    runtime: str = ""
    image: str = ""
    lines: tuple[str, ...] = ()
    fault: Mapping[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """There is a process or docker container, or soon will be."""
        return self.state not in ("failed", "stopped")


@dataclass(frozen=True, slots=True)
class Description:
    """All that a supervisor knows of its deployment.

    Attributes:
        port: 0 while it doesn't listen.
        traffic: percent by generation, the oldest first; of two the other is the candidate of a rollout.
        models: directories of whole copies, as named there; `unfinished` those of others.
        ending: it is being deleted.
    """

    name: str
    pid: int
    host: str = ""
    port: int = 0
    traffic: Mapping[str, int] = field(default_factory=dict)
    incoming: str | None = None
    records: Mapping[str, Record] = field(default_factory=dict)
    containers: Mapping[str, ContainerState] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    ending: bool = False

    @property
    def serving(self) -> str | None:
        """The generation in service; while a rollout keeps two, the one that was there first."""
        return next(iter(self.traffic), None)

    @property
    def url(self) -> str:
        """Where it answers on this machine; "" while it doesn't listen."""
        host = _ANYWHERE.get(self.host, f"[{self.host}]" if ":" in self.host else self.host)
        return f"http://{host}:{self.port}" if self.port else ""

    def to_document(self) -> dict[str, Any]:
        plain = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {
            **plain,
            "records": {generation: record.to_json() for generation, record in self.records.items()},
            "containers": {generation: dataclasses.asdict(state) for generation, state in self.containers.items()},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Description:
        containers = {key: ContainerState(**{**state, "lines": tuple(state["lines"])}) for key, state in document["containers"].items()}
        records = {generation: Record.from_json(text) for generation, text in document["records"].items()}
        lists = {key: tuple(document[key]) for key in ("models", "unfinished")}
        return cls(**{**document, "records": records, "containers": containers, **lists})


def container_document(container: Container) -> dict[str, Any]:
    """A container as JSON. Its environment is in it: this goes over a socket that only its user can open, and nowhere else."""
    plain = {each.name: getattr(container, each.name) for each in dataclasses.fields(container)}
    mounts = [{"source": str(mount.source), "target": mount.target, "read_only": mount.read_only} for mount in container.mounts]
    return {**plain, "environment": dict(container.environment), "labels": dict(container.labels), "mounts": mounts}


def container_from(document: Mapping[str, Any]) -> Container:
    """Read back what `container_document` wrote."""
    mounts = tuple(Mount(**{**mount, "source": Path(mount["source"])}) for mount in document["mounts"])
    return Container(**{**document, "command": tuple(document["command"]), "mounts": mounts})


def line(document: Mapping[str, Any] | Sequence[Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def error_document(error: DeployerError) -> dict[str, Any]:
    kind = next((kind for kind, each in _KINDS.items() if isinstance(error, each)), "fault")
    return _document(kind, error, definite=error.definite)


def fault_document(error: DeployerError | None) -> dict[str, Any]:
    """Why a container couldn't be started, if others are to blame; empty where the model is. Without them nothing is: that is definite."""
    if isinstance(error, CredentialsInvalid):
        return _document("credentials", error, definite=True)
    return _document("unavailable", error, definite=True) if isinstance(error, TargetUnavailable) else {}


def _document(kind: str, error: DeployerError, *, definite: bool) -> dict[str, Any]:
    said = {"message": error.message, "why": error.why, "advice": error.advice, "lines": list(error.lines)}
    return {"error": {"kind": kind, **said, "definite": definite}}


def raise_error(document: Mapping[str, Any]) -> None:
    """Raise what `error_document` wrote, if the document is one."""
    if error := document.get("error"):
        said = {**error, "lines": tuple(error["lines"])}
        raise _KINDS[said.pop("kind")](said.pop("message"), **said)


def bind(path: Path) -> socket.socket:
    """A listening socket at a path that is free."""
    listener = socket.socket(socket.AF_UNIX)
    with _address(path) as address:
        listener.bind(address)
    listener.listen(128)
    return listener


def connect(path: Path, timeout_seconds: float | None) -> socket.socket:
    """A connection to who listens there.

    Raises:
        OSError: nobody does.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout_seconds)
    try:
        with _address(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """The path, or where it's too long for a socket's address, a shorter one through the open directory."""
    if len(os.fsencode(path)) <= _ADDRESS_LIMIT:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
