"""Data held against a signature, before the model sees it (MLflow's `_enforce_schema`, version 3.17).

A missing column is refused by name, an extra one ignored; the order is the signature's, by name where it has names and by position
where it has none; what can be cast without loss is cast (columns.py), nested values are checked (nested.py), tensors too (tensors.py).
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.columns import cast_column, refusal
from deployer_scoring.enforcement.nested import enforce_value
from deployer_scoring.enforcement.tensors import enforce_tensors
from deployer_scoring.enforcement.values import objects
from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.datatypes import Array, DataType, Object
from deployer_scoring.schema.signature import ColSpec, Schema

_MOST_NAMED = 10


def enforce(data: Any, schema: Optional[Schema]) -> Any:
    """The data as the model's signature demands it, unchanged where there is none.

    Args:
        data: A DataFrame, Series, array, sparse matrix, list, dictionary or scalar.
        schema: The signature's inputs.

    Returns:
        For columns a DataFrame with the schema's columns in its order; for tensors an array or a dictionary of arrays.

    Raises:
        InvalidInput: The data doesn't fit.
    """
    if schema is None:
        return data
    try:
        return _enforced(data, schema)
    except InvalidInput:
        raise
    except Exception as error:
        # pandas and numpy have their own words for data that they can't cast.
        raise refusal(f"the input doesn't fit the model's signature: {type(error).__name__}: {error}") from error


def _enforced(data: Any, schema: Schema) -> Any:
    if isinstance(data, pd.Series):
        data = pd.DataFrame(data)
    if not schema.is_tensor_spec():
        data = _as_frame(data, schema)
    if schema.has_input_names():
        data = _check_names(data, schema)
    if schema.is_tensor_spec():
        return enforce_tensors(data, schema)
    return _columns_by_name(data, schema) if schema.has_input_names() else _columns_by_position(data, schema)


def _as_frame(data: Any, schema: Schema) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, np.ndarray):
        return pd.DataFrame(data)
    if isinstance(data, dict) and not _is_one_row(data, schema):
        return _with_text(_frame_of_columns(data))
    if isinstance(data, list) or np.isscalar(data) or isinstance(data, dict):
        # As objects: pandas would have integers beside missing values as floats.
        return _with_text(pd.DataFrame(data if isinstance(data, list) else [_row(data)], dtype=object))
    raise refusal(f"the model takes columns, which {type(data).__name__} doesn't have")


def _row(data: Any) -> Any:
    """The cells of a dictionary, arrays of no dimension as what they hold."""
    if not isinstance(data, dict):
        return data
    return {name: each.item() if isinstance(each, np.ndarray) and not each.ndim else each for name, each in data.items()}


def _with_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its columns of strings in the dtype that pandas has for them."""
    for name in frame.columns if frame.columns.is_unique else ():
        if frame[name].dtype == object and pd.api.types.infer_dtype(frame[name], skipna=True) == "string":
            frame[name] = pd.Series(frame[name].tolist(), index=frame.index)
    return frame


def _is_one_row(data: dict[str, Any], schema: Schema) -> bool:
    """Whether a dictionary is one row (its values are cells) and not columns (its values are lists)."""

    def is_cell(value: Any) -> bool:
        return np.isscalar(value) or value is None or (isinstance(value, list) and all(isinstance(item, str) for item in value))

    def is_text(value: Any) -> bool:
        return isinstance(value, np.ndarray) and value.dtype.type == np.str_ and value.shape == ()

    nested = any(isinstance(each.type, (Array, Object)) for each in schema.columns)
    return nested or all(map(is_cell, data.values())) or all(map(is_text, data.values()))


def _frame_of_columns(data: dict[str, Any]) -> pd.DataFrame:
    # A DataFrame can't be made of arrays with several dimensions; as lists they get as far as a clear refusal.
    flat = {name: value.tolist() if isinstance(value, np.ndarray) and value.ndim > 1 else value for name, value in data.items()}
    flat = {name: objects(value) if isinstance(value, list) else value for name, value in flat.items()}
    try:
        return pd.DataFrame(flat)
    except Exception as error:
        raise refusal(f"the input makes no DataFrame: {error}") from error


def _check_names(data: Any, schema: Schema) -> Any:
    required = schema.required_input_names()
    if isinstance(data, np.ndarray) and len(set(required)) == 1:
        return {required[0]: data}
    present = set(data.columns) if isinstance(data, pd.DataFrame) else set(data) if isinstance(data, dict) else set()
    if missing := [name for name in required if name not in present]:
        known = {*required, *schema.optional_input_names()}
        extra = sorted(str(name) for name in present if name not in known)
        raise refusal(
            f"the input lacks {', '.join(map(repr, missing))}, which the model needs"
            + (f"; it has {_listed(extra)}, which the model doesn't know" if extra else "")
        )
    return data


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(repr, names[:_MOST_NAMED])) + more


def _columns_by_name(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    return pd.DataFrame({each.name: _column(frame, each.name, each) for each in schema.columns if each.name in frame})


def _columns_by_position(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    if len(frame.columns) < len(schema):
        raise refusal(f"the input has {len(frame.columns)} columns, but the model needs {len(schema)}")
    return pd.DataFrame({name: _column(frame, name, each) for name, each in zip(frame.columns, schema.columns)})


def _column(frame: pd.DataFrame, name: Any, spec: ColSpec) -> Any:
    values = frame[name]
    if isinstance(values, pd.DataFrame):
        raise refusal(f"the column {name!r} is there more than once")
    if isinstance(spec.type, DataType):
        if spec.type is DataType.string and _is_prompt(values):
            return values
        return cast_column(name, values, spec.type, spec.required)
    found = []
    for row, value in enumerate(values, 1):
        try:
            found.append(enforce_value(value, spec.type, spec.required))
        except InvalidInput as error:
            raise refusal(f"in row {row} of the column {name!r}, {error}") from error
    return pd.Series(found, index=frame.index, name=name)


def _is_prompt(values: Any) -> bool:
    """Whether this is the one row of a call of a language model, where several strings may stand for one."""
    return len(values) == 1 and isinstance(values.iloc[0], list) and all(isinstance(each, str) for each in values.iloc[0])
