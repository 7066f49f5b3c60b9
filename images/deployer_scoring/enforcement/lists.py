"""Lists of JSON as the array of a tensor's dtype, by the rule for columns (values.py)."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from deployer_scoring.enforcement.values import Misfit, column_of, converter, shown
from deployer_scoring.schema.datatypes import DataType

_KINDS = {"U": DataType.string, "S": DataType.binary, "M": DataType.datetime}


def flattened(value: Any) -> tuple[list[Any], tuple[int, ...]]:
    """The values in nested lists, the last dimension the fastest, and the shape that the lists have.

    Raises:
        ValueError: The lists of one level differ in length, or lists stand beside other values.
    """
    level: list[Any] = [value]
    shape: list[int] = []
    while True:
        types = set(map(type, level))
        if list not in types:
            return level, tuple(shape)
        lengths = set(map(len, level)) if len(types) == 1 else set()
        if len(lengths) != 1:
            raise ValueError("the lists make no array: within one level they differ in length, or stand beside other values")
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
        if not level:
            return level, tuple(shape)


def array_of(value: Any, dtype: np.dtype[Any], *, encoded: bool = True) -> np.ndarray[Any, Any]:
    """Nested lists, or one value, as an array of this dtype.

    Missing (None) are values of floats alone, and of datetimes. Datetimes may be integers too, of the dtype's unit, as MLflow saves them.

    Args:
        value: Python's own values, in lists.
        dtype: Any; what JSON has no values for, and objects, numpy converts as it does.
        encoded: Whether bytes come as base64, as in JSON.

    Raises:
        Misfit: A value that the dtype doesn't hold.
        ValueError: Lists that make no array.
    """
    if dtype.kind not in "biufUSM":
        return np.array(value, dtype)
    flat, shape = flattened(value)
    types = set(map(type, flat))
    if dtype.kind == "M" and types <= {int}:
        return np.array(flat, dtype).reshape(shape)
    if dtype.kind in _KINDS:
        column = column_of(flat, _KINDS[dtype.kind], encoded=encoded)
        if dtype.kind == "U" and None in flat:
            raise Misfit("a value is missing, and a tensor of strings has none for that", flat.index(None))
        return np.array(column, dtype).reshape(shape)
    return np.array(_converted(flat, types, dtype), dtype).reshape(shape)


def _converted(flat: list[Any], types: set[type], dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f" and dtype.itemsize == 8 and types <= {int, float, type(None)}:
        try:
            return np.array(flat, np.float64)
        except OverflowError:
            pass  # which one it is, is found below
    if (dtype.kind == "b" and types <= {bool}) or (dtype.kind in "iu" and types <= {int} and _within(flat, dtype)):
        return flat
    convert = converter(dtype)
    gap = np.nan if dtype.kind == "f" else None
    found = []
    for position, each in enumerate(flat):
        if each is None and gap is None:
            raise Misfit(f"a value is missing, and a tensor of {dtype} has none for that", position)
        try:
            found.append(gap if each is None else convert(each))
        except ValueError as error:
            raise Misfit(f"{shown(each)} is {error}", position) from None
    return found


def _within(integers: list[int], dtype: np.dtype[Any]) -> bool:
    bounds = np.iinfo(dtype)
    return not integers or (bounds.min <= min(integers) and max(integers) <= bounds.max)
