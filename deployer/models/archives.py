"""Unpacking a model that comes as one file: tar in any compression, or zip. Nothing is written outside the directory given."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from deployer.errors import ModelInvalid
from deployer_scoring.model.mlmodel import FILE

_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


def unpack(archive: IO[bytes], directory: Path, uri: str) -> None:
    """Write the archive's files below a directory; links, devices and paths that lead out are refused.

    Raises:
        ModelInvalid: no archive, a broken one, or one with such members.
        OSError: the disk is full.
    """
    try:
        for name, executable, content in _members(archive, uri):
            target = directory / _inside(name, uri)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as handle:
                shutil.copyfileobj(content, handle, 1 << 20)
            if executable:
                target.chmod(0o755)
    except _BROKEN as error:
        raise ModelInvalid(f"{uri} is a broken archive: {error or type(error).__name__}", advice="make or fetch it again") from error


def model_below(directory: Path) -> Path:
    """The directory with the MLmodel: this one, or the only one in it that has one (archives often hold a folder)."""
    if (directory / FILE).exists():
        return directory
    below = [path.parent for path in directory.glob(f"*/{FILE}")]
    return below[0] if len(below) == 1 else directory


Member = tuple[str, bool, IO[bytes]]
"""A file's path in the archive, whether it's executable, its bytes."""


def _members(archive: IO[bytes], uri: str) -> Iterator[Member]:
    # A zip is known by its end, so a tar whose last member is one (skops files are) passes for a zip as well.
    for known, members in ((tarfile.is_tarfile, _tarred), (zipfile.is_zipfile, _zipped)):
        archive.seek(0)
        recognised = known(archive)
        archive.seek(0)
        if recognised:
            return members(archive, uri)
    raise ModelInvalid(f"{uri} is neither a tar nor a zip archive", advice="name an archive of a model directory, or the directory itself")


def _tarred(archive: IO[bytes], uri: str) -> Iterator[Member]:
    with tarfile.open(fileobj=archive, mode="r:*") as opened:
        for member in opened:
            if member.isdir():
                continue
            content = opened.extractfile(member) if member.isfile() else None
            if content is None:
                raise ModelInvalid(f"{uri} holds {member.name}, which is a link or a device", advice="pack it with tar --dereference")
            yield member.name, bool(member.mode & stat.S_IXUSR), content


def _zipped(archive: IO[bytes], uri: str) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            mode = member.external_attr >> 16
            if member.is_dir():
                continue
            if stat.S_ISLNK(mode):
                raise ModelInvalid(f"{uri} holds {member.filename}, which is a link", advice="pack it with what the link leads to")
            with opened.open(member) as content:
                yield member.filename, bool(mode & stat.S_IXUSR), content


def _inside(name: str, uri: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ModelInvalid(f"{uri} holds {name}, which leads out of the directory it is unpacked to", advice="pack the model's directory again")
    return path
