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
        width, given = _extent(rows)
        check_columns(width)
        _check_cells(len(rows), width, given)


def check_columns_of(columns: Any) -> None:
    """As `check_rows`, for an object of columns."""
    if isinstance(columns, dict):
        check_columns(len(columns))
        height, given = _extent(columns.values())
        _check_cells(height, len(columns), given)


def check_split(value: dict[str, Any]) -> None:
    """As `check_rows`, for a split object: columns and index may ask for cells that the data doesn't fill."""
    data, columns, index = value.get("data"), value.get("columns"), value.get("index")
    named, counted = (len(each) if isinstance(each, list) else 0 for each in (columns, index))
    check_columns(named)
    check_rows(data)
    check_columns_of(data)
    if isinstance(data, list):
        width, given = _extent(data)
        rows, width = len(data), max(width, named)
    else:
        height, given = _extent(data.values()) if isinstance(data, dict) else (0, 0)
        rows, width = max(height, counted), max(named, len(data) if isinstance(data, dict) else 0)
    _check_cells(rows, width, given + named + counted)


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


def _extent(parts: Iterable[Any]) -> tuple[int, int]:
    """The width of rows, or the height of columns (the most items of one, or the number of all different keys), and the number of values."""
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
    return max(widest, len(names)), given


def _check_cells(rows: int, columns: int, given: int) -> None:
    if rows * columns > _FREE_CELLS + _CELLS_PER_VALUE * given:
        raise InvalidInput(f"the body would make a frame of {rows} by {columns} cells for {given} values; send rows with the same columns")
