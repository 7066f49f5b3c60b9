"""Values within a column held against arrays, objects and maps (MLflow's `_enforce_type` and what it calls)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.columns import cast_column, refusal
from deployer_scoring.enforcement.values import Misfit, column_of, is_missing
from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.datatypes import AnyType, Array, ColumnType, DataType, Map, Object


def enforce_value(value: Any, expected: ColumnType, required: bool = True, *, encoded: bool = False) -> Any:
    """The value as its type demands: scalars as numpy's or pandas', lists as lists, arrays as arrays.

    Args:
        value: Anything.
        expected: Its type.
        required: Whether it must be there.
        encoded: Whether bytes in it come as base64, as in JSON.

    Raises:
        InvalidInput: The value doesn't fit; the message names the key it lies under.
    """
    if isinstance(expected, DataType):
        return _scalar(value, expected, required, encoded)
    if isinstance(expected, Array):
        return _array(value, expected, required, encoded)
    if isinstance(expected, Object):
        return _object(value, expected, required, encoded)
    if isinstance(expected, Map):
        return _map(value, expected, required, encoded)
    return value


def _scalar(value: Any, expected: DataType, required: bool, encoded: bool) -> Any:
    if not required and is_missing(value):
        return None
    return _one(column_of([value], expected, required=required, encoded=encoded))


def _one(column: Any) -> Any:
    """The first value; a datetime as pandas', which knows nanoseconds as numpy's does, and is Python's too."""
    return pd.Timestamp(column[0]) if column.dtype.kind == "M" else column[0]


def _array(value: Any, expected: Array, required: bool, encoded: bool) -> Any:
    may_be_empty = not required or isinstance(expected.dtype, AnyType)
    if may_be_empty and (is_missing(value) or (isinstance(value, (list, np.ndarray)) and len(value) == 0)):
        return value
    if not isinstance(value, (list, np.ndarray)):
        raise refusal(f"a list was expected, not {type(value).__name__}")
    if not isinstance(expected.dtype, DataType):
        items = [enforce_value(item, expected.dtype, required, encoded=encoded) for item in value]
        return np.array(items) if isinstance(value, np.ndarray) else items
    if len(value) == 0:
        return value
    try:
        if isinstance(value, np.ndarray) and value.dtype != object:
            return cast_column("", pd.Series(value), expected.dtype).to_numpy(dtype=expected.dtype.to_numpy())
        column = column_of(list(value), expected.dtype, required=required, encoded=encoded)
    except Misfit as error:
        raise refusal(f"in item {error.position + 1} of a list, {error}") from error
    except InvalidInput as error:
        raise refusal(f"the items of a list can't be cast safely to {expected.dtype}: {error}") from error
    if isinstance(value, list):
        return _listed(column)
    return _of_text(column, expected.dtype) if column.dtype == object and None not in column else column


def _of_text(column: Any, kind: DataType) -> Any:
    """Strings or bytes in numpy's own kind of array, as MLflow has them, but where that would cut off NULs at an end."""
    texts = column.astype(kind.to_numpy())
    return texts if texts.tolist() == column.tolist() else column


def _listed(column: Any) -> list[Any]:
    if isinstance(column, np.ndarray) and column.dtype.kind != "M":
        return list(column.tolist())
    return [None if is_missing(item) else item for item in (pd.DatetimeIndex(column) if column.dtype.kind == "M" else column.tolist())]


def _object(value: Any, expected: Object, required: bool, encoded: bool) -> Any:
    if not required and (is_missing(value) or value == {}):
        return value
    if not isinstance(value, dict):
        raise refusal(f"an object was expected, not {type(value).__name__}")
    properties = {each.name: each for each in expected.properties}
    if missing := [name for name, each in properties.items() if each.required and name not in value]:
        raise refusal(f"an object lacks {', '.join(map(repr, missing))}")
    if unknown := [name for name in value if name not in properties]:
        raise refusal(f"an object has keys that the signature doesn't know: {', '.join(map(repr, unknown))}")
    return {name: _under(name, item, properties[name].dtype, properties[name].required, encoded) for name, item in value.items()}


def _map(value: Any, expected: Map, required: bool, encoded: bool) -> Any:
    may_be_empty = not required or isinstance(expected.value_type, AnyType)
    if may_be_empty and (is_missing(value) or value == {}):
        return value
    if not isinstance(value, dict):
        raise refusal(f"an object was expected, not {type(value).__name__}")
    if not all(isinstance(key, str) for key in value):
        raise refusal("the keys of a map must be strings")
    return {key: _under(key, item, expected.value_type, required, encoded) for key, item in value.items()}


def _under(key: str, value: Any, expected: ColumnType, required: bool, encoded: bool) -> Any:
    try:
        return enforce_value(value, expected, required, encoded=encoded)
    except InvalidInput as error:
        raise refusal(f"under {key!r}: {error}") from error
