"""Directories that are one user's alone: what others could read there are models and secrets, what they could write would be run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from deployer.errors import MachineFault

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_directory(directory: Path) -> Path:
    """The directory, made where it isn't there, and closed to all but its user; one of somebody else's is left as it is.

    Raises:
        OSError: it can't be made.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid == os.getuid() and found.st_mode & _OTHERS:
        directory.chmod(0o700)
    return directory


def own_directory(directory: Path, *, advice: str) -> Path:
    """The same for what only this user may have put there.

    Raises:
        MachineFault: it can't be made, is somebody else's, or a link, which anybody may set in a directory for all.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()  # before it is touched: a link may lead anywhere
        if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
            raise MachineFault(f"{directory} belongs to somebody else", advice=advice)
        return private_directory(directory)
    except OSError as error:
        raise MachineFault(f"{error.filename or directory} can't be made: {error.strerror}", advice=advice) from error
