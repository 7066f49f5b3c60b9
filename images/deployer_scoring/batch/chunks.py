"""A piece of an input file, and where in the file a bad row of it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Optional

from deployer_scoring.errors import InvalidInput

_ROW = re.compile(r"\Ain row \d+(?: of (?P<of>)|, |: )")

Place = Callable[[int], str]
"""Says where a row of a chunk is in the file, "line 7"; rows count from 0."""


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        data: As `Scorer.predict` takes it.
        first: How many rows are before these in the file.
        rows: How many these are; 0 where that can't be told.
        done: Bytes of the file that are read now.
        place: None where rows have no place of their own.
    """

    data: Any
    first: int
    rows: int
    done: int
    params: Any = None
    place: Optional[Place] = None


def first_bad(count: int, fails: Callable[[int, int], bool]) -> Optional[int]:
    """The first of so many rows that can't be taken, by halving; None where no single row is to blame.

    Args:
        fails: Whether the rows from one to before another can't be taken.
    """
    if count == 0 or not fails(0, count):
        return None
    good, bad = 0, count  # the first `good` rows can be taken, the first `bad` can't
    while bad - good > 1:
        middle = (good + bad) // 2
        if fails(0, middle):
            bad = middle
        else:
            good = middle
    everywhere = good == 0 and count > 1 and all(fails(row, row + 1) for row in (0, count // 2, count - 1))
    return None if everywhere else good


def blamed(error: InvalidInput, place: Optional[str]) -> InvalidInput:
    """The error with the place of its row before it, instead of the row's number among those of its chunk, and without other rows'."""
    if not place:
        return error
    said = _ROW.sub(lambda found: "" if found["of"] is None else "in ", str(error).partition("; in row ")[0])
    return InvalidInput(f"{place}: {said}", error_code=error.error_code, status=error.status)
