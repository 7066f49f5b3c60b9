"""Predictions to JSON bytes, with the very values that MLflow's server writes.

That includes NaN and Infinity as such, which Python's json reads but strict parsers don't; a model that should be read by those returns
None. Arrays of finite numbers go through orjson, everything else through the standard library.
"""

from __future__ import annotations

import base64
import datetime
import json
from typing import Any

import numpy as np
import pandas as pd

from deployer_scoring.errors import EncodingError
from deployer_scoring.wire.jsonbytes import orjson


def encode(predictions: Any, *, wrapped: bool) -> bytes:
    """The answer to a request: `{"predictions": ...}`, or the bare value.

    DataFrames and Series become lists of records, arrays lists, bytes base64, dates ISO 8601.

    Raises:
        EncodingError: A value has no JSON form.
    """
    if orjson is not None and _is_plain(predictions):
        plain = np.ascontiguousarray(predictions if predictions.dtype.kind != "f" else predictions.astype(np.float64))
        return orjson.dumps({"predictions": plain} if wrapped else plain, option=orjson.OPT_SERIALIZE_NUMPY)
    value = _without_pandas(predictions)
    try:
        return json.dumps({"predictions": value} if wrapped else value, default=_default).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodingError(f"the model's answer, {type(predictions).__name__}, can't be written as JSON: {error}") from error


def _is_plain(predictions: Any) -> bool:
    if type(predictions) is not np.ndarray or predictions.ndim == 0 or predictions.dtype.byteorder not in "=|":
        return False
    if predictions.dtype.kind == "f":
        return predictions.dtype.itemsize in {4, 8} and bool(np.isfinite(predictions).all())
    return predictions.dtype.kind in "biu"


def _without_pandas(predictions: Any) -> Any:
    if isinstance(predictions, np.ndarray):
        return predictions.tolist()
    if isinstance(predictions, pd.Series):
        return pd.DataFrame(predictions).to_dict(orient="records")
    if isinstance(predictions, pd.DataFrame):
        return predictions.to_dict(orient="records")
    return predictions


def _default(value: Any) -> Any:
    """What the standard library's encoder asks for a value that it doesn't know."""
    if isinstance(value, np.ndarray):
        return [_default_or_same(item) for item in value.tolist()] if value.dtype == object else value.tolist()
    if isinstance(value, np.generic):
        return value.item()  # of a datetime64 in nanoseconds an integer, else a date: MLflow's way
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, (datetime.date, datetime.time)):  # a datetime and pandas' Timestamp are dates
        return value.isoformat()
    if hasattr(value, "model_dump") and hasattr(type(value), "model_fields"):
        return value.model_dump()  # a pydantic model
    raise TypeError(f"{type(value).__name__} is not a type of JSON")


def _default_or_same(value: Any) -> Any:
    try:
        return _default(value)
    except TypeError:
        return value
