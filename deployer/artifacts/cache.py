"""Where fetched models are kept: each under a key that changes when the source does, whole or not at all.

`$XDG_CACHE_HOME/deployer/models` (~/.cache where it isn't set) holds one directory a model. It is made beside its place and renamed into
it under a lock, so what is there is complete; what an interrupted run leaves behind is removed at once or, after a kill, by the next run
that wants the same. Nothing expires: a deployment on this machine may be serving from there. Removing the directory by hand is safe.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deployer.core.private import private_directory
from deployer.errors import MachineFault

_RESERVE = 64 << 20  # bytes of the disk that others need to go on
_FULL = {errno.ENOSPC, errno.EDQUOT}


def root() -> Path:
    """The directory that holds all fetched models."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "deployer" / "models"


def prepared() -> Path:
    """The same, made where it isn't there, and its user's alone."""
    private_directory(root().parent)
    root().mkdir(exist_ok=True)
    return root()


def kept(name: str, key: object, make: Callable[[Path], None]) -> Path:
    """The directory that is kept under a key; where it isn't there, `make` fills a fresh one.

    Two runs that want the same wait for each other, and the second finds it done.

    Args:
        name: what people see in the directory's name.
        key: all that the content depends on, JSON-ready.

    Raises:
        MachineFault: the disk is full, or the cache can't be written.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    place = root() / f"{re.sub(r'[^A-Za-z0-9._-]', '-', name)[:60].lstrip('.-') or 'model'}-{digest}"
    with machine_faults(), _locked(place):
        if not place.exists():
            _sweep()
            partial = place.with_name(f"{place.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            try:
                partial.mkdir()
                make(partial)
                partial.rename(place)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    return place


def look_for_room(directory: Path, size: int) -> None:
    """Refuse to write so many bytes more below a directory where its disk would be left without any.

    Raises:
        MachineFault: it would.
    """
    if shutil.disk_usage(directory).free - size < _RESERVE:
        raise disk_full()


@contextmanager
def machine_faults() -> Iterator[None]:
    """Turn what this machine's disk refuses into our error."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full() from error
        if error.errno in {errno.EACCES, errno.EROFS, errno.EPERM} and error.filename is not None:
            raise MachineFault(
                f"{error.filename} can't be written: {error.strerror}", advice="XDG_CACHE_HOME names another directory to keep fetched models in"
            ) from error
        raise


def disk_full() -> MachineFault:
    """The error for a model that doesn't fit this machine's disk."""
    return MachineFault(
        f"the disk that holds {root()} is full, so the model could not be fetched; nothing half-made is left",
        advice="make room, or name another directory by XDG_CACHE_HOME",
    )


def _sweep() -> None:
    """Remove what runs that were killed have half made: nobody holds its lock."""
    for partial in root().glob("*.partial"):
        with partial.with_name(f".{partial.name.removesuffix('.partial')}.lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Hold a place against other processes. The lock's file is kept: removing it would let two hold it."""
    prepared()
    with place.with_name(f".{place.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
