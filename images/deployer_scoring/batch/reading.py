"""Input files as chunks: CSV, JSON lines and Parquet a few rows at a time, JSON, which is one document, as a whole.

Values are those that the server would make of the same rows in a request.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Callable, Optional

import numpy as np
import pandas as pd

from deployer_scoring.batch.chunks import Chunk, blamed, first_bad
from deployer_scoring.batch.records import Records, records_at_a_time
from deployer_scoring.errors import InvalidInput
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.wire.csv_frames import from_csv
from deployer_scoring.wire.csv_shape import CsvRefused
from deployer_scoring.wire.decoding import Decoder
from deployer_scoring.wire.frames import frame_of_arrow
from deployer_scoring.wire.table import Table

_WHOLE = 1 << 60
_NEEDS_PYARROW = "Parquet needs pyarrow, which the environment doesn't have; add it to the model's requirements, or send CSV or JSON lines"


def chunks(file: BinaryIO, form: str, model: MLModel, rows: Optional[int]) -> Iterator[Chunk]:
    """The file in chunks.

    Args:
        file: Standing at its beginning; CSV and Parquet seek in it (`seekable`).
        form: csv, json, jsonl or parquet.
        rows: How many rows a chunk has at most; None for all in one.

    Raises:
        InvalidInput: The file isn't what it should be; the line is named where one is to blame.
    """
    many = rows or _WHOLE
    if form == "csv":
        return _csv(file, model, many)
    if form == "jsonl":
        return _json_lines(file, model, many)
    return _parquet(file, model, many) if form == "parquet" else _json(file, model)


def seekable(file: BinaryIO) -> BinaryIO:
    """The same file, or, of a pipe, a copy of what comes through it on the disk."""
    if file.seekable():
        return file
    copy = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as it is read
    shutil.copyfileobj(file, copy)
    copy.seek(0)
    return copy


def _json(file: BinaryIO, model: MLModel) -> Iterator[Chunk]:
    body = file.read()
    asked = Decoder(model).decode(body, "application/json")
    count = len(asked.data) if isinstance(asked.data, (pd.DataFrame, list)) else getattr(asked.data, "rows", 0)
    yield Chunk(asked.data, 0, count, len(body), asked.params)


def _json_lines(file: BinaryIO, model: MLModel, rows: int) -> Iterator[Chunk]:
    decoder, first, done = Decoder(model), 0, 0
    numbered = ((number, line.strip()) for number, line in enumerate(file, 1))
    filled = ((number, line) for number, line in numbered if line)
    while taken := list(itertools.islice(filled, rows)):
        numbers, lines = [number for number, _ in taken], [line for _, line in taken]
        done += sum(map(len, lines)) + len(lines)
        yield Chunk(_of_lines(decoder, model, lines, numbers), first, len(lines), done, place=_line_of(numbers))
        first += len(lines)


def _of_lines(decoder: Decoder, model: MLModel, lines: list[bytes], numbers: list[int]) -> Any:
    """The data that a request with these lines as its rows would hold."""
    key, objects = _key(lines[0], model), lines[0].startswith(b"{")
    if other := next((number for number, line in zip(numbers, lines) if line.startswith(b"{") != objects), None):
        raise InvalidInput(f"line {other}: the lines must be all objects, or none of them")

    def data(begin: int, end: int) -> Any:
        return decoder.decode(b'{"%s": [%s]}' % (key, b",".join(lines[begin:end])), "application/json").data

    def fails(begin: int, end: int) -> bool:
        try:
            data(begin, end)
        except InvalidInput:
            return True
        return False

    try:
        return data(0, len(lines))
    except InvalidInput as error:
        bad = first_bad(len(lines), fails)
        if bad is None:
            raise
        try:
            data(bad, bad + 1)
        except InvalidInput as its_own:
            raise blamed(its_own, f"line {numbers[bad]}") from error
        raise blamed(error, f"line {numbers[bad]}") from error


def _key(line: bytes, model: MLModel) -> bytes:
    """What a request calls rows like this one."""
    inputs = model.signature.inputs if model.signature else None
    if model.is_signature_from_type_hint or not line.startswith(b"{"):
        return b"inputs"
    return b"instances" if inputs is not None and inputs.is_tensor_spec() else b"dataframe_records"


def _line_of(numbers: list[int]) -> Any:
    return lambda row: f"line {numbers[row]}"


def _csv(file: BinaryIO, model: MLModel, rows: int) -> Iterator[Chunk]:
    """Each chunk is read as a request would be that holds the header and some whole records."""
    read = _reader_of_csv(file, model, rows)
    pieces = records_at_a_time(file, rows)
    header = next(pieces, Records(b"", 1))
    first, done = 0, len(header.text)
    for records in pieces:
        data = _below(header, records, read)
        count = data.rows if isinstance(data, Table) else len(data)
        done += len(records.text)
        yield Chunk(data, first, count, done, place=records.place)
        first += count
    if not first:
        _below(header, Records(b"", header.line + 1), read)  # what is wrong with a file of no rows, if anything


def _below(header: Records, records: Records, read: Callable[[bytes], Any]) -> Any:
    """What is read of a header and some of the records below it; what is wrong has its line in the file."""
    try:
        return read(header.text + records.text)
    except CsvRefused as error:
        above = len(header.text.splitlines())
        line = error.line and (header.line + error.line - 1 if error.line <= above else records.line + error.line - above - 1)
        raise CsvRefused(error.problem, line, error_code=error.error_code, status=error.status) from error


def _reader_of_csv(file: BinaryIO, model: MLModel, rows: int) -> Callable[[bytes], Any]:
    if model.signature is not None and model.signature.inputs is not None:
        decoder = Decoder(model)
        return lambda body: decoder.decode(body, "text/csv").data
    types = _types_of_whole(file, rows)
    return lambda body: from_csv(body, None, types)


def _types_of_whole(file: BinaryIO, rows: int) -> Any:
    """Dtypes that hold for the whole file, where no signature says them: guessed for each chunk they would change midway.

    Raises:
        InvalidInput: The file makes no table.
    """
    if rows >= _WHOLE:
        return None
    merged: dict[Any, Any] = {}
    pieces = records_at_a_time(file, rows)
    header = next(pieces, Records(b"", 1))
    for records in pieces:
        for name, dtype in _below(header, records, lambda body: from_csv(body, None)).dtypes.items():
            merged[name] = dtype if name not in merged else _holding_both(merged[name], dtype)
    file.seek(0)
    return merged


def _holding_both(one: Any, other: Any) -> Any:
    if one == other:
        return one
    numbers = all(isinstance(each, np.dtype) and each.kind in "iuf" for each in (one, other))
    return np.result_type(one, other) if numbers else str


def _parquet(file: BinaryIO, model: MLModel, rows: int) -> Iterator[Chunk]:
    schema = model.signature.inputs if model.signature else None
    try:
        from pyarrow import parquet
    except ImportError:
        raise InvalidInput(_NEEDS_PYARROW, status=415) from None
    try:
        opened = parquet.ParquetFile(file)
        nullable = _columns_with_gaps(opened) if schema is None else frozenset()
        first = 0
        for batch in opened.iter_batches(batch_size=min(rows, max(opened.metadata.num_rows, 1))):
            frame = _widened(frame_of_arrow(batch, schema), nullable)
            yield Chunk(frame, first, len(frame), _share(file, first + len(frame), opened.metadata.num_rows), place=_row_after(first))
            first += len(frame)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these
        raise InvalidInput(f"the file makes no table; Parquet was expected: {error}") from error


def _share(file: BinaryIO, rows: int, of: int) -> int:
    """Bytes that so many rows are of the whole: a Parquet file is not read from front to end."""
    return os.fstat(file.fileno()).st_size * rows // max(of, 1)


def _row_after(first: int) -> Any:
    return lambda row: f"row {first + row + 1}"


def _columns_with_gaps(opened: Any) -> frozenset[str]:
    """Columns with a missing value anywhere: pandas has integers with gaps as floats, and so they must be in each chunk."""
    found = set()
    for group in range(opened.metadata.num_row_groups):
        described = opened.metadata.row_group(group)
        for index in range(described.num_columns):
            column = described.column(index)
            statistics = column.statistics
            if statistics is not None and statistics.has_null_count and statistics.null_count:
                found.add(column.path_in_schema)
    return frozenset(found)


def _widened(frame: pd.DataFrame, nullable: frozenset[str]) -> pd.DataFrame:
    wider = {"i": np.float64, "u": np.float64, "b": object}
    kinds = {name: getattr(frame[name].dtype, "kind", "") for name in nullable if name in frame.columns}
    casts: dict[Any, Any] = {name: wider[kind] for name, kind in kinds.items() if kind in wider and isinstance(frame[name].dtype, np.dtype)}
    return frame.astype(casts) if casts else frame
