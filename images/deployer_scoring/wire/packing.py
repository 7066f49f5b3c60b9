"""Numbers of JSON as arrays, the fastest way there is, where all are what they must be; else the slower way (enforcement/lists.py) decides."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from deployer_scoring.enforcement.lists import flattened

_FEW = 32
_TYPES: dict[str, set[type]] = {"f": {float, int}, "i": {int}, "u": {int}, "b": {bool}}


class Unlike(ValueError):
    """There is a boolean among the numbers."""


def packed(code: str, values: Sequence[Any]) -> Any:
    """Numbers as an array of doubles ("d") or of 64-bit integers ("q").

    Raises:
        struct.error: Text, gaps, or for integers a fraction or one past 64 bits.
        Unlike: A boolean, which packing takes for 1 or 0.
    """
    array = np.frombuffer(bytearray(struct.pack(f"{len(values)}{code}", *values)), code)
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
    flat, shape = flattened(value)
    if len(flat) < _FEW or dtype.kind == "b":
        if not set(map(type, flat)) <= _TYPES[dtype.kind]:
            raise TypeError("not numbers alone")
        wide: Any = np.array(flat, {"f": np.float64, "b": np.bool_}.get(dtype.kind, np.int64))
    else:
        wide = packed("d" if dtype.kind == "f" else "q", flat)
    if dtype != wide.dtype and wide.size and not (_bounds(dtype).min <= wide.min() and wide.max() <= _bounds(dtype).max):
        raise OverflowError("not within the dtype's range")
    return wide.astype(dtype, copy=False).reshape(shape)


def _bounds(dtype: np.dtype[Any]) -> Any:
    return np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
