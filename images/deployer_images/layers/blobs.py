"""Blobs on this machine, by digest: what was downloaded or packed once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

from deployer.core.state import Digest
from deployer.errors import MachineFault
from deployer_images import cache

Said = TypeVar("Said")


def kept(digest: Digest, write: Callable[[IO[bytes]], object]) -> Path:
    """The file of a blob, written unless it is here; whose bytes don't match is refused.

    Raises:
        MachineFault: what was written isn't that blob, or the disk is full.
    """
    file = _folder() / digest.removeprefix("sha256:")
    if not file.exists():
        made(write, digest)
    return file


def made(write: Callable[[IO[bytes]], Said], wanted: Digest | None = None) -> tuple[Path, Said]:
    """The file of what is written, kept under its digest, and what `write` says of it.

    Args:
        wanted: the digest that it must have.
    """
    handle, name = tempfile.mkstemp(dir=_folder(), prefix=".unfinished-")
    try:
        with os.fdopen(handle, "w+b") as stream:
            said = write(stream)
            stream.seek(0)
            digest = Digest("sha256:" + hashlib.file_digest(stream, "sha256").hexdigest())
        if wanted not in (None, digest):
            raise MachineFault(f"the layer {wanted} arrived with other bytes", why=f"their digest is {digest}", advice="run the same command again")
        file = _folder() / digest.removeprefix("sha256:")
        Path(name).replace(file)
    except OSError as fault:
        raise MachineFault(f"{_folder()} could not be written", why=str(fault), advice="free some space, or set XDG_CACHE_HOME") from fault
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
    return file, said


def _folder() -> Path:
    return cache.folder("blobs")
