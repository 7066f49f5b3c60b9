"""What a model consists of: its files in order, and the digest that is its identity.

What counts: each file's path relative to the model's directory, its bytes, and whether its owner may execute it (a code folder may bring
programs; where an artifact store has lost that bit the model behaves otherwise, so it is another one). What doesn't: times, owners, other
permissions, the order of a listing, empty directories (no object store has them).

Left out, in the digest as in packages, because they say nothing of the model and change behind its back: `.git`, `__pycache__` and
`.DS_Store` wherever they are, and `registered_model_meta` at the top, which MLflow writes into whatever it downloads from a registry.

A link that stays inside the model's directory counts as what it leads to. One that leads out is refused: a package would carry away files
of this machine that nobody meant.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from isal import isal_zlib

from deployer.core.state import Digest
from deployer.errors import MachineFault, ModelInvalid

IGNORED = frozenset({".git", "__pycache__", ".DS_Store"})
IGNORED_AT_TOP = frozenset({"registered_model_meta"})

MOST_FILES = 100_000
"""Of one model."""
DEEPEST = 64
"""Folders within folders."""

_FORMAT = b"deployer model 1\0"
_READERS = min(4, os.cpu_count() or 1)
_PIECE = 1 << 18
_LARGE = 1 << 20
_KNOWN: dict[tuple[int, ...], tuple[bytes, int]] = {}
"""SHA-256 and CRC-32 of the large files that this process has digested, by device, inode, size and times."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model.

    Attributes:
        path: relative to the model's directory, with forward slashes.
        source: where its bytes are on this machine.
        size: bytes.
    """

    path: str
    source: Path
    size: int
    executable: bool = False


def files(directory: Path) -> tuple[ModelFile, ...]:
    """The files of a model, sorted by path: what is digested, packaged, or uploaded one by one as a prefix.

    Raises:
        ModelInvalid: a link out of the directory, a broken link or one that goes round, a socket or device, a name that isn't UTF-8; more
            files or levels than a model has.
        MachineFault: something can't be read.
    """
    root = Path(os.path.realpath(directory))
    found = tuple(islice(_walk(root, root, "", (root,)), MOST_FILES + 1))
    if len(found) > MOST_FILES:
        raise ModelInvalid(f"the model {root} has more than {MOST_FILES} files", advice="name the model's own directory, or save what it needs alone")
    return tuple(sorted(found, key=lambda file: file.path))


def content_digest(files: Iterable[ModelFile]) -> Digest:
    """The digest of a model's files, in the order that `files` gives.

    Raises:
        MachineFault: a file can't be read.
    """
    return combined(digested(files))


def digested(files: Iterable[ModelFile]) -> list[tuple[ModelFile, bytes]]:
    """Each file with its SHA-256. They are read once, several at a time, in pieces of 256 KiB.

    Raises:
        MachineFault: a file can't be read.
    """
    listed = tuple(files)
    with ThreadPoolExecutor(_READERS, thread_name_prefix="digest") as pool:
        return list(zip(listed, pool.map(_file_digest, listed), strict=True))


class DigestedAgain:
    """The SHA-256 of a file, for who reads it anyway.

    Where this process has digested a large file before, and neither its size nor its times differ, a CRC-32 is all that is taken of it:
    both together show that nothing changed since, at a tenth of the cost.
    """

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle, self._stamp = handle, _stamp(handle)
        self._known = _KNOWN.get(self._stamp)
        self._sha256, self._crc32 = hashlib.sha256(), 0

    def update(self, piece: memoryview) -> None:
        if self._known:
            self._crc32 = isal_zlib.crc32(piece, self._crc32)
        else:
            self._sha256.update(piece)

    def digest(self) -> bytes:
        """Empty where the file was changed since it was digested, or while it was read."""
        if _stamp(self._handle) != self._stamp:
            return b""
        if self._known is None:
            return self._sha256.digest()
        digest, crc32 = self._known
        return digest if crc32 == self._crc32 else b""


def ignored(path: str) -> bool:
    """Whether a file at this path, relative to the model's directory, is left out."""
    return path in IGNORED_AT_TOP or not IGNORED.isdisjoint(path.split("/"))


def combined(digests: Iterable[tuple[ModelFile, bytes]]) -> Digest:
    """The model's digest from its files and the SHA-256 of each, for who reads the files anyway."""
    whole = hashlib.sha256(_FORMAT)
    for file, digest in digests:
        whole.update(digest + (b"x" if file.executable else b"-") + file.path.encode() + b"\0")
    return Digest(f"sha256:{whole.hexdigest()}")


def _walk(root: Path, directory: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[ModelFile]:
    """The files below one real directory; `above` are the real directories that lead to it, itself included."""
    if len(above) > DEEPEST:
        raise ModelInvalid(f"the model {root} has folders within folders, more than {DEEPEST} levels", advice="save it with fewer")
    try:
        with os.scandir(directory) as listing:
            entries = list(islice(listing, MOST_FILES + 1))
    except OSError as error:
        raise unreadable(directory, error) from error
    for entry in entries:
        path = prefix + entry.name
        if entry.name in IGNORED or path in IGNORED_AT_TOP:
            continue
        if not _is_utf8(entry.name):
            raise ModelInvalid(f"{path!r} in the model {root} has a name that is not UTF-8", advice="rename it, and save the model again")
        source = _followed(root, Path(entry.path), path) if entry.is_symlink() else Path(entry.path)
        try:
            status = source.stat()
        except OSError as error:
            raise unreadable(source, error) from error
        if stat.S_ISDIR(status.st_mode):
            if source in above:
                raise ModelInvalid(f"{path} in the model {root} is a link to a directory that holds it", advice="remove the link")
            yield from _walk(root, source, f"{path}/", (*above, source))
        elif stat.S_ISREG(status.st_mode):
            yield ModelFile(path, source, status.st_size, bool(status.st_mode & stat.S_IXUSR))
        else:
            raise ModelInvalid(f"{path} in the model {root} is neither a file nor a directory", advice="remove it")


def _followed(root: Path, link: Path, path: str) -> Path:
    """What a link leads to, by its real path."""
    target = Path(os.path.realpath(link))
    if not target.is_relative_to(root):
        raise ModelInvalid(f"{path} in the model {root} is a link that leads out of it, to {target}", advice="put a copy in its place")
    if not target.exists():
        raise ModelInvalid(f"{path} in the model {root} is a link to {target}, which is not there", advice="remove the link, or save the model again")
    return target


def _file_digest(file: ModelFile) -> bytes:
    buffer, sha256, crc32 = memoryview(bytearray(min(_PIECE, file.size + 1))), hashlib.sha256(), 0
    try:
        with file.source.open("rb", buffering=0) as handle:
            stamp = _stamp(handle)
            while count := handle.readinto(buffer):
                sha256.update(buffer[:count])
                crc32 = isal_zlib.crc32(buffer[:count], crc32)
            if file.size >= _LARGE and _stamp(handle) == stamp:
                _KNOWN[stamp] = (sha256.digest(), crc32)
            return sha256.digest()
    except OSError as error:
        raise unreadable(file.source, error) from error


def _stamp(handle: IO[bytes]) -> tuple[int, ...]:
    """Differs once a file was written to or another took its place."""
    status = os.fstat(handle.fileno())
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def unreadable(path: Path, error: OSError) -> MachineFault:
    """The error for a file of this machine that can't be read."""
    return MachineFault(f"{path} can't be read: {error.strerror or error}", advice="look at its permissions and at the disk")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
