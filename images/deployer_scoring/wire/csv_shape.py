"""The shape of CSV: the names in its header, and a field for each of them in every row.

pandas doesn't ask for that: it takes a row's surplus fields for an index, so that all columns move by one, fills what is lacking, and gives the
second of two columns of one name another. A row is a record in the sense of RFC 4180, so a cell in quotes may hold ends of lines; what stands in
no quotes may hold quotes, as pandas has it. Lines of nothing but spaces are no rows.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from deployer_scoring.errors import InvalidInput
from deployer_scoring.wire.bounds import MOST_COLUMNS, check_columns

_BOM = b"\xef\xbb\xbf"
_COMMA, _END, _RETURN, _QUOTE, _SPACES = 44, 10, 13, 34, (32, 9, 10)
# A field, in quotes only where they open it, and what ends it.
_FIELD = re.compile(rb'(?:"[^"]*(?:""[^"]*)*("?)[^,\n]*|[^",\n][^,\n]*|)(,|\n|$)')


class CsvRefused(InvalidInput):
    """CSV that can't be taken.

    Attributes:
        problem: What is wrong, as a sentence without its place.
        line: In which line of the text that is, from 1; 0 where no line is to blame.
    """

    def __init__(self, problem: str, line: int = 0, **more: Any) -> None:
        super().__init__(f"line {line}: {problem}" if line else problem, **more)
        self.problem, self.line = problem, line


@dataclass(frozen=True)
class CsvShape:
    """What CSV looks like before its values are read.

    Attributes:
        names: Those in the header.
        text: What was looked at.
        starts: Where each row begins in it.
    """

    names: list[str]
    text: bytes
    starts: np.ndarray[Any, Any]

    def line(self, row: int) -> int:
        """The line in which a row begins, from 1."""
        return self.text.count(b"\n", 0, int(self.starts[row])) + 1 if row < len(self.starts) else 0


def without_mark(text: bytes) -> bytes:
    """The text without a byte order mark."""
    return text[len(_BOM) :] if text.startswith(_BOM) else text


def shape_of(text: bytes) -> CsvShape:
    """The shape of CSV with a header row.

    Args:
        text: In UTF-8, or what agrees with ASCII.

    Raises:
        CsvRefused: There is no header, a name in it is empty or there twice, a row is longer or shorter than it, or a quote is never closed.
    """
    if b'"' not in text:
        check_columns(text.lstrip(b" \t\r\n").partition(b"\n")[0].count(b",") + 1)
    text, starts, ends, fields = records_of(without_mark(text))
    if not len(starts):
        raise CsvRefused("there is nothing in it; CSV with a header row was expected")
    width = int(fields[0])
    check_columns(width)
    line = text.count(b"\n", 0, int(starts[0])) + 1
    shape = CsvShape(_names(text[starts[0] : ends[0]], line), text, starts[1:])
    _check_names(shape.names, line)
    wrong = np.flatnonzero(fields[1:] != width)
    if wrong.size:
        row = int(wrong[0])
        raise CsvRefused(_told(int(fields[row + 1]), width, text[starts[row + 1] : ends[row + 1]]), shape.line(row))
    return shape


def records_of(text: bytes) -> tuple[bytes, Any, Any, Any]:
    """The text with each end of a line as one LF; where its records begin and end in it, and how many fields each has.

    Raises:
        CsvRefused: A quote is never closed.
    """
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not text.strip(b" \t\n"):
        none = np.empty(0, np.int64)
        return text, none, none, none
    starts, ends, fields = _records(text)
    filled = _filled(text, starts, fields)
    if filled is not None:
        starts, ends, fields = starts[filled], ends[filled], fields[filled]
    return text, starts, ends, fields


def names_at_a_glance(text: bytes) -> Optional[list[str]]:
    """The header's names, where commas and ends of lines have the numbers that rows of its width have; None where that needs a closer look.

    Surplus fields in one row may still stand for lacking ones in another, but not in the first: so pandas makes no index, and refuses the surplus.
    """
    array = np.frombuffer(text, np.uint8)
    ends = np.count_nonzero(array == _END)
    if b'"' in text or (b"\r" in text and not np.count_nonzero(array == _RETURN) == text.count(b"\r\n") == ends):
        return None
    end = text.find(b"\n")
    first = text[end + 1 : text.find(b"\n", end + 1)] if end > 0 else b""
    names = text[: max(end, 0)].rstrip(b"\r").decode("utf-8").split(",")
    commas = len(names) - 1
    if first.count(b",") != commas or not first.strip() or not commas < MOST_COLUMNS or not names_are_plain(names):
        return None
    return names if np.count_nonzero(array == _COMMA) == commas * (ends + (not text.endswith(b"\n"))) else None


def names_are_plain(names: list[str]) -> bool:
    """Whether each name is there once, and none is empty."""
    return len(set(names)) == len(names) and all(map(str.strip, names))


def _records(text: bytes) -> tuple[Any, Any, Any]:
    """Where the records begin and end (before the end of the line), and how many fields each has; empty lines are records of one."""
    array = np.frombuffer(text, np.uint8)
    commas, ends = np.flatnonzero(array == _COMMA), np.flatnonzero(array == _END)
    if b'"' in text:
        quotes = np.flatnonzero(array == _QUOTE)
        if not _stand_at_fields(array, quotes):
            return _records_by_field(text)
        if len(quotes) % 2:
            raise _never_closed(text, int(quotes[-1]))
        commas, ends = (each[np.searchsorted(quotes, each) & 1 == 0] for each in (commas, ends))
    if not text.endswith(b"\n"):
        ends = np.append(ends, len(text))
    return np.append(0, ends[:-1] + 1), ends, np.diff(np.searchsorted(commas, ends), prepend=0) + 1


def _stand_at_fields(array: np.ndarray[Any, Any], quotes: np.ndarray[Any, Any]) -> bool:
    """Whether each quote opens a field, ends one, or is doubled within one."""
    opening, closing = quotes[::2], quotes[1::2]
    around = np.concatenate((array[opening[opening > 0] - 1], array[closing[closing < len(array) - 1] + 1]))
    return bool(((around == _COMMA) | (around == _END) | (around == _QUOTE)).all())


def _records_by_field(text: bytes) -> tuple[Any, Any, Any]:
    """As `_records`, field by field: for text with quotes within a field that they don't open."""
    starts, ends, counts, fields = [0], [], [], 0
    for field in _FIELD.finditer(text):
        fields += 1
        if field[1] == b"":
            raise _never_closed(text, field.start())
        if field[2] == b",":
            continue
        ends.append(field.end() - len(field[2]))
        counts.append(fields)
        fields = 0
        if field.end() == len(text):
            break
        starts.append(field.end())
    return np.array(starts), np.array(ends), np.array(counts)


