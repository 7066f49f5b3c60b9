"""Tensors held against their dtype and shape (MLflow's `_enforce_tensor_schema`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.columns import refusal
from deployer_scoring.enforcement.lists import array_of
from deployer_scoring.schema.signature import Schema, TensorSpec

if TYPE_CHECKING:
    Series = pd.Series[Any]


def enforce_tensors(data: Any, schema: Schema) -> Any:
    """The data as the schema's tensors: a dictionary of arrays where they have names, else one array (or sparse matrix).

    Raises:
        InvalidInput: A tensor is missing, of another dtype or of another shape. Arrays are never cast; lists in a DataFrame's
            column are reshaped and cast, because JSON told nothing of their type.
    """
    if not schema.has_input_names():
        return _unnamed(data, schema.tensors[0])
    if isinstance(data, dict):
        return {spec.name: _from_dictionary(data[spec.name], spec) for spec in schema.tensors}
    if isinstance(data, pd.DataFrame):
        return {spec.name: _from_column(data[spec.name], spec) for spec in schema.tensors}
    raise refusal(f"the model takes tensors by name, as a dictionary of arrays or a DataFrame, not {type(data).__name__}")


def _unnamed(data: Any, spec: TensorSpec) -> Any:
    if isinstance(data, pd.DataFrame):
        return _from_frame(data, spec)
    if isinstance(data, np.ndarray) or _is_sparse(data):
        return _checked(data, spec)
    raise refusal(f"the model takes one tensor, as an array or a DataFrame, not {type(data).__name__}")


def _is_sparse(data: Any) -> bool:
    """Whether this is scipy's matrix of compressed rows or columns. scipy is asked only where it could have made the value."""
    return type(data).__module__.startswith("scipy.sparse") and getattr(data, "format", None) in {"csr", "csc"}


def _from_dictionary(value: Any, spec: TensorSpec) -> Any:
    if not isinstance(value, np.ndarray):
        raise refusal(f"the tensor {spec.name!r} must be an array, not {type(value).__name__}")
    return _checked(value, spec)


def _from_frame(frame: pd.DataFrame, spec: TensorSpec) -> Any:
    if frame.empty:
        raise refusal("the DataFrame is empty")
    width = len(frame.columns)
    if width == 1:
        return _from_column(frame[frame.columns[0]], spec)
    if spec.shape != (-1, width):
        raise refusal(f"a DataFrame of {width} columns makes a tensor of shape [-1, {width}], but the model takes {list(spec.shape)}")
    return _checked(frame.to_numpy(), spec)


def _from_column(column: Series, spec: TensorSpec) -> Any:
    """The tensor that a column's values make, one row of the tensor each."""
    if spec.shape[0] != -1 or -1 in spec.shape[1:]:
        raise refusal(f"a DataFrame can't make a tensor of shape {list(spec.shape)}: only the first dimension may be free")
    first = column[0]
    if np.isscalar(first):
        if spec.shape not in {(-1,), (-1, 1)}:
            raise refusal(f"the column {column.name!r} holds single values, which make no tensor of shape {list(spec.shape)}")
        values = column.to_numpy() if _holds(column, spec) else _of_lists(column.tolist(), column, spec)
        return _checked(np.array(values, dtype=spec.to_numpy()).reshape(spec.shape), spec)
    if isinstance(first, list) and np.isscalar(first[0]):
        return _checked_length(_stacked([_of_lists(each, column, spec) for each in column], column, spec), column, spec)
    if isinstance(first, np.ndarray):
        return _checked_length(_stacked(column.tolist(), column, spec), column, spec)
    raise refusal("a DataFrame that makes a tensor must hold single values, or flat lists or arrays of them")


def _holds(column: Series, spec: TensorSpec) -> bool:
    """Whether the column is of numpy's kind that the tensor has, and no wider."""
    have, wanted = column.dtype, spec.to_numpy()
    return isinstance(have, np.dtype) and have.kind == wanted.kind and have.kind != "O" and have.itemsize <= wanted.itemsize


def _of_lists(value: Any, column: Series, spec: TensorSpec) -> Any:
    try:
        return array_of(value, spec.to_numpy(), encoded=False)
    except ValueError as error:
        raise refusal(f"in the column {column.name!r}, {error}") from error


def _stacked(values: list[Any], column: Series, spec: TensorSpec) -> Any:
    try:
        return np.vstack(values).reshape(spec.shape)
    except ValueError as error:
        raise refusal(f"the values of the column {column.name!r} can't be shaped into {list(spec.shape)}: {error}") from error


def _checked_length(tensor: Any, column: Series, spec: TensorSpec) -> Any:
    if len(tensor) != len(column):
        raise refusal(f"{len(column)} rows of the column {column.name!r} would make {len(tensor)} of a tensor of shape {list(spec.shape)}")
    return tensor


def _checked(tensor: Any, spec: TensorSpec) -> Any:
    expected, shape = spec.to_numpy(), tensor.shape
    have = tensor.dtype if isinstance(tensor, np.ndarray) else tensor.data.dtype
    if spec.shape == (-1,) and expected == np.dtype("O"):
        return tensor
    if len(spec.shape) > 1 and -1 in spec.shape[1:] and len(shape) == 1 and have == np.dtype("O"):
        return tensor  # ragged: the lengths of its rows differ, as the signature allows
    if len(shape) != len(spec.shape) or any(wanted not in {-1, length} for wanted, length in zip(spec.shape, shape)):
        raise refusal(f"the tensor's shape is {list(shape)}, but the model takes {list(spec.shape)}")
    # The length of strings and bytes is no part of the type.
    if (np.dtype(have.kind) if have.kind in "US" else have) != expected:
        raise refusal(f"the tensor's dtype is {have}, but the model takes {spec.type}")
    return tensor
