"""A model in an archive: its files taken out of it by the list of what was deployed, and nothing else."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Callable

from deployer_scoring.errors import LoadError
from deployer_scoring.fetching.files import WantedFile, settle

_MODEL = "MLmodel"


def unpack(archive: Path, files: list[WantedFile], directory: Path, source: str) -> None:
    """Take the files of a list out of an archive; a folder around the model is left out.

    Raises:
        LoadError: It is no archive, or hasn't got them, or has others in their place.
    """
    try:
        with _members(archive) as found:
            names = {_clean(name): name for name in found}
            top = min((name for name in names if PurePosixPath(name).name == _MODEL), key=lambda name: name.count("/"), default="")
            prefix = top[: -len(_MODEL)]
            wanted = {names[prefix + each.path]: each for each in files if prefix + each.path in names}
            if len(wanted) < len(files):
                lacking = next(each.path for each in files if prefix + each.path not in names)
                raise LoadError(f"{source} has no {lacking}, which was deployed")
            for name in found:  # in the archive's order: it is read once
                if name in wanted:
                    _take(found[name], wanted[name], directory, source)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise LoadError(f"{source} is no archive that can be read: {error}") from error


@contextmanager
def _members(archive: Path) -> Iterator[dict[str, Callable[[], IO[bytes]]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield {each.filename: partial(opened.open, each) for each in opened.infolist() if not each.is_dir()}
        return
    with tarfile.open(archive) as tar:
        yield {each.name: partial(_content, tar, each) for each in tar.getmembers() if not each.isdir()}


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """Of a file, or of the one that a link in the archive leads to."""
    try:
        found = tar.extractfile(member)
    except KeyError:
        found = None
    if found is None:
        raise LoadError(f"{member.name} in the archive is no file")
    return found


def _take(content: Callable[[], IO[bytes]], file: WantedFile, directory: Path, source: str) -> None:
    target = directory / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with content() as whole, part.open("wb") as written:
        shutil.copyfileobj(whole, written, 1 << 20)
    settle(file, part, target, source)


def _clean(name: str) -> str:
    return str(PurePosixPath(name))
