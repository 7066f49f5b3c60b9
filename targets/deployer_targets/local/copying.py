"""A model's files copied to where they stay as they are, and digested on the way: a source that changed meanwhile is found out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from deployer.artifacts.content import ModelFile, combined, files
from deployer.core.state import Digest
from deployer.errors import ModelInvalid

_PIECE = 1 << 20
_TOLD = 100
"""How often the progress is told, at most."""


def copied(source: Path, target: Path, *, expecting: Digest, progress: Callable[[int, int], None]) -> None:
    """Copy the files of a model to a new directory.

    Args:
        progress: told bytes done, bytes in all.

    Raises:
        ModelInvalid: they aren't what `expecting` is the digest of.
        OSError: the disk is full, or a file can't be read.
    """
    listed = files(source)
    total, done, told = sum(file.size for file in listed), 0, 0
    target.mkdir(parents=True)
    seen = []
    for file in listed:
        digest = hashlib.sha256()
        for piece in _copied(file, target / file.path):
            digest.update(piece)
            done += len(piece)
            if done - told >= total / _TOLD:
                told = done
                progress(done, total)
        seen.append((file, digest.digest()))
    if combined(seen) != expecting:
        raise ModelInvalid(f"the model changed while it was being copied, in {source}", advice="run the command again once nothing writes there")


def _copied(file: ModelFile, target: Path) -> Iterator[memoryview]:
    """The pieces of a file, in one buffer, each once it is written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    buffer = memoryview(bytearray(min(_PIECE, max(file.size, 1))))
    with file.source.open("rb", buffering=0) as reading, target.open("wb", buffering=0) as writing:
        while count := reading.readinto(buffer):
            left = buffer[:count]
            while left:
                left = left[writing.write(left) :]
            yield buffer[:count]
    target.chmod(0o755 if file.executable else 0o644)
