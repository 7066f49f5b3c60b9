"""The one rule that turns values into a column of a type: for JSON, CSV, the Open Inference Protocol, params, and Python's own objects alike.

A value is taken where the type holds it as it is. Whole floats are integers, 0 and 1 are booleans, datetimes of any zone become UTC's without
one; floats are rounded to their bits, as every JSON number is. Nothing else is converted: what a cast would change is refused with its row.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import re
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np
import pandas as pd

from deployer_scoring.errors import INVALID_PARAMETER_VALUE, InvalidInput
from deployer_scoring.schema.datatypes import DataType

MISSING_INTEGERS = (
    "The column has missing values, which required integers can't: declare the column as double or as optional in the model's signature"
    " (infer it from data that has missing values too)"
)
_NULLABLE = {DataType.boolean: "boolean", DataType.integer: "Int32", DataType.long: "Int64"}
_LONGEST_SHOWN = 60
_LINE_ENDS = str.maketrans("", "", "\r\n")  # base64 as MIME and MLflow write it comes in lines
_ISO_8601 = re.compile(
    r"\d{4}(-\d\d)?|(\d{4}-\d\d-\d\d|\d{8})([T ]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)? ?(Z|[+-]\d\d(:?\d\d)?)?)?",
    re.ASCII,
)


class Misfit(InvalidInput):
    """A value that a type doesn't hold.

    Attributes:
        position: Where it is among the values, from 0.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)
        self.position = position


def column_of(values: Sequence[Any], kind: DataType, *, required: bool = True, encoded: bool = False) -> Any:
    """The values as one array of the type: numpy's, or pandas' nullable one for integers and booleans with missing values.

    Missing are None, NaN, NaT and NA: NaN among numbers, NaT among datetimes, None among strings and bytes.

    Args:
        values: Python's, numpy's or pandas' scalars.
        kind: The type.
        required: Whether the column is. Then booleans, integers and bytes may not be missing, as they have no value for that of their own.
        encoded: Whether bytes come as base64, as in JSON and CSV.

    Raises:
        Misfit: A value isn't of the type; its position is that of the first one.
    """
    values = values if type(values) is list else list(values)
    types = set(map(type, values))
    if types <= _PLAIN[kind]:
        try:
            return np.array(values, kind.to_pandas())
        except OverflowError:
            pass  # which one it is, is found below
    gaps = _gaps(values, types)
    if any(gaps) and required and kind in _HAVE_NO_GAPS:
        advice = f". {MISSING_INTEGERS}" if kind in {DataType.integer, DataType.long} else ""
        raise Misfit(f"a value is missing: a required {kind} has to be there{advice}", gaps.index(True))
    if kind is DataType.datetime:
        return _datetimes(values, gaps)
    return _array(_converted(values, gaps, _convert(kind, encoded)), gaps, kind)


def objects(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """One array of objects, whatever they are."""
    array = np.empty(len(values), dtype=object)
    if set(map(type, values)) <= {str, bytes, type(None)}:
        array[:] = values
    else:
        for at, value in enumerate(values):  # one by one: a list of lists would be taken for a matrix
            array[at] = value
    return array


def shown(value: Any) -> str:
    """A value as a message quotes it."""
    if value is None:
        return "null"
    text = repr(value.item() if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.longdouble)) else value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: None, NaN, NaT or NA."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, (float, np.floating)) and bool(value != value))  # noqa: PLR0124


_HAVE_NO_GAPS = {DataType.boolean, DataType.integer, DataType.long, DataType.binary}
# Types whose values need no look at each, if numpy takes them.
_PLAIN: dict[DataType, set[type]] = {
    DataType.boolean: {bool},
    DataType.integer: set(),  # numpy 1 makes other integers of those that are out of range
    DataType.long: {int},
    DataType.float: set(),
    DataType.double: {float, int},
    DataType.string: {str},
    DataType.binary: {bytes},
    DataType.datetime: set(),
}


def _gaps(values: list[Any], types: set[type]) -> list[bool]:
    if types <= {str, int, bool, bytes}:
        return [False] * len(values)
    if types <= {str, int, bool, bytes, type(None)}:
        return [value is None for value in values]
    return list(map(is_missing, values))


