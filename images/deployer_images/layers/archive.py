"""Files to a layer: a tar compressed by gzip. The same files give the same bytes: sorted, of root, without times.

gzip runs on all cores: pieces of a fixed size are compressed apart and put into one stream, so that how many cores there are can't be seen
in it. The digest of the tar is the same everywhere; that of the compressed stream wherever the same zlib compresses.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tarfile
import zlib
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from deployer.core.state import Digest

_PIECE = 1024 * 1024
_LEVEL = 4
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_END = b"\x03\x00"  # an empty last block


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the image.

    Attributes:
        name: from the root, without a slash before it.
        source: where its content is, or the content.
        link: where a symbolic link leads; then there is no content.
    """

    name: str
    source: Path | bytes = b""
    executable: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as manifests and configs speak of it.

    Attributes:
        digest: of the compressed bytes, of which there are `size`.
        diff_id: of the tar, of which there are `unpacked` bytes.
    """

    digest: Digest
    diff_id: Digest
    size: int
    unpacked: int


def write_layer(entries: Iterable[Entry], target: IO[bytes]) -> Layer:
    """Write the files as a layer, with the folders that they lie in; memory does not depend on their size."""
    listed = {entry.name: entry for entry in entries}
    folders = {str(parent) for name in listed for parent in PurePosixPath(name).parents} - {"."}
    with _Gzip(target) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(folders | listed.keys(), key=lambda name: name.split("/")):
            _add(tar, name, listed.get(name))
    return stream.layer


def pack_directory(root: Path, target: IO[bytes]) -> Layer:
    """A system's root directory as a layer, with its owners, modes and times; devices and sockets are left out."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uname = member.gname = ""
        member.mtime = int(member.mtime)
        inside = member.name.split("/")[0] in ("proc", "sys", "dev") and "/" in member.name
        return None if inside or member.ischr() or member.isblk() or member.isfifo() else member

    with _Gzip(target) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for part in sorted(root.iterdir()):
            tar.add(part, part.name, filter=plain)
    return stream.layer


def write_compressed(plain: IO[bytes], target: IO[bytes]) -> Layer:
    """A tar that isn't compressed, as a layer."""
    with _Gzip(target) as stream:
        while piece := plain.read(_PIECE):
            stream.write(piece)
    return stream.layer


def _add(tar: tarfile.TarFile, name: str, entry: Entry | None) -> None:
    member = tarfile.TarInfo(name)
    if entry is None:
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
        return
    if entry.link:
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, entry.link
        tar.addfile(member)
        return
    member.mode = 0o755 if entry.executable else 0o644
    with entry.source.open("rb") if isinstance(entry.source, Path) else io.BytesIO(entry.source) as content:
        member.size = content.seek(0, os.SEEK_END)
        content.seek(0)
        tar.addfile(member, content)


class _Gzip(io.RawIOBase):
    """A stream that compresses what is written to it on all cores, and counts both sides."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._pool = ThreadPoolExecutor(max(os.cpu_count() or 1, 1))
        self._most = 2 * max(os.cpu_count() or 1, 1)
        self._waiting: deque[Future[bytes]] = deque()
        self._buffer = bytearray()
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()
        self._sum = self._unpacked = self._size = 0
        self._put(_HEADER)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._buffer += data
        while len(self._buffer) >= _PIECE:
            self._compress(bytes(self._buffer[:_PIECE]))
            del self._buffer[:_PIECE]
        return len(data)

    def tell(self) -> int:
        return self._unpacked + len(self._buffer)

    def close(self) -> None:
        if self.closed:
            return
        try:
            if self._buffer:
                self._compress(bytes(self._buffer))
                self._buffer.clear()
            while self._waiting:
                self._put(self._waiting.popleft().result())
            self._put(_END + struct.pack("<LL", self._sum, self._unpacked & 0xFFFFFFFF))
        finally:
            self._pool.shutdown(cancel_futures=True)
            super().close()

    @property
    def layer(self) -> Layer:
        """What was written, once it is closed."""
        return Layer(_digest(self._packed.hexdigest()), _digest(self._plain.hexdigest()), self._size, self._unpacked)

    def _compress(self, piece: bytes) -> None:
        self._waiting.append(self._pool.submit(_compressed, piece))
        self._plain.update(piece)
        self._sum = zlib.crc32(piece, self._sum)
        self._unpacked += len(piece)
        while len(self._waiting) > self._most:
            self._put(self._waiting.popleft().result())

    def _put(self, data: bytes) -> None:
        self._target.write(data)
        self._packed.update(data)
        self._size += len(data)


def _compressed(piece: bytes) -> bytes:
    """A piece as blocks of a stream that goes on, which refer to nothing before it."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)


def _digest(text: str) -> Digest:
    return Digest(f"sha256:{text}")
