"""Who uses an engine that several test processes share, and whether they still live."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

BY_HAND = "by-hand"
"""The user who isn't a process: a person at a terminal, who says when it is over."""


class Users:
    """Processes that use an engine, as files of a directory: the name is the process's id, the content when it began."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, user: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / user).write_text(began(user))

    def remove(self, user: str) -> None:
        """One that ends; by hand, all."""
        if user == BY_HAND:
            shutil.rmtree(self._directory, ignore_errors=True)
        else:
            (self._directory / user).unlink(missing_ok=True)

    def living(self) -> bool:
        """Whether one is left. An id that another process has by now doesn't count."""
        files = [*self._directory.iterdir()] if self._directory.is_dir() else []
        return any(each.name == BY_HAND or (began(each.name) and began(each.name) == each.read_text()) for each in files)


def began(process: str) -> str:
    """When a process began, in the kernel's count; empty where it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def end(process: int, seconds: float) -> None:
    """SIGTERM, and SIGKILL when the time is over; returns when it has ended."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    while began(str(process)):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """One at a time starts or stops an engine."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
