"""A model as one stream of bytes: a tar, plain or compressed, that is computed while it is read and never held whole.

The same files give the same bytes: sorted, owned by nobody, without times, modes reduced to executable or not. A directory comes before
what is in it. Compression is deflate's fastest level, block by block on two threads (ISA-L: 400 to 600 MB/s a core where zlib gives 35 to
150), and what hardly shrinks is stored as it is. Its bytes are the same for the same release of the compressor on the same sort of
processor, so who resumes an upload elsewhere compares digests part by part. A model's identity never rests on them
(deployer.artifacts.content).
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Protocol

from isal import isal_zlib

from deployer.artifacts.content import DigestedAgain, ModelFile, combined, files, unreadable
from deployer.core.state import Digest
from deployer.errors import ModelInvalid

BLOCK = 1 << 18
"""Bytes of a chunk of the plain tar, the last excepted. Larger ones shrink by half a percent more and take three times the memory."""

_COMPRESSORS = 2
_AHEAD = 8
_SAMPLE = 4 << 10
# Deflate, no name, no time, "fastest" as compression, unknown system: nothing of this machine.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_LAST_BLOCK = b"\x03\x00"
_RECORD = tarfile.RECORDSIZE

Chunk = bytes | memoryview
"""A piece of a stream: bytes that nobody writes to any more."""


class Package(Protocol):
    """A stream that can be read more than once, the same each time."""

    @property
    def size_estimate(self) -> int: ...

    def __iter__(self) -> Iterator[Chunk]: ...


class Tar:
    """A plain tar (POSIX pax) of a model's files.

    Args:
        directory: the model's.
        prefix: a relative directory inside the archive to put everything below, "opt/deployer/model".
        expecting: the model's digest. The files are digested once more as they go by; reading fails at the end where they changed since.

    Raises:
        ModelInvalid: as `files`; while it's read, where a file changed meanwhile.
        MachineFault: a file can't be read.
    """

    def __init__(self, directory: Path, *, prefix: str = "", expecting: Digest | None = None) -> None:
        self.files = files(directory)
        self._directory = directory
        self._expecting = expecting
        self._below = PurePosixPath(prefix)
        if self._below.is_absolute() or ".." in self._below.parts:
            raise ValueError(f"a prefix is a relative directory, not {prefix}")

    @property
    def size(self) -> int:
        """Bytes, exactly."""
        listed = sum(len(self._header(member)) for member in self._members())
        return -(-(listed + sum(_padded(file.size) for file in self.files) + 2 * tarfile.BLOCKSIZE) // _RECORD) * _RECORD

    @property
    def size_estimate(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks of `BLOCK` bytes, the reader's to keep; files are read straight into them."""
        block, filled = memoryview(bytearray(BLOCK)), 0
        for source in self._sources():
            while count := source.readinto(block[filled:]):
                filled += count
                if filled == BLOCK:
                    yield block
                    block, filled = memoryview(bytearray(BLOCK)), 0
        if filled:
            yield block[:filled]

    def _sources(self) -> Iterator[_Source]:
        """What the tar consists of, in order, each to be read to its end before the next."""
        written, seen = 0, list[tuple[ModelFile, bytes]]()
        for member in self._members():
            header = self._header(member)
            yield io.BytesIO(header)
            written += len(header)
            if isinstance(member, ModelFile):
                with self._opened(member) as handle:
                    content = _Content(member, handle)
                    yield content
                    if content.differs():
                        raise self._changed(member.path)
                    seen.append((member, content.digest()))
                yield io.BytesIO(bytes(_padded(member.size) - member.size))
                written += _padded(member.size)
        if self._expecting and combined(seen) != self._expecting:
            raise self._changed("the model")
        end = 2 * tarfile.BLOCKSIZE
        yield io.BytesIO(bytes(end + -(written + end) % _RECORD))

    @staticmethod
    def _opened(file: ModelFile) -> io.FileIO:
        try:
            return file.source.open("rb", buffering=0)
        except OSError as error:
            raise unreadable(file.source, error) from error

    def _changed(self, what: str) -> ModelInvalid:
        return ModelInvalid(
            f"{what} changed while it was being packaged, in {self._directory}", advice="run the command again once nothing writes there"
        )

    def _members(self) -> Iterator[ModelFile | PurePosixPath]:
        """Files in order, each directory once, before what is in it."""
        made = {PurePosixPath()}
        for file in self.files:
            for directory in reversed((self._below / file.path).parents):
                if directory not in made:
                    made.add(directory)
                    yield directory
            yield file

    def _header(self, member: ModelFile | PurePosixPath) -> bytes:
        if isinstance(member, ModelFile):
            info = tarfile.TarInfo(str(self._below / member.path))
            info.size, info.mode = member.size, 0o755 if member.executable else 0o644
        else:
            info = tarfile.TarInfo(str(member))
            info.type, info.mode = tarfile.DIRTYPE, 0o755
        return info.tobuf(tarfile.PAX_FORMAT)


class _Source(Protocol):
    def readinto(self, buffer: memoryview, /) -> int: ...


