"""Fetching many files at once, with progress told as bytes arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deployer.errors import ModelInvalid
from deployer.events import Report, StepProgressed

STEP, LABEL = "fetch_model", "model"

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in a store: its path relative to the model's directory, its bytes, and whatever the store tells that changes with its content."""

    path: str
    size: int
    mark: str = ""


def download(files: Sequence[RemoteFile], get: Callable[[RemoteFile, Path], object], directory: Path, uri: str, report: Report) -> None:
    """Write all files below a directory, several at a time; `get` writes one to the path it's given.

    Raises:
        ModelInvalid: a path that leads out of the directory.
        Whatever `get` raises; those that have not begun are then not begun.
    """
    total, done = sum(file.size for file in files), 0
    progressed(report, 0, total, uri)
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch")
    try:
        begun = {pool.submit(_one, file, get, directory, uri): file for file in files}
        for finished in as_completed(begun):
            finished.result()
            done += begun[finished].size
            progressed(report, done, total, uri)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def progressed(report: Report, done: int, total: int | None, uri: str) -> None:
    """Tell how many bytes of a model are here."""
    report(StepProgressed(step=STEP, label=LABEL, done=done, total=total, unit="bytes", note=uri))


def _one(file: RemoteFile, get: Callable[[RemoteFile, Path], object], directory: Path, uri: str) -> None:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts:
        raise ModelInvalid(f"{uri} holds {file.path}, which leads out of the model's directory")
    target = directory / path
    target.parent.mkdir(parents=True, exist_ok=True)
    get(file, target)
