"""DataFrames out of JSON and Parquet, with the columns' types led by the signature where there is one.

JSON has fewer types than a column: bytes arrive as base64, datetimes as text, 32-bit numbers as 64. What is done about it is what MLflow's
server does (`dataframe_from_parsed_json`), so that a model sees the same values here.
"""

from __future__ import annotations

import importlib.util
import io
from typing import Any, Optional

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.lists import array_of
from deployer_scoring.enforcement.nested import enforce_value
from deployer_scoring.enforcement.values import Misfit, column_of
from deployer_scoring.errors import INVALID_PARAMETER_VALUE, InvalidInput
from deployer_scoring.schema.datatypes import AnyType, DataType
from deployer_scoring.schema.signature import ColSpec, Schema, TensorSpec
from deployer_scoring.wire.bounds import check_rows, check_split


def from_split(value: Any, schema: Optional[Schema]) -> pd.DataFrame:
    """A DataFrame of `{"columns": [...], "data": [[...], ...], "index": [...]}`, of which only data must be there.

    Raises:
        InvalidInput: Not of this form, or a column can't be what the signature says.
    """
    if not isinstance(value, dict):
        raise InvalidInput(f"dataframe_split must be an object with columns and data, not {_kind(value)}")
    if "data" not in value:
        raise InvalidInput(f"dataframe_split must have data; it has {', '.join(map(repr, value)) or 'nothing'}")
    if unknown := value.keys() - {"columns", "data", "index"}:
        raise InvalidInput(f"dataframe_split has columns, data and index; {', '.join(sorted(map(repr, unknown)))} is none of them")
    check_split(value)
    _check_columns(value.get("columns"))
    try:
        frame = pd.DataFrame(index=value.get("index"), columns=value.get("columns"), data=value["data"], dtype=_dtype(schema))
    except Exception as error:
        raise InvalidInput(f"dataframe_split makes no DataFrame: {error}") from error
    return _typed(frame, schema)


def from_records(value: Any, schema: Optional[Schema]) -> pd.DataFrame:
    """A DataFrame of `[{"column": value, ...}, ...]`.

    Raises:
        InvalidInput: Not of this form, or a column can't be what the signature says.
    """
    if not isinstance(value, list):
        raise InvalidInput(f"dataframe_records must be a list of objects, not {_kind(value)}")
    check_rows(value)
    try:
        frame = pd.DataFrame(value, dtype=_dtype(schema))
    except Exception as error:
        raise InvalidInput(f"dataframe_records makes no DataFrame: {error}") from error
    return _typed(frame, schema)


def from_parquet(body: bytes, schema: Optional[Schema]) -> pd.DataFrame:
    """A DataFrame of a Parquet file, where the environment has a library that reads it.

    Raises:
        InvalidInput: Not Parquet, or nothing here reads it (415).
    """
    try:
        return _read_parquet(body, schema)
    except ImportError as error:
        raise InvalidInput("nothing that reads Parquet is installed here; send JSON or CSV", status=415) from error
    except Exception as error:
        raise InvalidInput(f"the body makes no DataFrame; a Parquet file was expected: {error}") from error


def frame_of_arrow(table: Any, schema: Optional[Schema]) -> pd.DataFrame:
    """The DataFrame of Arrow's rows. For a signature, integers beside missing values stay integers: as floats they would lose digits."""
    return table.to_pandas(integer_object_nulls=schema is not None)  # type: ignore[no-any-return]


def _read_parquet(body: bytes, schema: Optional[Schema]) -> pd.DataFrame:
    if schema is None or importlib.util.find_spec("pyarrow") is None:
        return pd.read_parquet(io.BytesIO(body))  # by whichever library there is
    from pyarrow import parquet

    return frame_of_arrow(parquet.read_table(io.BytesIO(body)), schema)


def _check_columns(columns: Any) -> None:
    if columns is None:
        return
    if not isinstance(columns, list) or not all(isinstance(each, (str, int, float)) for each in columns):
        raise InvalidInput("dataframe_split's columns must be a list of names")
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise InvalidInput(f"the column {twice!r} is there more than once", error_code=INVALID_PARAMETER_VALUE)


def _dtype(schema: Optional[Schema]) -> Any:
    """Objects where a signature says what becomes of each value: pandas would have integers beside missing values as floats."""
    return None if schema is None or schema.is_tensor_spec() else object


def _typed(frame: pd.DataFrame, schema: Optional[Schema]) -> pd.DataFrame:
    """The frame with its columns as the signature says; enforcement judges the rest."""
    if schema is not None and schema.is_tensor_spec() and not len(frame):
        raise InvalidInput("the DataFrame has no rows, which make no tensor")
    for name, spec in () if schema is None else _specs(frame, schema):
        if name in frame.columns and isinstance(frame[name], pd.Series):  # a name that is there twice is refused by enforcement
            frame[name] = _column(frame[name], spec)
    return frame


def _specs(frame: pd.DataFrame, schema: Schema) -> list[tuple[Any, Any]]:
    if schema.has_input_names():
        return list(zip(schema.input_names(), schema.inputs))
    if schema.is_tensor_spec():
        return [(name, schema.inputs[0]) for name in frame.columns]
    return list(zip(frame.columns, schema.inputs))


def _column(values: Any, spec: Any) -> Any:
    try:
        found = _tensor(values, spec.to_numpy()) if isinstance(spec, TensorSpec) else _values(values.tolist(), spec)
        return found if isinstance(found, pd.Series) else pd.Series(found, index=values.index)
    except Misfit as misfit:
        raise InvalidInput(f"in row {misfit.position + 1} of the column {values.name!r}, {misfit}") from misfit
    except Exception as error:
        wanted = spec.type if isinstance(spec, ColSpec) else spec
        raise InvalidInput(f"the column {values.name!r} can't be read as {wanted}: {type(error).__name__}: {error}") from error


def _values(values: list[Any], spec: ColSpec) -> Any:
    if isinstance(spec.type, DataType):
        column = column_of(values, spec.type, required=spec.required, encoded=True)
        return values if spec.type is DataType.string else column  # missing ones as pandas has them
    if isinstance(spec.type, AnyType):
        return values
    found = []
    for position, value in enumerate(values):
        try:
            found.append(enforce_value(value, spec.type, spec.required, encoded=True))
        except InvalidInput as error:
            raise Misfit(str(error), position) from error
    return found


def _tensor(values: Any, dtype: np.dtype[Any]) -> Any:
    """Single values as the tensor has them; lists in cells are shaped and held against the dtype by enforcement."""
    if len(values) and isinstance(values.iloc[0], list):
        return values.map(lambda value: array_of(value, dtype)) if dtype.kind == "S" else values
    return list(array_of(values.tolist(), dtype)) if dtype.kind in "SU" else array_of(values.tolist(), dtype)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
