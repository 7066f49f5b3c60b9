"""Unpacking a model that comes as one file: tar in any compression, or zip. Nothing is written outside the directory given, nor without end."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from deployer.artifacts import cache
from deployer.artifacts.content import DEEPEST, MOST_FILES
from deployer.errors import ModelInvalid
from deployer_scoring.model.mlmodel import FILE

MOST_TIMES = 200
"""How many times its size an archive may unpack to. Weights shrink to a half, text to a tenth; deflate at best to a thousandth."""
FREE_OF_RATIO = 1 << 28
"""Bytes that any archive may unpack to."""

_PIECE = 1 << 20
_LARGEST_HEADER = 1 << 20
_MOST_PADDING = 1 << 26
_LONGEST_NAME, _LONGEST_PATH = 255, 1024
_MOST_OF_DIRECTORY = 1 << 26  # of a zip's central directory, which is held whole
_OPENERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x5d\x00\x00": lzma.LZMAFile,
}
# What tarfile and zipfile raise at bytes that aren't theirs; an OSError without a number is a decompressor's.
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, OverflowError, IndexError, KeyError),
)


def unpack(archive: IO[bytes], directory: Path, uri: str) -> None:
    """Write the archive's files below a directory. Links, devices, paths that lead out and paths that stand twice are refused.

    Raises:
        ModelInvalid: no archive, a broken one, one with such members, or one that unpacks to far more than its size.
        MachineFault: the disk has no room for it.
        OSError: the disk is full.
    """
    written = _Written(directory, uri, _size(archive))
    try:
        for name, executable, content in _members(archive, uri):
            written.write(name, executable, content)
    except _BROKEN as error:
        raise _broken(uri, error) from error
    except OSError as error:
        if error.errno is None:
            raise _broken(uri, error) from error
        raise


def model_below(directory: Path) -> Path:
    """The directory with the MLmodel: this one, or the only one in it that has one (archives often hold a folder)."""
    if (directory / FILE).exists():
        return directory
    below = [path.parent for path in directory.glob(f"*/{FILE}")]
    return below[0] if len(below) == 1 else directory


class _Written:
    """What was written so far, and how much more may be."""

    def __init__(self, directory: Path, uri: str, size: int) -> None:
        self._directory, self._uri = directory, uri
        directory.mkdir(parents=True, exist_ok=True)
        self._left = max(FREE_OF_RATIO, MOST_TIMES * size)
        self._seen: dict[str, bool] = {}  # paths as file systems that ignore case have them, and whether it is a file

    def write(self, name: str, executable: bool, content: IO[bytes]) -> None:
        path = self._entered(name)
        target = self._directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as handle:
            while piece := content.read(_PIECE):
                self._left -= len(piece)
                if self._left < 0:
                    raise ModelInvalid(
                        f"{self._uri} unpacks to more than {MOST_TIMES} times its size", advice="name the model's directory, or pack it again"
                    )
                cache.look_for_room(self._directory, len(piece))
                handle.write(piece)
        if executable:
            target.chmod(0o755)

    def _entered(self, name: str) -> PurePosixPath:
        path = _inside(name, self._uri)
        if len(self._seen) > MOST_FILES:
            raise ModelInvalid(f"{self._uri} holds more than {MOST_FILES} files", advice="pack the model's directory alone")
        parts = [_same(part) for part in path.parts]
        folders = ["/".join(parts[:count]) for count in range(1, len(parts))]
        whole = "/".join(parts)
        if whole in self._seen or any(self._seen.get(folder) for folder in folders):
            raise ModelInvalid(
                f"{self._uri} holds {name} twice, or under a name that many file systems take for the same", advice="pack the model's directory again"
            )
        self._seen.update(dict.fromkeys(folders, False))
        self._seen[whole] = True
        return path


Member = tuple[str, bool, IO[bytes]]
"""A file's path in the archive, whether it's executable, its bytes."""


def _members(archive: IO[bytes], uri: str) -> Iterator[Member]:
    archive.seek(0)
    head = archive.read(6)
    archive.seek(0)
    opener = next((opens for magic, opens in _OPENERS.items() if head.startswith(magic)), None)
    stream = _Stream(opener(archive) if opener else archive)
    # A zip is known by its end, so a tar whose last member is one (skops files are) passes for a zip as well.
    if _is_tar(stream):
        return _tarred(stream, uri)
    archive.seek(0)
    if zipfile.is_zipfile(archive):
        return _zipped(archive, uri)
    raise ModelInvalid(f"{uri} is neither a tar nor a zip archive", advice="name an archive of a model directory, or the directory itself")


class _Stream:
    """A tar, decompressed, of which nothing is read whole but what is small: tarfile takes a header of any size into memory."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            raise tarfile.HeaderError(f"a header takes {size} bytes")
        found: bytes = self._file.read(size)
        return found


