"""The blobs of the storage accounts: their bodies in files, all else in memory."""

from __future__ import annotations

import base64
import hashlib
import itertools
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PIECE = 1024 * 1024


@dataclass(slots=True)
class Blob:
    """A block blob; its body is `file`."""

    file: Path
    size: int
    md5: str
    content_type: str
    metadata: dict[str, str]
    etag: str = ""
    modified: float = field(default_factory=time.time)
    created: float = field(default_factory=time.time)

    def pieces(self, begin: int, end: int) -> Iterator[bytes]:
        """Bytes from `begin` up to before `end`."""
        with self.file.open("rb") as opened:
            opened.seek(begin)
            while begin < end and (piece := opened.read(min(_PIECE, end - begin))):
                begin += len(piece)
                yield piece


@dataclass(slots=True)
class BlobContainer:
    """A container, with the blocks that no blob has yet."""

    blobs: dict[str, Blob] = field(default_factory=dict)
    blocks: dict[str, dict[str, Path]] = field(default_factory=dict)
    modified: float = field(default_factory=time.time)
    etag: str = ""


class BlobStore:
    """All containers, by account and name. What is written over or deleted stays readable for who reads it already."""

    def __init__(self, directory: Path) -> None:
        self.lock = threading.RLock()
        self._directory = directory
        self._numbers = itertools.count(1)
        self._accounts: dict[str, dict[str, BlobContainer]] = {}

    def containers(self, account: str) -> dict[str, BlobContainer]:
        with self.lock:
            return self._accounts.setdefault(account, {})

    def find(self, account: str, container: str) -> BlobContainer | None:
        return self.containers(account).get(container)

    def create(self, account: str, name: str) -> BlobContainer:
        with self.lock:
            made = self.containers(account)[name] = BlobContainer(etag=self.new_etag())
            return made

    def below(self, account: str, container: str, prefix: str) -> list[tuple[str, Blob]]:
        """The blobs whose names begin so, in order."""
        with self.lock:
            found = self.find(account, container)
            return sorted((name, blob) for name, blob in (found.blobs.items() if found else ()) if name.startswith(prefix))

    def copy(self, account: str, container: str, path: str, directory: Path) -> int:
        """The blob, or all below it, as files in a directory, the last part of the path with them; how many there were."""
        path = path.strip("/")
        parent = path.rpartition("/")[0]
        found = [(name, blob) for name, blob in self.below(account, container, path) if name == path or name.startswith(f"{path}/")]
        for name, blob in found:
            target = directory / name[len(parent) :].lstrip("/")
            if not target.resolve().is_relative_to(directory.resolve()):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(blob.file, target)
        return len(found)

    def write(self, stream: Iterable[bytes]) -> tuple[Path, int, str]:
        """A body into a file of its own: the file, its size, its MD5 as Content-MD5 has it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        file, size, digest = self._directory / str(next(self._numbers)), 0, hashlib.md5(usedforsecurity=False)
        with file.open("wb") as opened:
            for piece in stream:
                opened.write(piece)
                digest.update(piece)
                size += len(piece)
        return file, size, base64.b64encode(digest.digest()).decode()

    def joined(self, files: Sequence[Path]) -> tuple[Path, int]:
        """Blocks as one body; each may come several times."""

        def pieces() -> Iterator[bytes]:
            for file in files:
                with file.open("rb") as opened:
                    while piece := opened.read(_PIECE):
                        yield piece

        made, size, _ = self.write(pieces())
        return made, size

    def put(self, container: BlobContainer, name: str, blob: Blob) -> None:
        with self.lock:
            old = container.blobs.get(name)
            blob.etag, blob.created = self.new_etag(), old.created if old else blob.created
            container.blobs[name] = blob
            for file in container.blocks.pop(name, {}).values():
                file.unlink(missing_ok=True)
            if old and old.file != blob.file:
                old.file.unlink(missing_ok=True)

    def delete(self, container: BlobContainer, name: str) -> None:
        with self.lock:
            container.blobs.pop(name).file.unlink(missing_ok=True)

    def new_etag(self) -> str:
        return f'"0x8D{next(self._numbers):012X}"'

    def holds(self) -> Mapping[str, int]:
        with self.lock:
            return {"blobs": sum(len(container.blobs) for account in self._accounts.values() for container in account.values())}

    def clear(self) -> None:
        with self.lock:
            self._accounts.clear()
            shutil.rmtree(self._directory, ignore_errors=True)
