"""A signature inferred from data: what the model was trained on, what it answered, the params it takes (MLflow's `infer_signature`).

Arrays and dictionaries of arrays make tensors, everything else columns. Types follow MLflow 3.17 value by value, so that the same data makes
the same MLmodel.
"""

from __future__ import annotations

import copy
import datetime as dt
import logging
import math
import sys
import warnings
from collections.abc import Mapping
from typing import Any, Optional, Union

import numpy as np
import pandas as pd

from deployer_scoring.errors import SchemaError
from deployer_scoring.format.merging import merged
from deployer_scoring.schema.datatypes import AnyType, Array, ColumnType, DataType, Object, Property
from deployer_scoring.schema.signature import ColSpec, ModelSignature, ParamSchema, ParamSpec, Schema, TensorSpec

_log = logging.getLogger(__name__)

_SCALARS: dict[type, DataType] = {
    bool: DataType.boolean,
    np.bool_: DataType.boolean,
    int: DataType.long,
    np.int64: DataType.long,
    np.int32: DataType.integer,
    float: DataType.double,
    np.float64: DataType.double,
    np.float32: DataType.float,
    str: DataType.string,
    np.str_: DataType.string,
    bytes: DataType.binary,
    np.bytes_: DataType.binary,
    bytearray: DataType.binary,
    object: DataType.string,
    dt.datetime: DataType.datetime,
    dt.date: DataType.datetime,
    np.datetime64: DataType.datetime,
}
_HINT = (
    "the schema has integer columns, which can't hold missing values: data with gaps arrives as floats and is refused. Infer the schema from"
    " data that has gaps too, or declare such columns as double"
)


class NoSignature(SchemaError):
    """Data that no signature stands for, not even one that says any: pydantic models, whose signature the type hint of predict makes, and
    names of columns with levels, which MLflow writes as lists and then refuses in the very frame they came from."""


def infer_signature(model_input: Any = None, model_output: Any = None, params: Optional[Mapping[str, Any]] = None) -> ModelSignature:
    """The signature of data like this.

    Args:
        model_input, model_output: A DataFrame, Series, array, dictionary of arrays, sparse matrix (CSR or CSC), Spark DataFrame, scalar, or
            lists and dictionaries of these scalars. What has no schema becomes one column of any type, with a warning in the log.
        params: Values that requests may set; they become the defaults.

    Raises:
        SchemaError: Nothing given; params without a type; pydantic models as data.
    """
    if model_input is None and model_output is None and not params:
        raise SchemaError("a signature is inferred from an input, an output or params, and none of them was given")
    return ModelSignature(
        inputs=_schema_or_any(model_input, "input"),
        outputs=_schema_or_any(model_output, "output"),
        params=infer_params(params) if params else None,
    )


def infer_schema(data: Any) -> Schema:
    """The schema of data, as `infer_signature`.

    Raises:
        SchemaError: Data that has none: values of several types in one list, empty arrays, a type that MLflow doesn't know.
    """
    schema = _schema(data)
    if any(each.type in {DataType.integer, DataType.long} for each in schema.columns if isinstance(each.type, DataType)):
        warnings.warn(_HINT, stacklevel=2)
    return schema


def infer_params(params: Mapping[str, Any]) -> ParamSchema:
    """The schema of params: each value is the parameter's default.

    Raises:
        SchemaError: A value that is neither a scalar, nor a flat list of them, nor a dictionary; all such are named.
    """
    if not isinstance(params, dict):
        raise SchemaError(f"params are a dictionary, not {type(params).__name__}")
    found: list[ParamSpec] = []
    wrong: list[str] = []
    for name, value in params.items():
        try:
            kind, shape = _param_type(value)
            found.append(ParamSpec(name, kind, copy.deepcopy(value), shape))
        except SchemaError as error:
            wrong.append(f"{name}: {error}")
    if wrong:
        raise SchemaError(f"no type for these params: {'; '.join(wrong)}")
    return ParamSchema(found)


def _schema_or_any(data: Any, what: str) -> Optional[Schema]:
    if data is None:
        return None
    try:
        return infer_schema(data)
    except NoSignature:
        raise
    except Exception as error:  # numpy and pandas have their own words for what they can't look at
        _log.warning("the model's %s has no schema, so its signature says any, which is never checked: %s", what, error)
        return Schema([ColSpec(AnyType())])


def _schema(data: Any) -> Schema:
    if isinstance(data, dict):
        return _schema_of_dictionary(data)
    if isinstance(data, list):
        return _schema_of_list(data)
    if isinstance(data, (pd.Series, pd.DataFrame)):
        if isinstance(data, pd.DataFrame) and any(isinstance(name, tuple) for name in data.columns):
            raise NoSignature("a column's name has levels (a MultiIndex), which no signature can hold: give each column one name")
        columns = [(data.name, data)] if isinstance(data, pd.Series) else [(name, data[name]) for name in data.columns]
        return Schema([ColSpec(_series_type(column), name, not _has_gaps(column)) for name, column in columns])  # type: ignore[arg-type]
    if isinstance(data, np.ndarray) or is_sparse(data):
        return Schema([_tensor(data.dtype, data.shape)])
    if _is_spark_frame(data):
        from deployer_scoring.format.spark_inference import schema_of_spark

        return schema_of_spark(data)
    return Schema([ColSpec(_determined(data))])


def _schema_of_list(data: list[Any]) -> Schema:
    if data and all(isinstance(each, dict) for each in data):
        return _schema_of_rows(data)
    return Schema([ColSpec(_items_type(data) if data else DataType.string)])


