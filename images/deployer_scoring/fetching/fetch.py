"""The model's files, where they are to be loaded from: each the one that was deployed, or the container ends and says which isn't."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, NamedTuple

from deployer_scoring.errors import LoadError
from deployer_scoring.fetching.archives import unpack
from deployer_scoring.fetching.files import WantedFile, is_whole, joined, settle
from deployer_scoring.fetching.stores import Store, opened
from deployer_scoring.fetching.uris import is_archive
from deployer_scoring.fetching.web import FilePart, NoRanges, download
from deployer_scoring.masking import without_secrets

PART = 64 << 20
"""Bytes of a large file that one connection is asked for at once."""
_LARGE = 4 * PART
_AT_ONCE = 8
_ARCHIVE = ".archive.part"


def fetch_model(uri: str, files: list[WantedFile], directory: Path, tell: Callable[[str], None]) -> None:
    """Have a model's files below a directory; those that are there already, and what has come of others, aren't fetched again.

    Args:
        uri: Where they are: the model's directory in a store or below an address, or an archive of it.

    Raises:
        LoadError: One can't be had, or isn't the one that was deployed; the disk is full.
    """
    source = without_secrets(uri).partition("?")[0]
    try:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
            there = list(pool.map(lambda each: is_whole(each, directory / each.path), files))
            lacking = [each for each, whole in zip(files, there) if not whole]
            if not lacking:
                return
            tell(f"fetching {len(lacking)} of {len(files)} files ({sum(each.size for each in lacking)} bytes) from {source}")
            store = opened(uri)
            if is_archive(uri):
                _from_archive(store, lacking, directory, source)
                return
            try:
                _from_directory(_Directory(store, directory, source), lacking, pool)
            except NoRanges:
                _from_directory(_Directory(store, directory, source, in_parts=False), lacking, pool)
    except OSError as error:
        raise LoadError(f"the model can't be kept in {directory}: {error.strerror or error}") from error


class _Directory(NamedTuple):
    """Files below an address, on their way into a directory."""

    store: Store
    directory: Path
    source: str
    in_parts: bool = True
    """Whether a large file comes over several connections: a store gives each no more than so much in a second."""

    def begins(self, file: WantedFile) -> range:
        """Where the parts begin that a file comes in."""
        return range(0, file.size, PART) if self.in_parts and file.size >= _LARGE else range(1)

    def part(self, file: WantedFile, begin: int) -> Path:
        """Where a part is kept until all are there."""
        whole = self.directory / file.path
        return whole.with_name(f"{whole.name}.part{begin if len(self.begins(file)) > 1 else ''}")

    def fetch(self, file: WantedFile, begin: int) -> None:
        """Have one part."""
        part = self.part(file, begin)
        part.parent.mkdir(parents=True, exist_ok=True)
        if file.size == 0:
            part.touch()
            return
        several = len(self.begins(file)) > 1
        size, wanted = (min(PART, file.size - begin), FilePart(begin, file.size)) if several else (file.size, None)
        download(lambda: self.store.address(file.path), part, size, f"{self.source.rstrip('/')}/{file.path}", self.store.learn, part=wanted)

    def settle(self, file: WantedFile) -> None:
        """Have the file, of which all parts are there."""
        target, parts = self.directory / file.path, [self.part(file, begin) for begin in self.begins(file)]
        whole, digest = parts[0], ""
        if len(parts) > 1:
            whole = target.with_name(f"{target.name}.part")
            digest = joined(parts, whole)
        settle(file, whole, target, self.source, digest)


def _from_directory(coming: _Directory, files: list[WantedFile], pool: ThreadPoolExecutor) -> None:
    list(pool.map(lambda job: coming.fetch(*job), [(file, begin) for file in files for begin in coming.begins(file)]))
    list(pool.map(coming.settle, files))


def _from_archive(store: Store, files: list[WantedFile], directory: Path, source: str) -> None:
    archive = directory / _ARCHIVE
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        archive.unlink()  # what an earlier container has fetched of it may be of another version
    download(lambda: store.address(""), archive, None, source, store.learn)
    try:
        unpack(archive, files, directory, source)
    finally:
        archive.unlink()
