"""Bodies that would grow out of all proportion once they are frames or arrays: refused before pandas and numpy try.

A frame has a cell for each row and column, and an array of text room for its longest item in every place. So a body of some hundred
kilobytes, a new column in each row, can ask for gigabytes. What is refused here is only what is far from any data that a model is asked with.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from deployer_scoring.errors import InvalidInput

MOST_COLUMNS = 50_000
_FREE_CELLS = 1_000_000
_CELLS_PER_VALUE = 16
_MOST_TEXT = 64 << 20  # characters of an array of text, each of 4 bytes


def check_columns(number: int) -> None:
    """Refuse more columns than any model has: pandas takes minutes for what a body can hold.

    Raises:
        InvalidInput: There are more than MOST_COLUMNS.
    """
    if number > MOST_COLUMNS:
        raise InvalidInput(f"the body has {number} columns; more than {MOST_COLUMNS} are not taken")


def check_rows(rows: Any) -> None:
    """Refuse rows (lists or objects) of so different widths that the frame would be nearly empty; anything but a list passes.

    Raises:
        InvalidInput: They are, or there are more than MOST_COLUMNS columns.
    """
    if isinstance(rows, list):
        check_columns(_check_cells(len(rows), rows))


def check_columns_of(columns: Any) -> None:
    """As `check_rows`, for an object of columns."""
    if isinstance(columns, dict):
        check_columns(len(columns))
        _check_cells(len(columns), columns.values())


def is_wasteful_text(value: Any) -> bool:
    """Whether an array of text, with room for the longest item in every place, would be far larger than the text."""
    level: list[Any] = value if isinstance(value, list) else []
    while level and any(isinstance(item, list) for item in level):
        level = [*chain.from_iterable(item for item in level if isinstance(item, list))]
    return len(level) * max((len(item) for item in level if isinstance(item, str)), default=0) > _MOST_TEXT


def check_text(value: Any) -> None:
    """Refuse lists that hold wasteful text.

    Raises:
        InvalidInput: They do.
    """
    if is_wasteful_text(value):
        raise InvalidInput("the texts are of so different lengths that an array of them would be far too large; send dataframe_records")


def _check_cells(number: int, parts: Iterable[Any]) -> int:
    """The width of the parts: the most items of one, or the number of all different keys."""
    names: set[Any] = set()
    widest = given = 0
    for part in parts:
        if isinstance(part, dict):
            names.update(part)
        elif isinstance(part, list):
            widest = max(widest, len(part))
        else:
            continue
        given += len(part)
    width = max(widest, len(names))
    if number * width > _FREE_CELLS + _CELLS_PER_VALUE * given:
        raise InvalidInput(f"the body would make a frame of {number} by {width} cells for {given} values; send rows with the same columns")
    return width
