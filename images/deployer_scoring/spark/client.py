"""A Spark worker's connection to the model process of its executor, which the first worker starts.

Workers and model process meet in a directory of the executor's own, closed to other users: a socket and a lock for each model.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from deployer_scoring import errors
from deployer_scoring.errors import LoadError, ModelFailure
from deployer_scoring.spark import frames

_ATTEMPTS = 2
_LONGEST_SOCKET = 100  # bytes of a Unix socket's path (107 on Linux, 103 on macOS)


@dataclass(frozen=True)
class ModelProcessSpec:
    """What a model process is started with, and what its socket is known by."""

    identity: str
    """Of the model's content."""
    model: str
    """The model's directory on the executor."""
    python: str
    """The interpreter."""
    import_path: tuple[str, ...]
    """The interpreter's PYTHONPATH."""
    environment: Mapping[str, str]
    """Variables on top of the worker's own."""
    idle: float
    """Seconds without a connection after which it ends."""

    @property
    def name(self) -> str:
        """A name for the socket: the same for the same model in the same environment."""
        parts = [self.identity, self.python, *self.import_path, *(f"{name}={value}" for name, value in sorted(self.environment.items()))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class Client:
    """A connection that survives the death of who answers it. For one thread."""

    def __init__(self, order: ModelProcessSpec, asked: Mapping[str, Any]) -> None:
        """Name the model process; nothing is started before the first batch.

        Args:
            order: The model process.
            asked: The connection's result type and params, as `answering.answer` takes them.
        """
        self._order, self._asked = order, asked
        self._connection: Optional[socket.socket] = None
        self._answerer: Optional[int] = None
        self._died: Optional[str] = None

    def predict(self, batch: Any) -> memoryview:
        """The result, as an Arrow IPC stream, for a batch packed as one.

        A batch whose model process died is tried once more, with another.

        Raises:
            LoadError: The model process can't be started, or can't load the model.
            ModelFailure: The model raised, or ended its process twice.
            InvalidInput: The batch doesn't fit the model's signature.
        """
        for _ in range(_ATTEMPTS):
            try:
                return self._try(batch)
            except ConnectionError:
                self.close()
        self._connected()  # tells what the last one died of
        what = f"the model's process {self._died or 'ended'} while it predicted, {_ATTEMPTS} times with the same batch"
        raise ModelFailure(f"{what}; the executor's stderr has what it said last")

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self, batch: Any) -> memoryview:
        connection = self._connected()
        frames.send(connection, frames.BATCH, batch)
        answer = frames.receive(connection)
        if answer is None:
            raise ConnectionResetError("the model process is gone")
        if answer.kind == frames.ERROR:
            raise _error(answer.json())
        return answer.body

    def _connected(self) -> socket.socket:
        if self._connection is None:
            self._connection = connected(self._order)
            frames.send_json(self._connection, frames.HELLO, {**self._asked, "after": self._answerer})
            hello = frames.receive(self._connection)
            if hello is None:
                raise ConnectionResetError("the model process is gone")
            self._answerer, self._died = hello.json()["pid"], hello.json()["died"]
        return self._connection


def connected(order: ModelProcessSpec) -> socket.socket:
    """A connection to the model process, which is started where none is.

    Raises:
        LoadError: It can't be started, or can't load the model.
    """
    place = meeting_place() / f"{order.name}.socket"
    with contextlib.suppress(OSError):
        return _connect(place)
    with locked(place.with_suffix(".lock")):
        with contextlib.suppress(OSError):  # another worker was faster
            return _connect(place)
        place.unlink(missing_ok=True)
        _start(order, place)
        return _connect(place)


def meeting_place() -> Path:
    """The executor's own directory for sockets and locks: named by the process that all its Python workers come from.

    Raises:
        LoadError: Somebody else has made one of this name.
    """
    parent = os.getppid()
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) + 70 > _LONGEST_SOCKET:
        base = Path("/tmp")
    place = own_directory(base / f"deployer-spark-{os.getuid()}") / f"{parent}-{_start_time(parent)}"
    return own_directory(place)


def own_directory(path: Path) -> Path:
    """A directory that is open to this user alone.

    Raises:
        LoadError: It is there and isn't.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise LoadError(f"{path} is not a directory of this user alone, so no model process can be met there; remove it")
    return path


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock between processes."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _start_time(pid: int) -> str:
    """When a process began, so that its number can't be taken for a later one's; empty where the system doesn't tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _connect(place: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(place))
    except OSError:
        connection.close()
        raise
    return connection


def _start(order: ModelProcessSpec, place: Path) -> None:
    """Start the model process and wait until it has loaded the model.

    Raises:
        LoadError: With what it said.
    """
    reading, writing = os.pipe()
    document = {"model": order.model, "socket": str(place), "parent": os.getppid(), "idle": order.idle, "threads": _threads(order), "report": writing}
    with os.fdopen(reading) as report:
        try:
            process = subprocess.Popen(
                [order.python, "-m", "deployer_scoring.spark.process"],
                stdin=subprocess.PIPE,
                stdout=sys.stderr.fileno(),
                pass_fds=[writing],
                env=_variables(order),
                start_new_session=True,  # signals to the executor's Python workers are not for it
            )
        finally:
            os.close(writing)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(document).encode())
        said = report.read()
    if not said:
        ended = f"the model process ended while it loaded the model, with exit code {process.wait()}"
        raise LoadError(f"{ended}; the executor's stderr has what it said last")
    answer = json.loads(said)
    if answer["type"] != "ready":
        process.wait()
        raise _error(answer)


def _variables(order: ModelProcessSpec) -> dict[str, str]:
    # One thread until it has forked: OpenMP's pool of threads doesn't survive that.
    return {**os.environ, **order.environment, "PYTHONPATH": os.pathsep.join(order.import_path), "OMP_NUM_THREADS": "1"}


def _threads(order: ModelProcessSpec) -> int:
    """How many threads a predict may use: Spark sets the variable for its Python workers to the cores of a task."""
    said = {**os.environ, **order.environment}.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() else 1


def _error(document: Mapping[str, str]) -> Exception:
    kind = getattr(errors, document["type"], ModelFailure)
    return kind(document["message"]) if kind in {errors.InvalidInput, errors.LoadError} else ModelFailure(document["message"])
