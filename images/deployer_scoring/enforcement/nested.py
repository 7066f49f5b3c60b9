"""Values within a column held against arrays, objects and maps (MLflow's `_enforce_type` and what it calls)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.columns import cast_column, refusal
from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.datatypes import AnyType, Array, ColumnType, DataType, Map, Object


def enforce_value(value: Any, expected: ColumnType, required: bool = True) -> Any:
    """The value as its type demands: scalars as numpy's, lists as lists, arrays as arrays.

    Raises:
        InvalidInput: The value doesn't fit; the message names the key it lies under.
    """
    if isinstance(expected, DataType):
        return _scalar(value, expected, required)
    if isinstance(expected, Array):
        return _array(value, expected, required)
    if isinstance(expected, Object):
        return _object(value, expected, required)
    if isinstance(expected, Map):
        return _map(value, expected, required)
    return value


def _scalar(value: Any, expected: DataType, required: bool) -> Any:
    if not required and (value is None or (isinstance(value, float) and np.isnan(value))):
        return None
    if not np.isscalar(value):
        raise refusal(f"a value of type {expected} was expected, not {type(value).__name__}")
    try:
        return cast_column("", pd.Series([value]), expected)[0]
    except InvalidInput as error:
        raise refusal(f"{value!r} can't be cast safely to {expected}") from error


def _array(value: Any, expected: Array, required: bool) -> Any:
    may_be_empty = not required or isinstance(expected.dtype, AnyType)
    if may_be_empty and (value is None or (isinstance(value, (list, np.ndarray)) and len(value) == 0)):
        return value
    if not isinstance(value, (list, np.ndarray)):
        raise refusal(f"a list was expected, not {type(value).__name__}")
    if not isinstance(expected.dtype, DataType):
        items = [enforce_value(item, expected.dtype, required) for item in value]
        return np.array(items) if isinstance(value, np.ndarray) else items
    if len(value) == 0:
        return value
    try:
        column = cast_column("", pd.Series(value), expected.dtype)
    except InvalidInput as error:
        raise refusal(f"the items of a list can't be cast safely to {expected.dtype}: {error}") from error
    cast = column.to_numpy(dtype=expected.dtype.to_numpy())
    return cast.tolist() if isinstance(value, list) else cast


def _object(value: Any, expected: Object, required: bool) -> Any:
    if not required and (value is None or value == {}):
        return value
    if not isinstance(value, dict):
        raise refusal(f"an object was expected, not {type(value).__name__}")
    properties = {each.name: each for each in expected.properties}
    if missing := [name for name, each in properties.items() if each.required and name not in value]:
        raise refusal(f"an object lacks {', '.join(map(repr, missing))}")
    if unknown := [name for name in value if name not in properties]:
        raise refusal(f"an object has keys that the signature doesn't know: {', '.join(map(repr, unknown))}")
    return {name: _under(name, item, properties[name].dtype, properties[name].required) for name, item in value.items()}


def _map(value: Any, expected: Map, required: bool) -> Any:
    may_be_empty = not required or isinstance(expected.value_type, AnyType)
    if may_be_empty and (value is None or value == {}):
        return value
    if not isinstance(value, dict):
        raise refusal(f"an object was expected, not {type(value).__name__}")
    if not all(isinstance(key, str) for key in value):
        raise refusal("the keys of a map must be strings")
    return {key: _under(key, item, expected.value_type, required) for key, item in value.items()}


def _under(key: str, value: Any, expected: ColumnType, required: bool) -> Any:
    try:
        return enforce_value(value, expected, required)
    except InvalidInput as error:
        raise refusal(f"under {key!r}: {error}") from error
