"""What every runtime gives: a container that runs, and the way to end it."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol, Self

from deployer.core.container import Container

Log = Callable[[bytes], None]
"""Called with each line of the container's output, without its end; from a thread of its own."""

STOP_SECONDS = 30.0
"""Between SIGTERM and SIGKILL, as the clouds have it."""


class Runtime(Protocol):
    """A place on this machine where containers run."""

    name: str

    def start(self, container: Container, *, name: str, log: Log, port: int = 0, inherited: socket.socket | None = None) -> RunningContainer:
        """Start the container; it isn't healthy yet (`wait_healthy`).

        Args:
            name: for people and labels; need not be unique.
            port: where it is to answer on 127.0.0.1; 0 takes a free one.
            inherited: an end of a connection over which its server is lent sockets (deployer_scoring.server.processes.handover). A process alone can
                have it.

        Raises:
            MachineFault: the port is taken, the disk is full.
            TargetUnavailable: the engine, the image's registry or a package index doesn't answer.
            ModelInvalid: its environment can't be made.
        """


class RunningContainer(ABC):
    """A container that was started. Leaving it as a context ends it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    @abstractmethod
    def address(self) -> tuple[str, int]:
        """Host and port at which it answers."""

    @property
    @abstractmethod
    def exit_code(self) -> int | None:
        """None while it runs; 128 and the signal's number where one ended it."""

    @abstractmethod
    def stop(self, grace_seconds: float = STOP_SECONDS) -> None:
        """SIGTERM, SIGKILL once the grace is over, then everything that it left is removed. Safe to call twice."""

    @abstractmethod
    def tail(self, count: int = 20) -> tuple[str, ...]:
        """The last lines of its output."""

    def alive(self) -> bool:
        return self.exit_code is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Who leaves by an error (Ctrl-C among them) wants to be gone soon.
        self.stop(STOP_SECONDS if error is None else 5.0)


class OutputFollower:
    """Follows a stream of output in a thread: each line goes to `log`, the last few are kept."""

    _KEPT = 200
    _LONGEST = 64 * 1024

    def __init__(self, chunks: Iterable[bytes], log: Log, name: str) -> None:
        self._last: deque[bytes] = deque(maxlen=self._KEPT)
        self._log = log
        self._thread = threading.Thread(target=self._follow, args=(chunks,), name=f"log of {name}", daemon=True)
        self._thread.start()

    def last(self, count: int) -> tuple[str, ...]:
        return tuple(line.decode(errors="replace") for line in list(self._last)[-count:])

    def finish(self, timeout_seconds: float) -> None:
        """Wait for the last lines of an output that has ended."""
        self._thread.join(timeout_seconds)

    def _follow(self, chunks: Iterable[bytes]) -> None:
        rest = b""
        for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > self._LONGEST:  # a progress bar without end is no line
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._tell(line)
        if rest:
            self._tell(rest)

    def _tell(self, line: bytes) -> None:
        line = line.rstrip(b"\r")
        self._last.append(line)
        self._log(line)
