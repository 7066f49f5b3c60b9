"""CSV's text in whole records, each knowing its line: a quoted cell may hold ends of lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Tuple

from deployer_scoring.wire.csv_shape import CsvRefused, records_of

_ALL = 1 << 60


@dataclass
class Records:
    """Some records as they stand in the file; `line` is the one in which the first begins."""

    text: bytes
    line: int
    _found: Any = None

    def place(self, row: int) -> str:
        """Where a record is, "line 7"."""
        if self._found is None:
            self._found = records_of(self.text)
        text, starts = self._found[:2]
        above = text.count(b"\n", 0, int(starts[row])) if row < len(starts) else 0
        return f"line {self.line + above}"


def records_at_a_time(file: BinaryIO, rows: int) -> Iterator[Records]:
    """The header by itself, then so many records at a time (fewer where lines are empty or cells hold ends of lines)."""
    line, source = 1, _lines(file)
    for many in itertools.chain((1,), itertools.repeat(rows)):
        text, lines = _taken(source, many)
        while lines and not text.strip():  # empty lines before the header, or a chunk of nothing else
            line += lines
            text, lines = _taken(source, many)
        if not lines:
            return
        yield Records(text, line)
        line += lines


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends: LF, CR LF, or CR alone."""
    for line in file:
        if line.count(b"\r") > line.endswith(b"\r\n"):
            yield from line.splitlines(keepends=True)
        else:
            yield line


def _taken(source: Iterator[bytes], rows: int) -> Tuple[bytes, int]:
    lines = list(itertools.islice(source, min(rows, _ALL)))
    text = b"".join(lines)
    while b'"' in text and not _is_whole(text):
        more = _to_the_next_quote(source)
        if not more:
            break
        lines += more
        text += b"".join(more)
    return text, len(lines)


def _is_whole(text: bytes) -> bool:
    """Whether the last record doesn't go on in the next line."""
    try:
        records_of(text)
    except CsvRefused:
        return False
    return True


def _to_the_next_quote(source: Iterator[bytes]) -> list[bytes]:
    """Lines up to one with a quote, which alone may end a quoted cell."""
    lines = []
    for line in source:
        lines.append(line)
        if b'"' in line:
            break
    return lines
