"""The user's cache directory: what is costly to make is made once, under the digest of what it is made of, by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deployer.core.private import private_directory
from deployer.errors import MachineFault

_COMPLETE = ".complete"

_of_thread = threading.local()


def root() -> Path:
    """`deployer` below XDG_CACHE_HOME, or else below ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deployer"


def folder(name: str) -> Path:
    """One below it, made where it is absent: `builds` is beside uv's cache, so that what is unpacked there is linked and not copied."""
    found = private_directory(root()) / name
    found.mkdir(parents=True, exist_ok=True)
    return found


def key(*parts: object) -> str:
    """Twenty hex digits of the digest of JSON-ready values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def made(directory: Path, make: Callable[[Path], None]) -> Path:
    """The directory, filled by `make` unless it is whole already. What a killed process left half made is made anew.

    Raises:
        MachineFault: it can't be written: the disk is full, no permission.
    """
    if (directory / _COMPLETE).exists():
        return directory
    try:
        with locked(directory):
            if not (directory / _COMPLETE).exists():
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir(parents=True)
                make(directory)
                (directory / _COMPLETE).touch()
    except OSError as fault:
        raise MachineFault(f"{directory} could not be written", why=str(fault), advice="free some space, or set XDG_CACHE_HOME") from fault
    return directory


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes that goes with `path`; it ends with its holders, however they end."""
    _prepare(path)
    with path.with_name(path.name + ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        before = held()
        _of_thread.held = (*before, handle.fileno())
        try:
            yield
        finally:
            _of_thread.held = before


def held() -> tuple[int, ...]:
    """Descriptors of the locks that this thread holds. A child that writes below one inherits it: should we be killed, it still has the lock."""
    found: tuple[int, ...] = getattr(_of_thread, "held", ())
    return found


def write(path: Path, text: str) -> None:
    """Put a small file in place in one go: readers see all of it or the one before."""
    _prepare(path)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text)
        unfinished.replace(path)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def _prepare(path: Path) -> None:
    private_directory(root())
    path.parent.mkdir(parents=True, exist_ok=True)