def _schema_of_rows(rows: list[dict[Any, Any]]) -> Schema:
    columns: dict[Any, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return Schema([ColSpec(_items_type(values), name, all(row.get(name) is not None for row in rows)) for name, values in columns.items()])


def _schema_of_dictionary(data: dict[Any, Any]) -> Schema:
    if all(isinstance(each, np.ndarray) for each in data.values()):
        return Schema([_tensor(each.dtype, each.shape, name) for name, each in data.items()])
    if odd := [name for name in data if not isinstance(name, str)]:
        raise SchemaError(f"the keys of a dictionary must be strings, not {odd[0]!r}")
    return Schema([ColSpec(_determined(value), name, not _has_gaps(value)) for name, value in data.items()])


def _tensor(dtype: np.dtype[Any], shape: tuple[int, ...], name: Optional[str] = None) -> TensorSpec:
    """A tensor whose first dimension is free; strings and bytes of any length."""
    if not shape:
        raise SchemaError("an array without a dimension is no tensor")
    return TensorSpec(np.dtype(dtype.char) if dtype.char in "US" else dtype, (-1, *shape[1:]), name)


def is_sparse(data: Any) -> bool:
    """Whether data is scipy's matrix of compressed rows or columns; scipy isn't imported to find out."""
    return type(data).__module__.startswith("scipy.sparse") and type(data).__name__ in {"csr_matrix", "csc_matrix"}


def _is_spark_frame(data: Any) -> bool:
    return type(data).__module__.startswith("pyspark.sql") and type(data).__name__ == "DataFrame"


def _series_type(column: Any) -> ColumnType:
    if column.dtype.kind == "O":
        column = column.infer_objects()
    if column.dtype.kind != "O":
        return _dtype_type(column.dtype)
    if not len(column):
        return DataType.string
    if pd.api.types.infer_dtype(column.astype(object), skipna=True) in {"datetime", "datetime64"}:
        return DataType.datetime  # of several zones, which MLflow has no type for
    try:
        return _items_type(column.to_list())
    except NoSignature:
        raise
    except SchemaError:
        if pd.api.types.is_string_dtype(column):
            return DataType.string
        raise


def _items_type(values: list[Any]) -> ColumnType:
    """The one type of the items of a list."""
    kind = _determined(values)
    assert isinstance(kind, (Array, AnyType))
    return kind.dtype if isinstance(kind, Array) else kind


def _determined(value: Any) -> ColumnType:
    kind = _value_type(value)
    if kind is None:
        raise SchemaError(f"an empty array has no type: {value!r}")
    return kind


def _value_type(value: Any) -> Optional[ColumnType]:
    """The type of a value; any for None, NaN, and empty lists and dictionaries, None for an empty array."""
    if _is_pydantic(value):
        raise NoSignature(
            f"a signature is not inferred from {type(value).__name__}, a pydantic model: give the input of predict the type hint"
            f" list[{type(value).__name__}]"
        )
    if _is_missing(value) or (isinstance(value, (list, dict)) and not value):
        return AnyType()
    if isinstance(value, dict):
        return Object([_property(name, each) for name, each in value.items()])
    if isinstance(value, (list, np.ndarray)):
        return _array_type(value)
    if type(value) not in _SCALARS:
        raise SchemaError(f"{value!r} is of the type {type(value).__name__}, which no column has")
    return _SCALARS[type(value)]


def _property(name: Any, value: Any) -> Property:
    kind = _determined(value)
    return Property(name, kind, required=not isinstance(kind, AnyType))


def _array_type(items: Union[list[Any], np.ndarray[Any, Any]]) -> Optional[Array]:
    known: Optional[ColumnType] = None
    for item in items:
        kind = _value_type(item)
        if kind is not None:
            known = kind if known is None else merged(known, kind)
    return None if known is None else Array(known)


def _dtype_type(dtype: Any) -> DataType:
    """The narrowest type that holds every value of a dtype (numpy's, or an extension of pandas)."""
    kind, bits = dtype.kind, 8 * dtype.itemsize
    if kind in "iu" and (bits < 32 or (kind == "i" and bits == 32)):
        return DataType.integer
    if kind in "iu" and (bits < 64 or (kind == "i" and bits == 64)):
        return DataType.long
    if kind == "f" and bits <= 64:
        return DataType.float if bits <= 32 else DataType.double
    simple = {"b": DataType.boolean, "U": DataType.string, "S": DataType.binary, "M": DataType.datetime}
    if kind not in simple:
        raise SchemaError(f"no type has values of the dtype {dtype}")
    return simple[kind]


def _has_gaps(values: Any) -> bool:
    """Whether a column has missing values, or a cell is one."""
    if isinstance(values, pd.Series) and values.dtype.kind != "O":
        return bool(values.isna().any())
    if isinstance(values, (list, pd.Series)):
        return any(map(_is_missing, values))
    return _is_missing(values)


def _is_missing(value: Any) -> bool:
    return math.isnan(value) if isinstance(value, float) else value is None or value is pd.NA or value is pd.NaT


def _param_type(value: Any) -> tuple[Union[DataType, Object], Optional[tuple[int, ...]]]:
    if isinstance(value, (list, np.ndarray)):
        if _depth(value) != 1:
            raise SchemaError(f"a list must be flat, not of {_depth(value)} dimensions")
        is_dates = all(_SCALARS.get(type(each)) is DataType.datetime for each in value)
        return DataType.datetime if is_dates else _dtype_type(np.array(value).dtype), (-1,)
    if _SCALARS.get(type(value)) is DataType.datetime:
        return DataType.datetime, None
    if np.isscalar(value):
        return _dtype_type(np.array(value).dtype), None
    if isinstance(value, dict):
        kind = _schema({"value": value}).columns[0].type
        if isinstance(kind, Object):
            return kind, None
    raise SchemaError(f"a scalar, a flat list or a dictionary was expected, not {value!r}")


def _depth(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.ndim
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _is_pydantic(value: Any) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)
