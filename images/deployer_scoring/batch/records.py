"""CSV's text in whole records, each knowing its line: a quoted cell may hold ends of lines."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

_ALL = 1 << 60


@dataclass(frozen=True)
class Records:
    """Some records as they stand in the file; `line` is the one in which the first begins."""

    text: bytes
    line: int

    def part(self, begin: int, end: int) -> bytes:
        """The text of the records from one to before another."""
        starts = [*self._starts, len(self._lines)]
        last = len(starts) - 1
        return b"".join(self._lines[starts[min(begin, last)] : starts[min(end, last)]])

    def place(self, row: int) -> str:
        """Where a record is, "line 7"."""
        return f"line {self.line + self._starts[row]}" if row < len(self._starts) else f"line {self.line}"

    @property
    def count(self) -> int:
        return len(self._starts)

    @cached_property
    def _lines(self) -> list[bytes]:
        return list(io.BytesIO(self.text))

    @cached_property
    def _starts(self) -> list[int]:
        """The line of each record, counted from the first; empty lines are no records."""
        reader = csv.reader(line.decode("latin-1") for line in self._lines)
        before, found = 0, []
        for record in reader:
            if record:
                found.append(before)
            before = reader.line_num
        return found


def records_at_a_time(file: BinaryIO, rows: int) -> Iterator[Records]:
    """The header by itself, then so many records at a time (fewer where lines are empty or cells hold ends of lines)."""
    line = 1
    for many in itertools.chain((1,), itertools.repeat(rows)):
        text, lines = _taken(file, many)
        while lines and not text.strip():  # empty lines before the header, or a chunk of nothing else
            line += lines
            text, lines = _taken(file, many)
        if not lines:
            return
        yield Records(text, line)
        line += lines


def _taken(file: BinaryIO, rows: int) -> tuple[bytes, int]:
    lines = list(itertools.islice(file, min(rows, _ALL)))
    if any(b'"' in line for line in lines):
        _complete(lines, file)
    return b"".join(lines), len(lines)


def _complete(lines: list[bytes], file: BinaryIO) -> None:
    """Add the lines that the last record goes on in."""
    taken = 0

    def each() -> Iterator[str]:
        nonlocal taken
        while taken < len(lines) or (more := file.readline()):
            if taken == len(lines):
                lines.append(more)
            taken += 1
            yield lines[taken - 1].decode("latin-1")

    at_first = len(lines)
    for _ in csv.reader(each()):
        if taken >= at_first:
            return