def _filled(text: bytes, starts: np.ndarray[Any, Any], fields: np.ndarray[Any, Any]) -> Any:
    """Which records hold more than spaces; None where all do."""
    if (fields > 1).all():
        return None
    array = np.frombuffer(text, np.uint8)
    filled = array != _SPACES[0]
    for space in _SPACES[1:]:
        filled &= array != space
    return np.logical_or.reduceat(filled, starts)


def _names(header: bytes, line: int) -> list[str]:
    text = header.decode("utf-8", "replace")
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise CsvRefused(f"the header can't be read: {error}", line) from error


def _check_names(names: list[str], line: int) -> None:
    for position, name in enumerate(names, 1):
        if not name.strip():
            last = " (the header ends with a comma)" if position == len(names) > 1 else ""
            raise CsvRefused(f"the column {position} has no name{last}; name it, or write the file without its index", line)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CsvRefused(f"the column {twice!r} is there more than once", line)


def _told(fields: int, width: int, record: bytes) -> str:
    last = " (it ends with a comma)" if fields > width and record.rstrip(b" \t").endswith(b",") else ""
    return f"there {'is 1 field' if fields == 1 else f'are {fields} fields'}{last}, the header has {width}"


def _never_closed(text: bytes, position: int) -> CsvRefused:
    return CsvRefused("a quote opens a field, and none closes it", text.count(b"\n", 0, position) + 1)
