"""The pickles of a model, wherever they lie: plain files, joblib's compressed ones, torch's and other zips, numpy's arrays of objects, bytes within
another pickle, skops' description of what it would make.

Files are known by their first bytes, or, where those say nothing (protocol 0), by their name.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from deployer.artifacts.content import ModelFile, unreadable
from deployer_scoring.documents import load_json
from deployer_scoring.opcodes.facts import BrokenPickle, Global, PickleFacts
from deployer_scoring.opcodes.reading import MOST_OPERATIONS, read_pickle

_PICKLE_NAMES = {".pkl", ".pickle", ".joblib", ".p", ".cloudpickle", ".dill"}
_NUMPY = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 16
_DEEPEST = 4
_MOST_DECOMPRESSED = 1 << 28
_MOST_DESCRIBED = 1 << 24
_COMPRESSED: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
    b"\x5d\x00\x00": lzma.LZMAFile,
}
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


@dataclass(frozen=True, slots=True)
class PickledFile:
    """What one file of a model would make.

    Attributes:
        file: relative to the model's directory; with "!" and the member of a zip.
        kind: "pickle" or "skops".
        broken: why it can't be read, "" where it can.
        cut: whether it is a pickle whose end is missing.
    """

    file: str
    facts: PickleFacts
    kind: str = "pickle"
    broken: str = ""

    @property
    def cut(self) -> bool:
        return "in the middle" in self.broken and self.facts.protocol > 1


def pickles(files: Iterable[ModelFile], *, most: int = MOST_OPERATIONS) -> Iterator[PickledFile]:
    """What the files of a model would make when they are loaded; files that hold no pickles are passed over.

    Args:
        most: operations that are looked at in each file.

    Raises:
        MachineFault: a file can't be read.
    """
    for file in files:
        try:
            with file.source.open("rb") as handle:
                yield from _in_file(file.path, handle, most)
        except OSError as error:
            raise unreadable(file.source, error) from error


def _in_file(path: str, handle: BinaryIO, most: int) -> Iterator[PickledFile]:
    head = handle.read(8)
    handle.seek(0)
    named = PurePosixPath(path).suffix.lower() in _PICKLE_NAMES
    if head.startswith(b"PK\x03\x04"):
        yield from _in_zip(path, handle, most)
    elif head.startswith(_NUMPY):
        yield from _in_array(path, handle, most)
    elif _is_pickle(head):
        yield from _read(path, handle, most, certain=named)
    elif named:
        yield from _named_so(path, handle, head, most)


def _named_so(path: str, handle: BinaryIO, head: bytes, most: int) -> Iterator[PickledFile]:
    """A file called a pickle that doesn't begin like one: compressed by joblib, of protocol 0 or 1, or something else."""
    opened = next((opens for magic, opens in _COMPRESSED.items() if head.startswith(magic)), None)
    try:
        if opened is not None:
            yield from _read(path, cast(BinaryIO, _Limited(opened(handle))), most, certain=True)
        elif head.startswith(_ZLIB):
            content = zlib.decompressobj().decompress(handle.read(_MOST_DECOMPRESSED), _MOST_DECOMPRESSED)
            yield from _read(path, io.BytesIO(content), most, certain=True)
        else:
            yield from _read(path, handle, most, certain=True)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        yield PickledFile(path, PickleFacts(), broken=f"it can't be decompressed: {error}")


def _in_zip(path: str, handle: BinaryIO, most: int) -> Iterator[PickledFile]:
    try:
        with zipfile.ZipFile(handle) as archive:
            for name in archive.namelist():
                member = PurePosixPath(name)
                if name == "schema.json":
                    with archive.open(name) as described:
                        yield from _skops(path, described.read(_MOST_DESCRIBED))
                elif member.suffix.lower() in _PICKLE_NAMES:
                    with archive.open(name) as opened:
                        yield from _read(f"{path}!{name}", cast(BinaryIO, _Limited(opened)), most, certain=True)
                elif member.suffix == ".npy":
                    with archive.open(name) as opened:
                        yield from _in_array(f"{path}!{name}", cast(BinaryIO, _Limited(opened)), most)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError) as error:
        yield PickledFile(path, PickleFacts(), broken=f"it is a zip that can't be read: {error}")


def _in_array(path: str, handle: BinaryIO, most: int) -> Iterator[PickledFile]:
    """An array that numpy saved: a pickle follows its header where it is of objects."""
    major = handle.read(8)[6:7]
    length = int.from_bytes(handle.read(2 if major == b"\x01" else 4), "little")
    header = handle.read(min(length, _LONGEST_HEADER))
    if re.search(rb"'descr':\s*('[<>|=]?O|\[)", header) and b"O" in header:
        yield from _read(path, handle, most, certain=True)


def _read(path: str, handle: BinaryIO, most: int, *, certain: bool, depth: int = 0) -> Iterator[PickledFile]:
    """What is there, as far as it can be read. Files that merely begin like a pickle are passed over where they turn out to be none.

    One that calls something before it breaks is none of those: what it calls is called.
    """
    facts, broken = PickleFacts(), ""
    try:
        read_pickle(handle, facts, most=most)
    except _Enough:
        facts.whole = False
    except BrokenPickle as error:
        broken = str(error)
    if not broken or certain or facts.calls:
        yield PickledFile(path, facts, broken=broken)
    for data in facts.inside if depth < _DEEPEST else ():
        inner = io.BytesIO(data)
        if data.startswith(b"PK\x03\x04"):
            yield from _in_zip(path, inner, most)
        else:
            yield from _read(path, inner, most, certain=True, depth=depth + 1)
    facts.inside.clear()


class _Enough(Exception):
    """So much was decompressed."""


class _Limited:
    """What is decompressed while it is read, as far as that takes seconds: a few bytes may stand for any number."""

    def __init__(self, file: Any) -> None:
        self._file, self._at = file, 0
        self.peek = file.peek

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        self._look(size)
        data: bytes = self._file.read(size)
        self._at += len(data)
        return data

    def readline(self) -> bytes:
        self._look(0)
        line: bytes = self._file.readline(_MOST_DECOMPRESSED - self._at)
        self._at += len(line)
        return line

    def seek(self, offset: int, whence: int) -> int:
        assert whence == io.SEEK_CUR
        self._look(offset)
        self._at += offset
        self._file.seek(offset, whence)
        return self._at

    def _look(self, size: int) -> None:
        if self._at + size > _MOST_DECOMPRESSED:
            raise _Enough


def _is_pickle(head: bytes) -> bool:
    return len(head) >= 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def _skops(path: str, schema: bytes) -> Iterator[PickledFile]:
    """skops' own description: a tree of nodes, each with its class and the loader for it."""
    try:
        document = load_json(schema.decode())
    except ValueError as error:
        yield PickledFile(path, PickleFacts(), "skops", broken=f"its schema.json is not JSON: {error}")
        return
    if not isinstance(document, dict) or "__loader__" not in document:
        return  # somebody else's zip
    facts = PickleFacts()
    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            _skops_node(node, facts)
            waiting += node.values()
    yield PickledFile(path, facts, "skops")


def _skops_node(node: dict[str, Any], facts: PickleFacts) -> None:
    module, name = node.get("__module__"), node.get("__class__")
    if isinstance(module, str) and isinstance(name, str):
        facts.imports.add(made := Global(module, name))
        facts.made.add(made)
    version = node.get("_sklearn_version")
    if isinstance(version, dict) and isinstance(stated := version.get("content"), str):
        facts.sklearn_versions.add(stated.strip('"'))