class _Content:
    """A file's bytes, as many as were listed, digested while they go by."""

    def __init__(self, file: ModelFile, handle: io.FileIO) -> None:
        self._file, self._handle, self._left = file, handle, file.size
        self._digested = DigestedAgain(handle)

    def readinto(self, buffer: memoryview) -> int:
        try:
            count = self._handle.readinto(buffer[: self._left]) or 0
        except OSError as error:
            raise unreadable(self._file.source, error) from error
        self._digested.update(buffer[:count])
        self._left -= count
        return count

    def differs(self) -> bool:
        """Whether there are fewer bytes than were listed, or more."""
        return bool(self._left or self._handle.read(1))

    def digest(self) -> bytes:
        return self._digested.digest()


class TarGz:
    """The same, compressed: one gzip member, of blocks that are compressed apart, up to eight of them ahead of who reads.

    Takes and raises what `Tar` does. Holds some 10 MB at most.
    """

    def __init__(self, directory: Path, *, prefix: str = "", expecting: Digest | None = None) -> None:
        self.tar = Tar(directory, prefix=prefix, expecting=expecting)

    @property
    def files(self) -> tuple[ModelFile, ...]:
        return self.tar.files

    @property
    def size_estimate(self) -> int:
        """Bytes at most: what it comes to where nothing shrinks."""
        return gzipped_at_most(self.tar.size)

    def __iter__(self) -> Iterator[Chunk]:
        return gzipped(self.tar)


class Hashed:
    """Passes chunks on, and knows their digest and size once they were all read.

    `Hashed(TarGz(directory))` gives an archive's digest in the pass that uploads it; `gzipped(plain := Hashed(Tar(directory)))` that of the
    uncompressed archive, a layer's diff id, too.
    """

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = chunks
        self._digest: Digest | None = None
        self.size = 0

    def __iter__(self) -> Iterator[Chunk]:
        whole, self._digest, self.size = hashlib.sha256(), None, 0
        for chunk in self._chunks:
            whole.update(chunk)
            self.size += len(chunk)
            yield chunk
        self._digest = Digest(f"sha256:{whole.hexdigest()}")

    @property
    def digest(self) -> Digest:
        if self._digest is None:
            raise ValueError("the digest is known once all chunks were read")
        return self._digest


def gzipped(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Compress chunks to one gzip member with no name and no time. Same chunks, same bytes."""
    checksum, size = 0, 0
    ahead: deque[Future[tuple[Chunk, ...]]] = deque()
    with ThreadPoolExecutor(_COMPRESSORS, thread_name_prefix="gzip") as pool:
        yield _GZIP_HEADER
        for chunk in chunks:
            checksum, size = isal_zlib.crc32(chunk, checksum), size + len(chunk)
            ahead.append(pool.submit(_deflated, chunk))
            if len(ahead) > _AHEAD:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()
    yield _LAST_BLOCK + struct.pack("<LL", checksum, size & 0xFFFFFFFF)


def gzipped_at_most(size: int) -> int:
    """The most bytes that `gzipped` makes of `size` bytes in chunks of `BLOCK`."""
    blocks = -(-size // BLOCK)
    return size + size // 1024 + 64 * blocks + len(_GZIP_HEADER) + len(_LAST_BLOCK) + 8


class Filler:
    """Fills buffers, one after the other, from chunks."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks, self._left = iter(chunks), memoryview(b"")

    def fill(self, buffer: bytearray) -> bool:
        """Whether it is full; where the chunks end before, it is cut to what there was."""
        filled = 0
        with memoryview(buffer) as room:
            while filled < len(room) and self._more():
                count = min(len(room) - filled, len(self._left))
                room[filled : filled + count] = self._left[:count]
                self._left, filled = self._left[count:], filled + count
        full = filled == len(buffer)
        del buffer[filled:]
        return full

    def _more(self) -> bool:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._left = memoryview(chunk)
        return True


def _deflated(chunk: Chunk) -> tuple[Chunk, ...]:
    """One chunk as deflate blocks that need nothing before them and end on a whole byte; stored where a sample of it hardly shrinks."""
    if not _shrinks(chunk):
        return _stored(chunk)
    compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
    return compressor.compress(chunk), compressor.flush(isal_zlib.Z_FULL_FLUSH)


def _shrinks(chunk: Chunk) -> bool:
    """Whether four pieces from all over a chunk lose a tenth together: weights and what is compressed already don't."""
    if len(chunk) < 4 * _SAMPLE:
        return True
    sample = b"".join(chunk[at : at + _SAMPLE] for at in range(0, len(chunk) - _SAMPLE + 1, (len(chunk) - _SAMPLE) // 3))
    return len(isal_zlib.compress(sample, 1, -15)) < 0.9 * len(sample)


def _stored(chunk: Chunk) -> tuple[Chunk, ...]:
    """Deflate's stored blocks (RFC 1951, 3.2.4), of 65,535 bytes at most; what they hold is not copied."""
    whole = memoryview(chunk)
    pieces = (whole[at : at + 0xFFFF] for at in range(0, len(chunk), 0xFFFF))
    return tuple(part for piece in pieces for part in (struct.pack("<BHH", 0, len(piece), len(piece) ^ 0xFFFF), piece))


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
