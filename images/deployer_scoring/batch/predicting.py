"""The batch run: a model, an input, an output, and what is told while it goes on."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, Optional

import pandas as pd

from deployer_scoring.batch.chunks import Chunk, blamed, first_bad
from deployer_scoring.batch.reading import chunks, seekable
from deployer_scoring.batch.writing import replacing, writer
from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.errors import InvalidInput, ModelFailure
from deployer_scoring.scorer import Scorer

ROWS = 10_000
"""Rows of a chunk, where nothing else is said."""

Tell = Callable[..., None]
"""Called with `event=` and what belongs to it: loaded, scored (rows, done, total), notice (message)."""


@dataclass(frozen=True)
class Batch:
    """What is to be scored.

    Attributes:
        model: The model's directory.
        source: The input file; None for standard input.
        target: The output file; None for standard output.
        form: The input's format, `out_form` the output's: csv, json, jsonl, parquet.
        params: They win over those in a JSON input.
        rows: Rows of a chunk; 0 for all at once; None for `ROWS` where the model scores each row by itself, else all at once.
    """

    model: Path
    source: Optional[Path]
    target: Optional[Path]
    form: str
    out_form: str
    params: Optional[dict[str, Any]] = None
    rows: Optional[int] = None


class OrphanedError(Exception):
    """Who started us is gone."""


def run(batch: Batch, tell: Tell, parent: Optional[int] = None) -> int:
    """Score the input.

    Args:
        parent: The process that asked for it: without it nobody waits for the end any more.

    Returns:
        How many rows were scored.

    Raises:
        MLModelError, LoadError: The model can't be loaded.
        InvalidInput: The input doesn't fit; the line is named where one is to blame.
        ModelFailure, EncodingError: The model raised, or its answer can't be written in this form.
        OSError: A file can't be read or written.
        OrphanedError: `parent` is gone.
    """
    with _standard_output() as stdout, _opened(batch.source) as file, _placed(batch.target, stdout) as target:
        source = file if batch.form == "jsonl" else seekable(file)
        total = _size(source)
        scorer = Scorer.load(batch.model)
        tell(event="loaded")
        sink, done = writer(target, batch.out_form), 0
        for chunk in chunks(source, batch.form, scorer.model, _rows(batch, scorer, tell)):
            sink.write(_predictions(scorer, chunk, batch.params))
            done += chunk.rows
            tell(event="scored", rows=done, done=chunk.done, total=total)
            if parent is not None and os.getppid() != parent:
                raise OrphanedError("who asked for this is gone")
        sink.finish()
        target.flush()
    return done


def _predictions(scorer: Scorer, chunk: Chunk, params: Optional[dict[str, Any]]) -> Any:
    asked = {**(chunk.params or {}), **(params or {})} or None
    try:
        return scorer.predict(chunk.data, asked)
    except InvalidInput as error:
        known = chunk.place is not None and error.row is not None
        raise blamed(error, chunk.place(error.row) if known else _place_of(scorer, chunk)) from error  # type: ignore[misc,arg-type]
    except ModelFailure as error:
        if chunk.place is None or not chunk.rows:
            raise
        where = f"{chunk.place(0)} to {chunk.place(chunk.rows - 1)}" if chunk.rows > 1 else chunk.place(0)
        raise ModelFailure(f"{error} (in {where} of the input)", stack=error.stack) from error


def _place_of(scorer: Scorer, chunk: Chunk) -> Optional[str]:
    """Where the first row is that the signature refuses; None where it refuses them all."""
    inputs = scorer.model.signature.inputs if scorer.model.signature else None
    if chunk.place is None or inputs is None or not isinstance(chunk.data, pd.DataFrame):
        return None
    frame = chunk.data

    def fails(begin: int, end: int) -> bool:
        try:
            enforce(frame.iloc[begin:end].infer_objects(), inputs)
        except InvalidInput:
            return True
        return False

    bad = None if fails(0, 0) else first_bad(len(frame), fails)  # a column that is absent is no row's fault
    return None if bad is None else chunk.place(bad)


def _rows(batch: Batch, scorer: Scorer, tell: Tell) -> Optional[int]:
    """How many rows a chunk has. A model that may look at several rows at once gets them all, unless it is told otherwise."""
    if batch.rows is not None:
        return batch.rows or None
    if scorer.loaded.row_wise:
        return ROWS
    if batch.form != "json":
        tell(
            event="notice",
            message="the model may look at several rows at once, so all of the input is scored in one piece; --chunk-rows scores it in several",
        )
    return None


@contextmanager
def _opened(source: Optional[Path]) -> Iterator[BinaryIO]:
    if source is None:
        yield sys.stdin.buffer
    else:
        with source.open("rb") as file:
            yield file


@contextmanager
def _placed(path: Optional[Path], stdout: BinaryIO) -> Iterator[BinaryIO]:
    if path is None:
        yield stdout
    else:
        with replacing(path) as file:
            yield file


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    """Standard output for the predictions alone: what the model prints, or a library of its, goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr), io.FileIO(kept, "wb", closefd=False) as raw, io.BufferedWriter(raw) as buffered:
            yield buffered
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _size(file: BinaryIO) -> int:
    """Bytes of the input; 0 where they can't be known before."""
    return os.fstat(file.fileno()).st_size if file.seekable() else 0


def telling(descriptor: Optional[int]) -> Tell:
    """Each event as a line of JSON to a file descriptor; to nobody where there is none."""
    if descriptor is None:
        return lambda **_: None
    sink = os.fdopen(descriptor, "w", encoding="utf-8")

    def tell(**event: Any) -> None:
        with suppress(OSError):  # nobody listens any more
            print(json.dumps(event, default=str), file=sink, flush=True)

    return tell