def _converted(values: list[Any], gaps: list[bool], convert: Callable[[Any], Any]) -> list[Any]:
    converted = []
    for position, (value, missing) in enumerate(zip(values, gaps)):
        try:
            converted.append(None if missing else convert(value))
        except ValueError as error:
            raise Misfit(f"{shown(value)} is {error}", position) from None
    return converted


def _array(values: list[Any], gaps: list[bool], kind: DataType) -> Any:
    if kind in _NULLABLE and any(gaps):
        return pd.array(values, dtype=_NULLABLE[kind])  # type: ignore[call-overload,unused-ignore]
    if kind in {DataType.string, DataType.binary}:
        return objects(values)
    return np.array(values, kind.to_numpy())


def converter(dtype: np.dtype[Any]) -> Callable[[Any], Any]:
    """What turns one value, that isn't missing, into a number or boolean of a dtype.

    It raises ValueError for what the dtype doesn't hold, with what the value is instead: "no whole number".
    """
    if dtype.kind == "b":
        return _boolean
    return _whole(dtype) if dtype.kind in "iu" else _float(dtype)


def _boolean(value: Any) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if _is_number(value) and value in (0, 1):
        return bool(value)
    raise ValueError("no boolean; of numbers only 0 and 1 are taken for one" if _is_number(value) else "no boolean")


def _whole(dtype: np.dtype[Any]) -> Callable[[Any], int]:
    bounds = np.iinfo(dtype)
    lowest, highest = int(bounds.min), int(bounds.max)

    def whole(value: Any) -> int:
        if not _is_number(value):
            raise ValueError("no integer")
        try:
            integer = int(value)
        except (ValueError, OverflowError):
            raise ValueError("no integer") from None  # infinity
        if integer != value:
            raise ValueError("no whole number")
        if not lowest <= integer <= highest:
            raise ValueError(f"out of the range of {dtype}")
        return integer

    return whole


def _float(dtype: np.dtype[Any]) -> Callable[[Any], Any]:
    def converted(value: Any) -> Any:
        if not _is_number(value):
            raise ValueError("no number")
        try:
            with np.errstate(over="ignore"):
                found = dtype.type(float(value))
        except OverflowError:
            found = dtype.type(np.inf)
        if np.isinf(found) and not (isinstance(value, (float, np.floating)) and np.isinf(value)):
            raise ValueError(f"out of the range of {dtype}")
        return found

    return converted


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating, decimal.Decimal)) and not isinstance(value, bool)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no string")
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray)):
        raise ValueError("not binary")
    return value if isinstance(value, bytes) else bytes(value)


def _base64(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("not binary, which is base64 in a string")
    text = value.translate(_LINE_ENDS)
    if len(text) % 4:
        raise ValueError("no base64: its length is no multiple of 4")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("no base64") from None


def _convert(kind: DataType, encoded: bool) -> Callable[[Any], Any]:
    if kind is DataType.binary:
        return _base64 if encoded else _bytes
    return _string if kind is DataType.string else converter(kind.to_numpy())


def _datetimes(values: list[Any], gaps: list[bool]) -> Any:
    """Datetimes of nanoseconds in UTC, without a zone; those that come without one stay as they are."""
    for position, (value, missing) in enumerate(zip(values, gaps)):
        if not missing and not _is_datetime(value):
            raise Misfit(f"{shown(value)} is no datetime, as ISO 8601 writes it", position)
    given = [None if missing else value for value, missing in zip(values, gaps)]
    try:
        return _in_utc(given)
    except (ValueError, OverflowError, TypeError):
        for position, value in enumerate(given):
            try:
                _in_utc([value])
            except (ValueError, OverflowError, TypeError):
                raise Misfit(f"{shown(value)} is no datetime of the years 1678 to 2261", position) from None
        raise


def _is_datetime(value: Any) -> bool:
    if isinstance(value, str):
        return _ISO_8601.fullmatch(value) is not None
    return isinstance(value, (dt.date, np.datetime64))  # pandas' Timestamp and Python's datetime are dates


def _in_utc(values: list[Any]) -> Any:
    parsed = pd.DatetimeIndex(pd.to_datetime(values, utc=True, **_FORMAT)).tz_localize(None)
    return (parsed if parsed.dtype == "datetime64[ns]" else parsed.as_unit("ns")).to_numpy()


# Before version 2 pandas looked at each value by itself, and had no word for it.
_FORMAT: dict[str, Any] = {} if int(pd.__version__.partition(".")[0]) < 2 else {"format": "ISO8601"}
