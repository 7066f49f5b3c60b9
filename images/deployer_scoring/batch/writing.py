"""Predictions as a file that grows chunk by chunk: JSON lines, JSON in MLflow's form, CSV or Parquet.

A file is written beside its place and put there once it is whole: an interrupted run leaves what was there before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Optional, Protocol, Union

import numpy as np
import pandas as pd

from deployer_scoring.errors import EncodingError
from deployer_scoring.wire.encoding import encode

_ONE_COLUMN = "predictions"
_DIFFERENT = "the model's answers have not all the same form, so they can't stand in one file; write JSON lines"


class Writer(Protocol):
    """Takes predictions, chunk after chunk."""

    def write(self, predictions: Any) -> None: ...

    def finish(self) -> None: ...


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once the block has ended well; else nothing of it is left."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            yield file
        beside.replace(path)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def writer(file: BinaryIO, form: str) -> Writer:
    """What writes csv, json, jsonl or parquet."""
    kinds: dict[str, type[Union[_JsonLines, _Json, _Csv, _Parquet]]] = {"jsonl": _JsonLines, "json": _Json, "csv": _Csv, "parquet": _Parquet}
    return kinds[form](file)


class _JsonLines:
    """A line for each prediction; one line for an answer that isn't a list."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, predictions: Any) -> None:
        encoded = encode(predictions, wrapped=False)
        if not encoded.startswith(b"["):
            lines = encoded
        elif _is_flat(predictions):
            lines = b"\n".join(part.strip() for part in encoded[1:-1].split(b",")) if len(encoded) > 2 else b""
        else:
            lines = b"\n".join(json.dumps(item).encode() for item in json.loads(encoded))
        if lines:
            self._file.write(lines + b"\n")
        self._file.flush()

    def finish(self) -> None:
        pass


class _Json:
    """`{"predictions": ...}`, as the server answers."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._written: Optional[bytes] = None
        self._filled = False

    def write(self, predictions: Any) -> None:
        encoded = encode(predictions, wrapped=False)
        kind = encoded[:1] if encoded.startswith(b"[") else b"value"
        if self._written is None:
            self._file.write(b'{"predictions": ' + (encoded[:-1] if kind == b"[" else encoded))
        elif kind != b"[" or self._written != b"[":
            raise EncodingError(_DIFFERENT)
        elif len(encoded) > 2:
            self._file.write((b", " if self._filled else b"") + encoded[1:-1])
        self._written, self._filled = kind, self._filled or len(encoded) > 2

    def finish(self) -> None:
        self._file.write({None: b'{"predictions": []}', b"[": b"]}", b"value": b"}"}[self._written] + b"\n")


class _Csv:
    """A column for each of the answer's; `predictions` where it has but one without a name."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._columns: Optional[list[str]] = None

    def write(self, predictions: Any) -> None:
        frame = _as_frame(predictions)
        if self._columns not in (None, [*frame.columns]):
            raise EncodingError(_DIFFERENT)
        # bytes of our own: pandas would wrap the file and close it with the wrapper
        self._file.write(frame.to_csv(index=False, header=self._columns is None).encode())
        self._columns = [*frame.columns]

    def finish(self) -> None:
        if self._columns is None:
            self._file.write(f"{_ONE_COLUMN}\n".encode())


class _Parquet:
    """The same columns, with the types of the first chunk."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise EncodingError("writing Parquet needs pyarrow, which the environment doesn't have; write CSV or JSON lines") from None
        self._arrow, self._file = pyarrow, file
        self._writer: Any = None

    def write(self, predictions: Any) -> None:
        try:
            table = self._arrow.Table.from_pandas(_as_frame(predictions), preserve_index=False)
            if self._writer is None:
                self._writer = self._arrow.parquet.ParquetWriter(self._file, table.schema)
            self._writer.write_table(table.cast(self._writer.schema))
        except (self._arrow.ArrowException, ValueError) as error:
            raise EncodingError(f"the model's answer can't be written as Parquet: {error}") from error

    def finish(self) -> None:
        if self._writer is None:
            self.write(np.empty(0))
        self._writer.close()


def _is_flat(predictions: Any) -> bool:
    """Whether no prediction has a comma of its own."""
    return isinstance(predictions, np.ndarray) and predictions.ndim == 1 and predictions.dtype.kind in "biuf"


def _as_frame(predictions: Any) -> pd.DataFrame:
    """The predictions as columns; what is nested stays in its cell, as JSON.

    Raises:
        EncodingError: They are no rows.
    """
    if isinstance(predictions, pd.DataFrame):
        frame = predictions
    elif isinstance(predictions, pd.Series):
        frame = predictions.to_frame(predictions.name if predictions.name is not None else _ONE_COLUMN)
    elif isinstance(predictions, np.ndarray) and predictions.ndim == 2:
        frame = pd.DataFrame(predictions)
    elif isinstance(predictions, (list, tuple, np.ndarray, pd.api.extensions.ExtensionArray)):
        rows = list(predictions)
        frame = pd.DataFrame(rows) if rows and all(isinstance(row, dict) for row in rows) else pd.DataFrame({_ONE_COLUMN: rows})
    elif isinstance(predictions, dict) and all(isinstance(values, (list, np.ndarray, pd.Series)) for values in predictions.values()):
        frame = pd.DataFrame({name: list(values) for name, values in predictions.items()})
    else:
        raise EncodingError(f"the model's answer, {type(predictions).__name__}, has no rows that could stand in a table; write JSON lines")
    frame = frame.rename(columns=str)
    return frame.assign(**{name: frame[name].map(_cell) for name in frame.columns if frame[name].dtype == object})


def _cell(value: Any) -> Any:
    return encode(value, wrapped=False).decode() if isinstance(value, (list, dict, np.ndarray, bytes)) else value
