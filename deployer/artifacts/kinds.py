"""Whether a file can be what its name says, told from its first and last bytes: what can't be, no loader reads."""

from __future__ import annotations

import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import BinaryIO

from deployer.artifacts.content import ModelFile, unreadable

LFS_POINTER = "lfs-pointer"
_POINTER = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_LARGEST_POINTER = 1024
_HEAD = 64
_PULL = "fetch the files themselves: git lfs pull"
_AGAIN = "fetch the model again, or save it again"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file by itself.

    Attributes:
        code: its kind, stable, for programs.
        what: a sentence without its beginning and end: "is a Git LFS pointer, not the file".
    """

    code: str
    file: str
    what: str
    advice: str


def fault_of(file: ModelFile) -> Fault | None:
    """What is wrong with a file of a model: a pointer of Git LFS, empty, cut short, or another kind than its name says.

    Raises:
        MachineFault: it can't be read.
    """
    kind = _KINDS.get(PurePosixPath(file.path).suffix.lower())
    if kind is None and file.size > _LARGEST_POINTER:
        return None
    try:
        with file.source.open("rb") as handle:
            return _fault(file, handle, kind)
    except OSError as error:
        raise unreadable(file.source, error) from error


def _fault(file: ModelFile, handle: BinaryIO, kind: _Kind | None) -> Fault | None:
    head = handle.read(_HEAD)
    if head.startswith(_POINTER) and file.size <= _LARGEST_POINTER:
        return Fault(LFS_POINTER, file.path, "is a Git LFS pointer, not the file", _PULL)
    if kind is None:
        return None
    if not head:
        return Fault("empty-file", file.path, "is empty", _AGAIN)
    handle.seek(0)
    said = kind(handle, head, file.size)
    return Fault("wrong-file", file.path, said, _AGAIN) if said else None


_Kind = Callable[[BinaryIO, bytes, int], str]
"""What is wrong with an open file of so many bytes that begins so; "" where nothing is."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00\x00", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x04\x22\x4d\x18", b"ZF")
"""What joblib compresses begins so: gzip, bzip2, xz, lzma, zlib, lz4, and its own form of before 2017."""
_ZIP, _EMPTY_ZIP = b"PK\x03\x04", b"PK\x05\x06"
_LOOKED_AT = 8
"""Operations of a pickle of protocol 0 or 1 that must be some; few texts read as that many."""


def _pickle(handle: BinaryIO, head: bytes, size: int) -> str:
    if head.startswith((_ZIP, _EMPTY_ZIP)):
        return _zip(handle, head, size)
    if head.startswith((b"\x80", *_COMPRESSED)):
        return ""
    try:
        begins = [operation for operation, _, _ in islice(pickletools.genops(handle), _LOOKED_AT)]
    except (ValueError, OverflowError, MemoryError):
        begins = []
    return "" if begins and not begins[0].stack_before else "is no pickle: it begins with no operation of one"


def _torch(handle: BinaryIO, head: bytes, size: int) -> str:
    if head.startswith((_ZIP, _EMPTY_ZIP)):
        return _zip(handle, head, size)
    return "" if head.startswith(b"\x80") or _is_tar(handle) else "is no file of torch: neither a zip nor a pickle"


def _is_tar(handle: BinaryIO) -> bool:
    handle.seek(257)
    return handle.read(5) == b"ustar"


def _zip(handle: BinaryIO, head: bytes, size: int) -> str:
    if not head.startswith((_ZIP, _EMPTY_ZIP)):
        return "is no zip"
    try:
        with zipfile.ZipFile(handle):
            return ""
    except (zipfile.BadZipFile, NotImplementedError, ValueError, zlib.error, struct.error, EOFError) as error:
        return f"is a zip that is cut short or broken: {error}"


_JSON_BEGINS = frozenset(bytes([each]) for each in b'{["-0123456789tfnN')


def _json(handle: BinaryIO, head: bytes, size: int) -> str:
    handle.seek(max(size - _HEAD, 0))
    begin, end = head.removeprefix(b"\xef\xbb\xbf").lstrip(), handle.read().rstrip()
    if begin[:1] not in _JSON_BEGINS:
        return "is not JSON"
    closing = {b"{": b"}", b"[": b"]", b'"': b'"'}.get(begin[:1])
    lines = begin[:1] == b"{" and end.endswith(b"]")  # lines of JSON may each be of their own kind
    return "" if closing is None or end.endswith(closing) or lines else "is JSON that is cut short"


