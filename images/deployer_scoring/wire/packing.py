"""Numbers of JSON as arrays, the fastest way there is, where all are what they must be; else the slower way (enforcement/lists.py) decides."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

_FEW = 32
_WIDE = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}
_TYPES: dict[str, set[type]] = {"f": {float, int}, "i": {int}, "u": {int}, "b": {bool}}


class Unlike(ValueError):
    """There is a boolean among the numbers."""


def packed(code: str, values: Sequence[Any]) -> Any:
    """Numbers as an array of doubles ("d") or of 64-bit integers ("q").

    Raises:
        struct.error: Text, gaps, or for integers a fraction or one past 64 bits.
        Unlike: A boolean, which packing takes for 1 or 0.
    """
    array = np.frombuffer(bytearray(struct.Struct(f"{len(values)}{code}").pack(*values)), code)
    perhaps = np.flatnonzero((array == 0) | (array == 1))
    if perhaps.size:
        few = perhaps.size < len(values) // 4
        if bool in set(map(type, map(values.__getitem__, perhaps.tolist()) if few else values)):
            raise Unlike
    return array


def numbers(value: Any, dtype: np.dtype[Any]) -> Any:
    """Nested lists of nothing but numbers that the dtype holds (or booleans, for booleans) as an array.

    Raises:
        TypeError, ValueError, OverflowError, struct.error: Anything else is among them, or the lists make no array.
    """
    flat, shape = _flattened(value)
    kind = dtype.kind
    if len(flat) < _FEW or kind == "b":
        if not set(map(type, flat)) <= _TYPES[kind]:
            raise TypeError("not numbers alone")
        found: Any = np.array(flat, _WIDE[kind])
    else:
        found = packed("d" if kind == "f" else "q", flat)
    if dtype != found.dtype:
        bounds: Any = np.finfo(dtype) if kind == "f" else np.iinfo(dtype)
        if flat and not (bounds.min <= found.min() and found.max() <= bounds.max):
            raise OverflowError("not within the dtype's range")
        found = found.astype(dtype)
    return found if len(shape) == 1 else found.reshape(shape)


def _flattened(value: Any) -> tuple[Sequence[Any], list[int]]:
    """As `lists.flattened`, without a look at the values: what is none of a list's stands among them, or raises."""
    level, shape = value, [len(value)]
    while level and type(level[0]) is list:
        (length,) = set(map(len, level))
        shape.append(length)
        level = tuple(chain.from_iterable(level))  # which a call takes as its arguments without a copy
    return level, shape
