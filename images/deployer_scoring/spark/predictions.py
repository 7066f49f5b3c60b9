"""What a model returned, as the result type of a UDF wants it: MLflow's rules (the documentation of `mlflow.pyfunc.spark_udf`).

One value a row is taken from the leftmost column that fits the type, an array from all columns that fit it; strings are made from
anything. A struct takes its fields by name, an array of arrays and a map take each row's value as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Optional

import numpy as np
import pandas as pd
import pyarrow as pa

from deployer_scoring.errors import ModelFailure
from deployer_scoring.spark.result_types import ArrayOf, MapOf, ResultType, Scalar, StructOf, arrow_type

# The dtypes of columns that fit a type without loss, as pandas' select_dtypes takes them.
_SMALL_INTEGERS = [np.int8, np.uint8, np.int16, np.uint16]
_FITTING: dict[str, list[Any]] = {
    "integer": [*_SMALL_INTEGERS, np.int32],
    "long": [*_SMALL_INTEGERS, np.int32, np.int64],
    "float": [np.number],
    "double": [np.number],
    "boolean": [np.bool_],
}
_PYTHON: dict[str, Any] = {"integer": int, "long": int, "float": float, "double": float, "string": str, "boolean": bool}


def as_result(predictions: Any, kind: ResultType, rows: int) -> pa.Array:
    """The predictions for one batch, a value of the result type for each row.

    Args:
        predictions: What the model returned: frame, series, array, list, dictionary of lists, or one value for one row.
        kind: The result type.
        rows: How many rows the batch had.

    Raises:
        ModelFailure: The predictions have no values of this type, or not one for each row.
    """
    if isinstance(predictions, dict):
        predictions = {name: [*values] for name, values in predictions.items()}
    try:
        values = _converted(predictions, kind)
        result = values if isinstance(values, pa.Array) else pa.array(values, arrow_type(kind), from_pandas=True)
    except (ValueError, TypeError, KeyError, AttributeError, pa.ArrowException) as error:
        raise ModelFailure(f"the model's predictions can't be given as {described(kind)}: {type(error).__name__}: {error}") from error
    if len(result) != rows:
        raise ModelFailure(f"the model gave {len(result)} predictions for {rows} rows; a UDF needs one for each row")
    return result


def described(kind: ResultType) -> str:
    """A result type as Spark's DDL has it."""
    if isinstance(kind, ArrayOf):
        return f"array<{described(kind.element)}>"
    if isinstance(kind, MapOf):
        return f"map<string,{described(kind.value)}>"
    if isinstance(kind, StructOf):
        return f"struct<{','.join(f'{field.name}:{described(field.type)}' for field in kind.fields)}>"
    return {"integer": "int", "long": "bigint"}.get(kind.name, kind.name)


def _converted(predictions: Any, kind: ResultType) -> Any:
    if isinstance(kind, StructOf):
        return _struct(_frame_of_records(predictions), kind)
    if isinstance(kind, ArrayOf) and not isinstance(kind.element, Scalar):
        return [_value(value, kind) for value in predictions]
    if isinstance(kind, MapOf):
        return [_value(value, kind) for value in _mappings(predictions)]
    if isinstance(kind, ArrayOf):
        return _rows(_fitting(_frame(predictions), kind.element).to_numpy(), arrow_type(kind.element))
    return _fitting(_frame(predictions), kind).iloc[:, 0]


def _frame(predictions: Any) -> pd.DataFrame:
    if isinstance(predictions, pd.DataFrame):
        return predictions
    return pd.DataFrame([predictions] if np.isscalar(predictions) else predictions)


def _fitting(frame: pd.DataFrame, kind: ResultType) -> pd.DataFrame:
    """The columns that a scalar type can be taken from, in that type."""
    assert isinstance(kind, Scalar)
    if kind.name == "string":
        return frame.apply(lambda column: column.map(str)) if len(frame.columns) else _nothing_fits(frame, kind)
    if not kind.primitive:
        return frame
    fitting = frame.select_dtypes(_FITTING[kind.name]).astype(kind.numpy)
    return fitting if len(fitting.columns) else _nothing_fits(frame, kind)


def _nothing_fits(frame: pd.DataFrame, kind: Scalar) -> pd.DataFrame:
    had = ", ".join(f"{name}: {dtype}" for name, dtype in frame.dtypes.items()) or "no columns"
    raise ModelFailure(f"the model's predictions have nothing that fits {described(kind)} (they have {had}); string fits everything")


def _rows(matrix: Any, kind: pa.DataType) -> pa.ListArray:
    """The rows of a 2-D array as lists; NaN becomes null, as it does on Spark's way from lists."""
    rows, columns = matrix.shape
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype="int32") * columns), pa.array(matrix.ravel(), kind, from_pandas=True))


def _frame_of_records(predictions: Any) -> pd.DataFrame:
    if isinstance(predictions, list) and predictions and hasattr(predictions[0], "model_dump"):
        predictions = [each.model_dump() for each in predictions]
    return pd.DataFrame(predictions)


def _struct(frame: pd.DataFrame, kind: StructOf) -> pa.StructArray:
    if missing := [field.name for field in kind.fields if field.name not in frame.columns]:
        has = ", ".join(map(str, frame.columns))
        raise ModelFailure(f"the model's predictions have no {', '.join(missing)}, which {described(kind)} needs; they have {has}")
    columns = [pa.array(_column(frame[field.name], field.type), arrow_type(field.type), from_pandas=True) for field in kind.fields]
    return pa.StructArray.from_arrays(columns, [field.name for field in kind.fields])


def _column(values: pd.Series[Any], kind: ResultType) -> Any:
    if not isinstance(kind, Scalar):
        return [_value(value, kind) for value in values]
    if not kind.primitive or all(_absent(value) for value in values):
        return values
    return values.astype(kind.numpy)


def _mappings(predictions: Any) -> Iterable[Any]:
    if isinstance(predictions, pd.DataFrame):
        return predictions.iloc[:, 0]
    return [predictions] if isinstance(predictions, Mapping) else predictions


def _value(value: Any, kind: ResultType) -> Any:
    """One value of a row, with everything in it cast."""
    if _absent(value):
        return None
    if isinstance(kind, ArrayOf):
        return _array(value, kind)
    if isinstance(kind, MapOf):
        return [(key, _value(item, kind.value)) for key, item in value.items()]
    if isinstance(kind, StructOf):
        record = value.model_dump() if hasattr(value, "model_dump") else value
        return {field.name: _value(record[field.name], field.type) for field in kind.fields}
    return _PYTHON[kind.name](value) if kind.primitive else value


def _array(values: Any, kind: ArrayOf) -> Optional[Any]:
    if isinstance(kind.element, Scalar) and kind.element.primitive:
        return np.array(values, dtype=kind.element.numpy)
    return [_value(value, kind.element) for value in values]


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