def _booster(handle: BinaryIO, head: bytes, size: int) -> str:
    text = all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)
    return "is no model of XGBoost" if text and not head.startswith((b"{", b"binf", b"bs64")) else ""


def _ubjson(handle: BinaryIO, head: bytes, size: int) -> str:
    return "" if head.startswith(b"{") else "is not UBJSON"


def _onnx(handle: BinaryIO, head: bytes, size: int) -> str:
    """Follow the fields of ONNX's outermost message, which must end where the file does."""
    place, seen = 0, 0
    while place < size and seen < _MOST_FIELDS:
        handle.seek(place)
        piece = handle.read(20)
        tag, at = _varint(piece, 0)
        number, form = tag >> 3, tag & 7
        if at == 0 or number not in _ONNX_FIELDS or form != _ONNX_FIELDS[number]:
            return "is no ONNX model" if seen == 0 else "is an ONNX model that is cut short or broken"
        value, end = _varint(piece, at)
        if end == 0:
            return "is an ONNX model that is cut short or broken"
        place += end + (value if form == _WITH_LENGTH else 0)
        seen += 1
    return "" if place == size or seen == _MOST_FIELDS else "is an ONNX model that is cut short"


_MOST_FIELDS = 10_000
_NUMBER, _WITH_LENGTH = 0, 2
_ONNX_FIELDS = {1: _NUMBER, 5: _NUMBER, **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), _WITH_LENGTH)}
"""The fields of ONNX's ModelProto by number, and how each is written."""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of protobuf's, and where it ends; 0 where it doesn't."""
    value = 0
    for index, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, at + index + 1
    return value, 0


def _parquet(handle: BinaryIO, head: bytes, size: int) -> str:
    if not head.startswith((b"PAR1", b"PARE")):
        return "is not Parquet"
    handle.seek(max(size - 4, 0))
    return "" if size >= 12 and handle.read(4) in {b"PAR1", b"PARE"} else "is Parquet that is cut short"


def _hdf5(handle: BinaryIO, head: bytes, size: int) -> str:
    """HDF5 may stand behind a block of the user's, at 512 bytes and any doubling of them."""
    place = 0
    while place < size:
        handle.seek(place)
        if handle.read(8) == b"\x89HDF\r\n\x1a\n":
            return ""
        place = place * 2 or 512
    return "is not HDF5"


def _keras(handle: BinaryIO, head: bytes, size: int) -> str:
    return _zip(handle, head, size) if head.startswith(b"PK") or not _is_hdf5(head) else ""


def _is_hdf5(head: bytes) -> bool:
    return head.startswith(b"\x89HDF")


def _safetensors(handle: BinaryIO, head: bytes, size: int) -> str:
    length = int.from_bytes(head[:8], "little")
    if size < 9 or head[8:9] != b"{":
        return "is no file of safetensors"
    return "" if 8 + length <= size else "is a file of safetensors that is cut short"


def _beginning(what: str, *begins: bytes) -> _Kind:
    return lambda handle, head, size: "" if head.startswith(begins) else f"is no {what}"


_GZIP = _beginning("gzip", b"\x1f\x8b")
_KINDS: Mapping[str, _Kind] = {
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".p", ".cloudpickle"), _pickle),
    **dict.fromkeys((".pt", ".pth"), _torch),
    **dict.fromkeys((".zip", ".npz", ".skops", ".whl", ".mar"), _zip),
    **dict.fromkeys((".h5", ".hdf5"), _hdf5),
    **dict.fromkeys((".gz", ".tgz"), _GZIP),
    ".keras": _keras,
    ".json": _json,
    ".xgb": _booster,
    ".ubj": _ubjson,
    ".onnx": _onnx,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
    ".npy": _beginning("array of numpy's", b"\x93NUMPY"),
    ".cbm": _beginning("model of CatBoost", b"CBM1"),
    ".feather": _beginning("Feather file", b"ARROW1", b"FEA1"),
    ".bz2": _beginning("bzip2", b"BZh"),
    ".xz": _beginning("xz", b"\xfd7zXZ"),
}
"""By the end of a name, what looks at the file."""
