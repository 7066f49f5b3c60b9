"""Fetching many files at once, with progress told as bytes arrive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from queue import Empty, SimpleQueue

from deployer.errors import ModelInvalid
from deployer.events import Report, StepProgressed, stepping

STEP, LABEL = "fetch_model", "model download"

_AT_ONCE = 8

Arrived = Callable[[int], None]
"""Told how many more bytes of one file are here."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in a store: its path relative to the model's directory, its bytes, and whatever the store tells that changes with its content."""

    path: str
    size: int
    mark: str = ""


Get = Callable[[RemoteFile, Path, Arrived], object]
"""Writes one file to a path. May tell of its bytes as they arrive, from any thread; what it left untold counts at its end."""


def download(files: Sequence[RemoteFile], get: Get, directory: Path, uri: str, report: Report) -> None:
    """Write all files below a directory, several at a time.

    Raises:
        ModelInvalid: a path that leads out of the directory.
        Whatever `get` raises, once those that had begun have ended. An interrupt doesn't wait for them: no client can break off a transfer.
    """
    total = sum(file.size for file in files)
    with downloading(report, uri) as progressed:
        done = 0
        for count in _arriving(files, lambda file, arrived: _one(file, get, directory, uri, arrived)):
            done += count
            progressed(done, total)


@contextmanager
def downloading(report: Report, uri: str) -> Iterator[Callable[[int, int | None], None]]:
    """Report the block as one step; it's given what to call with the bytes that are here, and with all of them or None."""
    with stepping(report, STEP, LABEL, uri) as outcome:
        yield lambda done, total: report(StepProgressed(step=STEP, label=LABEL, done=done, total=total, unit="bytes", note=f"from {uri}"))
        outcome.detail = f"from {uri}"


def _arriving(files: Sequence[RemoteFile], one: Callable[[RemoteFile, Arrived], None]) -> Iterator[int]:
    """Run `one` for each file on daemon threads, and give the bytes as they arrive, in the caller's thread."""
    todo: SimpleQueue[RemoteFile] = SimpleQueue()
    news: SimpleQueue[int | Exception | None] = SimpleQueue()  # None: one file is whole
    stopped = threading.Event()
    for file in files:
        todo.put(file)

    def work() -> None:
        while not stopped.is_set():
            try:
                one(todo.get_nowait(), news.put)
                news.put(None)
            except Empty:
                return
            except Exception as error:
                news.put(error)
                return

    threads = [threading.Thread(target=work, name="fetch", daemon=True) for _ in range(min(_AT_ONCE, len(files)))]
    for thread in threads:
        thread.start()
    left = len(files)
    try:
        while left:
            item = news.get()
            if isinstance(item, Exception):
                stopped.set()
                for thread in threads:
                    thread.join()
                raise item
            if item is None:
                left -= 1
            else:
                yield item
    finally:
        stopped.set()


def _one(file: RemoteFile, get: Get, directory: Path, uri: str, arrived: Arrived) -> None:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts:
        raise ModelInvalid(f"{uri} holds {file.path}, which leads out of the model's directory")
    target, counted = directory / path, 0

    def count(more: int) -> None:
        nonlocal counted
        counted += more
        arrived(more)

    target.parent.mkdir(parents=True, exist_ok=True)
    get(file, target, count)
    arrived(file.size - counted)
