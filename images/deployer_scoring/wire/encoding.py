"""Predictions to JSON bytes, with the very values that MLflow's server writes.

That includes NaN and Infinity as such, which Python's json reads but strict parsers don't; a model that should be read by those returns
None. Arrays of numbers go to orjson as they stand, plain lists and dictionaries and the columns of a frame without a walk in Python;
what orjson would write otherwise than the standard library (NaN, 32-bit floats, anything that is not a type of JSON) goes through the latter.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import json
import math
import uuid
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any, Optional

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from deployer_scoring.errors import EncodingError
from deployer_scoring.wire.jsonbytes import orjson

_SCALARS = {str, int, float, bool, type(None)}
_DEEPEST = 200  # orjson writes down to 254; a list that holds itself has no end
_FEW = 16


def encode(predictions: Any, *, wrapped: bool) -> bytes:
    """The answer to a request: `{"predictions": ...}`, or the bare value.

    DataFrames and Series become lists of records, arrays lists, bytes base64, dates ISO 8601.

    Raises:
        EncodingError: A value has no JSON form.
    """
    value, types = _without_numpy_and_pandas(predictions)
    written = None if orjson is None else _written(value, types)
    if written is None:
        return _by_the_standard_library(value, wrapped, type(predictions).__name__)
    return b'{"predictions":' + written + b"}" if wrapped else written


def _by_the_standard_library(value: Any, wrapped: bool, kind: str) -> bytes:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    try:
        return json.dumps({"predictions": value} if wrapped else value, default=_default).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodingError(f"the model's answer, {kind}, can't be written as JSON: {_in_words(error)}") from error


def _in_words(error: Exception) -> str:
    if isinstance(error, RecursionError) or "Circular reference" in str(error):
        return "it is nested too deeply, or holds itself"
    said = str(error)
    return f"a key of an object is a {said.rpartition(' not ')[2]}; keys are strings" if said.startswith("keys must be") else said


def _written(value: Any, types: Optional[set[type]]) -> Optional[bytes]:
    """The value by orjson; None where the standard library would write it otherwise.

    Args:
        value: Anything.
        types: Those of all scalars in it, where that is known already.
    """
    try:
        if type(value) is np.ndarray:
            if value.ndim and value.dtype.kind in "fbiu":
                return _written_numbers(value)
            if not value.ndim or value.dtype.kind not in "OU":
                return None
            value = value.tolist()
        types = types or _types_within(value)
        if types is None:
            return None
        written: bytes = orjson.dumps(value)
        return None if float in types and b"null" in written else written  # orjson writes NaN and Infinity as null
    except (TypeError, ValueError):  # an integer past 64 bits, a lone surrogate, an array that orjson can't read
        return None


def _written_numbers(values: np.ndarray[Any, Any]) -> Optional[bytes]:
    gaps = False
    if values.dtype.kind == "f":
        if values.ndim == 1 and len(values) <= _FEW:  # for few numbers numpy's functions cost more than Python's
            numbers = values.tolist()
            return orjson.dumps(numbers) if all(map(math.isfinite, numbers)) else None
        if values.dtype.itemsize not in {4, 8}:
            return None
        if not np.isfinite(values).all():
            gaps = True
            if np.isinf(values).any():
                return None
        values = values.astype(np.float64, copy=False)  # 32 bits as the double that they are, not as the shortest text
    if not values.dtype.isnative:
        return None
    written: bytes = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return written.replace(b"null", b"NaN") if gaps else written


def _types_within(value: Any) -> Optional[set[type]]:
    """The types of all scalars in a value of lists, tuples and dictionaries; None where anything else is in it.

    It goes level by level, so that the work is done by functions of C.
    """
    found: set[type] = set()
    level: Sequence[Any] = [value]
    for _ in range(_DEEPEST):
        types = set(map(type, level))
        found |= types & _SCALARS
        types -= _SCALARS
        if not types:
            return found
        if not types <= {list, tuple, dict}:
            return None
        mappings = [each for each in level if type(each) is dict] if dict in types else []
        if mappings and not set(map(type, chain.from_iterable(mappings))) <= {str}:
            return None
        sequences = [each for each in level if type(each) in (list, tuple)] if types != {dict} else []
        level = [*chain.from_iterable(sequences), *chain.from_iterable(map(dict.values, mappings))]
    return None


def _without_numpy_and_pandas(predictions: Any) -> tuple[Any, Optional[set[type]]]:
    """Frames and series as records, numpy's arrays and scalars within a list or dictionary as Python's; and the types in it if known."""
    if isinstance(predictions, pd.Series):
        predictions = pd.DataFrame(predictions)
    if isinstance(predictions, pd.DataFrame):
        return _records(predictions) or (predictions.to_dict(orient="records"), None)
    if type(predictions) is dict:
        return {name: _plain(item) for name, item in predictions.items()}, None
    if type(predictions) is list:
        if predictions and isinstance(predictions[0], (np.ndarray, np.generic)):
            return [*map(_plain, predictions)], None
    elif isinstance(predictions, (ExtensionArray, pd.Index)):
        return list(predictions), None
    return predictions, None


def _plain(item: Any) -> Any:
    return item.tolist() if isinstance(item, (np.ndarray, np.generic)) and item.dtype.kind in "fbiuU" else item


def _records(frame: pd.DataFrame) -> Optional[tuple[list[dict[str, Any]], set[type]]]:
    """What `to_dict` gives, and the types of the values; None where they are not all Python's own scalars, or the names are strange."""
    names = frame.columns.tolist()
    texts = [*map(str, names)]
    if not set(map(type, names)) <= {str, int} or len(set(texts)) != len(texts):
        return None
    columns = [column.tolist() for _, column in frame.items() if _has_plain_type(column.dtype)]
    types = {kind for column in columns for kind in set(map(type, column))}
    if len(columns) != len(names) or not types or not types <= _SCALARS:
        return None
    return list(map(dict, map(zip, repeat(texts), zip(*columns)))), types


def _has_plain_type(dtype: Any) -> bool:
    if isinstance(dtype, np.dtype):
        return dtype.kind in "biufO"
    return isinstance(dtype, pd.StringDtype)


def _default(value: Any) -> Any:
    """What the standard library's encoder asks for a value that it doesn't know."""
    if value is pd.NA:
        return None
    if isinstance(value, np.ndarray):
        return [_default_or_same(item) for item in value.tolist()] if value.dtype == object else value.tolist()
    if isinstance(value, np.generic) and not isinstance(value, np.complexfloating):
        # Of a datetime64 in nanoseconds an integer, else a date: MLflow's way. A long double's `item` is itself.
        return float(value) if isinstance(value, np.longdouble) else value.item()
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, (datetime.date, datetime.time)):  # a datetime and pandas' Timestamp are dates
        return value.isoformat()
    return _written_as_text(value)


def _written_as_text(value: Any) -> Any:
    """What type hints may name, in the form in which they take it; a pydantic model as its fields."""
    if hasattr(value, "model_dump") and hasattr(type(value), "model_fields"):
        return value.model_dump()
    if hasattr(value, "dict") and hasattr(type(value), "__fields__"):
        return value.dict()  # of pydantic 1
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    if isinstance(value, datetime.timedelta):
        return pd.Timedelta(value).isoformat()
    if isinstance(value, (set, frozenset)):
        return [*value]
    kind = "complex numbers are" if isinstance(value, (complex, np.complexfloating)) else f"{type(value).__name__} is"
    raise TypeError(f"{kind} not a type of JSON")


def _default_or_same(value: Any) -> Any:
    try:
        return _default(value)
    except TypeError:
        return value
