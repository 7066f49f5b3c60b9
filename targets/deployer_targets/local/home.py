"""A deployment's directory, held by its supervisor's lock: who can take the lock knows that there is no supervisor, and clears what one left.

The lock is on the directory itself (flock) and goes with its holder, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deployer.core.private import own_directory
from deployer.core.seam import Pauses, poll
from deployer_targets.local.names import DIRECTORY_VARIABLE, StateDirectories

_LOOKS = Pauses(shortest=0.01, longest=0.1, share=0.01)


def prepare(place: StateDirectories) -> None:
    """Make the directories, open to their user alone.

    Raises:
        MachineFault: they can't be made, or somebody else made them.
    """
    for directory in place.private:
        own_directory(directory, advice=f"{DIRECTORY_VARIABLE} names another directory")


def hold(place: StateDirectories, name: str) -> int | None:
    """Take the lock of a name, making its directory; the descriptor that keeps it, or None where a supervisor has it."""
    home = place.home(name)
    while True:
        home.mkdir(mode=0o700, exist_ok=True)
        held = _lock(home)
        if held is None or _is_still(home, held):
            return held
        os.close(held)


def clear(place: StateDirectories, name: str) -> None:
    """Remove all files of a name. Only for who holds its lock."""
    clear_contents(place, name)
    shutil.rmtree(place.home(name), ignore_errors=True)


def clear_contents(place: StateDirectories, name: str) -> None:
    """The same, but for the directory that is locked."""
    shutil.rmtree(place.models_of(name), ignore_errors=True)
    for path in place.home(name).iterdir():
        path.unlink(missing_ok=True)


def tidy(place: StateDirectories, name: str) -> bool:
    """Clear what a supervisor left that was killed; false where one lives or nothing is there."""
    if not (place.home(name).exists() or place.models_of(name).exists()):
        return False
    held = hold(place, name)
    if held is None:
        return False
    try:
        clear(place, name)
    finally:
        os.close(held)
    return True


@contextmanager
def watched(place: StateDirectories, name: str) -> Iterator[Callable[[float], bool]]:
    """A function that waits, so many seconds at most, until the supervisor that lives now has ended: it gives up the lock with its last breath."""
    try:
        directory = os.open(place.home(name), os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield lambda _: True
        return

    def released() -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def ended(seconds: float) -> bool:
        return any(poll(released, seconds=seconds, pauses=_LOOKS))

    try:
        yield ended
    finally:
        os.close(directory)


def names(place: StateDirectories) -> list[str]:
    """All names that have anything here."""
    return sorted({path.name for base in (place.sockets, place.models) if base.is_dir() for path in base.iterdir() if path.is_dir()})


def _lock(home: Path) -> int | None:
    try:
        directory = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return _lock_again(home)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(directory)
        return None
    return directory


def _lock_again(home: Path) -> int | None:
    """The directory went between the making and the opening."""
    home.mkdir(mode=0o700, exist_ok=True)
    return _lock(home)


def _is_still(home: Path, held: int) -> bool:
    """Whether the locked directory is the one that has the name."""
    try:
        return os.path.samestat(home.stat(), os.fstat(held))
    except FileNotFoundError:
        return False