def _is_tar(stream: _Stream) -> bool:
    try:
        first = stream.read(tarfile.BLOCKSIZE)
        stream.seek(0)
        tarfile.TarInfo.frombuf(first, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, zlib.error, lzma.LZMAError, EOFError, ValueError):
        return False
    except OSError as error:
        if error.errno is not None:
            raise
        return False
    return True


def _tarred(stream: Any, uri: str) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r:") as opened:
        for count, member in enumerate(opened):
            if count > 2 * MOST_FILES:
                raise ModelInvalid(f"{uri} holds more than {2 * MOST_FILES} entries", advice="pack the model's directory alone")
            opened.members.clear()  # type: ignore[attr-defined]  # none is asked for again
            if member.isdir():
                continue
            content = opened.extractfile(member) if member.isfile() else None
            if content is None:
                raise ModelInvalid(f"{uri} holds {member.name}, which is a link or a device", advice="pack it with tar --dereference")
            yield member.name, bool(member.mode & stat.S_IXUSR), content
    for _ in range(_MOST_PADDING // _PIECE):  # the checksum of what is compressed stands at its very end
        if not stream.read(_PIECE):
            break


def _zipped(archive: IO[bytes], uri: str) -> Iterator[Member]:
    if _directory_size(archive) > _MOST_OF_DIRECTORY:
        raise ModelInvalid(f"{uri} holds more than {MOST_FILES} files", advice="pack the model's directory alone")
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            mode = member.external_attr >> 16
            if member.is_dir():
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise ModelInvalid(f"{uri} holds {member.filename}, which is a link or a device", advice="pack it with what the link leads to")
            with opened.open(member) as content:
                yield member.filename, bool(mode & stat.S_IXUSR), content


def _directory_size(archive: IO[bytes]) -> int:
    """Bytes of a zip's central directory, as its end says: what comes before that end at most."""
    size = _size(archive)
    archive.seek(max(0, size - (1 << 16) - 22))
    tail = archive.read()
    at = tail.rfind(b"PK\x05\x06")
    archive.seek(0)
    stated = struct.unpack_from("<I", tail, at + 12)[0] if 0 <= at <= len(tail) - 22 else 0
    return min(int(stated), size)


def _inside(name: str, uri: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise ModelInvalid(f"{uri} holds {name}, which leads out of the directory it is unpacked to", advice="pack the model's directory again")
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise ModelInvalid(f"{uri} holds {name!r}, a name that is not UTF-8", advice="rename it, and pack it again") from None
    if len(encoded) > _LONGEST_PATH or len(path.parts) > DEEPEST or any(len(part.encode()) > _LONGEST_NAME for part in path.parts):
        raise ModelInvalid(f"{uri} holds {name[:60]}…, which is too long a path", advice="rename it, and pack it again")
    return path


def _same(part: str) -> str:
    """A name as file systems have it that ignore case and how letters are composed."""
    return unicodedata.normalize("NFC", part.casefold())


def _size(archive: IO[bytes]) -> int:
    at = archive.tell()
    size = archive.seek(0, os.SEEK_END)
    archive.seek(at)
    return size


def _broken(uri: str, error: Exception) -> ModelInvalid:
    return ModelInvalid(f"{uri} is a broken archive: {error or type(error).__name__}", advice="make or fetch it again")
