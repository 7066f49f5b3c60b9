"""DataFrames out of JSON and CSV, with the columns' types led by the signature where there is one.

JSON has fewer types than a column: bytes arrive as base64, datetimes as text, 32-bit numbers as 64. What is done about it is what MLflow's
server does (`dataframe_from_parsed_json`, `parse_csv_input`), so that a model sees the same values here.
"""

from __future__ import annotations

import base64
import io
from typing import Any, Optional

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.nested import enforce_value
from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.datatypes import AnyType, Array, DataType, Map, Object
from deployer_scoring.schema.signature import ColSpec, Schema, TensorSpec
from deployer_scoring.wire.bounds import check_csv, check_rows, check_split


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
    try:
        frame = pd.DataFrame(index=value.get("index"), columns=value.get("columns"), data=value["data"])
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
        frame = pd.DataFrame(value)
    except Exception as error:
        raise InvalidInput(f"dataframe_records makes no DataFrame: {error}") from error
    return _typed(frame, schema)


def from_csv(body: bytes, schema: Optional[Schema]) -> pd.DataFrame:
    """A DataFrame of CSV with a header row, in UTF-8.

    Raises:
        InvalidInput: Not CSV, or a column can't be read as what the signature says.
    """
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    check_csv(body)
    types = None if schema is None else csv_types(schema)
    try:
        return pd.read_csv(io.BytesIO(body), dtype=types)  # type: ignore[arg-type,unused-ignore]
    except Exception as error:
        raise InvalidInput(f"the body makes no DataFrame; CSV with a header row was expected: {error}") from error


def from_parquet(body: bytes) -> pd.DataFrame:
    """A DataFrame of a Parquet file, where the environment has a library that reads it.

    Raises:
        InvalidInput: Not Parquet, or nothing here reads it (415).
    """
    try:
        return pd.read_parquet(io.BytesIO(body))
    except ImportError as error:
        raise InvalidInput("nothing that reads Parquet is installed here; send JSON or CSV", status=415) from error
    except Exception as error:
        raise InvalidInput(f"the body makes no DataFrame; a Parquet file was expected: {error}") from error


def csv_types(schema: Schema) -> dict[Any, Any]:
    """The dtypes of CSV's columns by name.

    Raises:
        InvalidInput: The model takes what CSV can't express.
    """
    if not all(isinstance(each.type, DataType) for each in schema.columns) or schema.is_tensor_spec():
        raise InvalidInput("the model takes tensors or nested values, which CSV can't express; send JSON")
    # pandas reads datetimes from CSV only by another option; like MLflow, such a column is refused.
    return dict(zip(schema.input_names(), (each.type.to_pandas() for each in schema.columns if isinstance(each.type, DataType))))


def _typed(frame: pd.DataFrame, schema: Optional[Schema]) -> pd.DataFrame:
    """The frame with its columns cast to what the signature says, as far as that goes; enforcement judges the rest."""
    for name, spec in () if schema is None else _specs(frame, schema):
        if name in frame.columns:
            try:
                _set_typed(frame, name, spec)
            except Exception as error:
                wanted = spec.type if isinstance(spec, ColSpec) else spec
                raise InvalidInput(f"the column {name!r} can't be read as {wanted}: {type(error).__name__}: {error}") from error
    return frame


def _specs(frame: pd.DataFrame, schema: Schema) -> list[tuple[Any, Any]]:
    if schema.has_input_names():
        return list(zip(schema.input_names(), schema.inputs))
    if schema.is_tensor_spec():
        return [(name, schema.inputs[0]) for name in frame.columns]
    return list(zip(frame.columns, schema.inputs))


def _set_typed(frame: pd.DataFrame, name: Any, spec: Any) -> None:
    if isinstance(spec, TensorSpec):
        _set_tensor(frame, name, spec)
    elif isinstance(spec.type, (Array, Object, Map)):
        frame[name] = frame[name].map(lambda value: enforce_value(value, spec.type, spec.required))
    elif not isinstance(spec.type, AnyType):
        _set_scalar(frame, name, spec.type)


def _set_tensor(frame: pd.DataFrame, name: Any, spec: TensorSpec) -> None:
    if spec.to_numpy() == np.dtype(bytes):
        frame[name] = frame[name].map(lambda value: bytes(value, "utf8"))
    elif not isinstance(frame[name].iloc[0], list):  # lists of lists are shaped and cast by enforcement
        _cast(frame, name, spec.to_numpy())


def _set_scalar(frame: pd.DataFrame, name: Any, dtype: DataType) -> None:
    if dtype is DataType.binary:
        frame[name] = frame[name].map(lambda value: base64.decodebytes(bytes(value, "utf8")))
    elif dtype is DataType.datetime:
        frame[name] = _nanoseconds(pd.to_datetime(frame[name]))
    else:
        _cast(frame, name, dtype.to_pandas())


def _cast(frame: pd.DataFrame, name: Any, dtype: np.dtype[Any]) -> None:
    if dtype.kind in "OU" and isinstance(frame[name].dtype, pd.StringDtype):
        return  # strings already; a cast would bring back object
    frame[name] = frame[name].astype(dtype)  # type: ignore[call-overload,unused-ignore]


def _nanoseconds(parsed: Any) -> Any:
    # pandas 3 reads microseconds; before pandas 2 there was no other unit than nanoseconds.
    return parsed.dt.as_unit("ns") if parsed.dtype.kind == "M" and getattr(parsed.dt, "unit", "ns") != "ns" else parsed


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
