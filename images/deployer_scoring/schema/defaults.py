"""The default of a parameter held against its type, without numpy (MLflow's `ParamSpec.validate_type_and_shape`)."""

from __future__ import annotations

import datetime as dt
from typing import Any, Optional, Union

from deployer_scoring.errors import SchemaError
from deployer_scoring.schema.datatypes import DataType, Object

_ACCEPTED: dict[DataType, tuple[type, ...]] = {
    DataType.boolean: (bool,),
    DataType.integer: (int,),
    DataType.long: (int,),
    DataType.float: (float, int),
    DataType.double: (float, int),
    DataType.string: (str,),
    DataType.datetime: (dt.datetime, dt.date),
}


def default_of(name: str, dtype: Union[DataType, Object], value: Any, shape: Optional[tuple[int, ...]]) -> Any:
    """The default as its type demands: integers as floats where floats are wanted, ISO 8601 as datetimes, numpy's values as Python's.

    Raises:
        SchemaError: Not a value (or for a shape not a list of values) of the type.
    """
    if isinstance(dtype, Object):
        if value is not None and not isinstance(value, dict):
            raise SchemaError(f"the default of the parameter {name} must be a dictionary, not {value!r}")
        return value
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist() if type(value).__name__ != "datetime64" else value.astype("datetime64[us]").item()
    if shape is None:
        return _scalar(name, dtype, value)
    if not isinstance(value, list):
        raise SchemaError(f"the default of the parameter {name} must be a flat list, not {value!r}")
    return [_scalar(name, dtype, default_of(name, dtype, each, None)) for each in value]


def json_default(value: Any) -> Any:
    """A default as JSON has it: datetimes in ISO 8601."""
    if isinstance(value, list):
        return [json_default(each) for each in value]
    return value.isoformat() if isinstance(value, dt.date) else value


def _scalar(name: str, dtype: DataType, value: Any) -> Any:
    if value is None:
        return None
    if dtype is DataType.datetime and isinstance(value, str):
        return _datetime(name, value)
    if dtype is DataType.datetime and isinstance(value, dt.date):
        return value
    if type(value) not in _ACCEPTED[dtype]:
        raise SchemaError(f"the default of the parameter {name} must be {dtype}, not {value!r}")
    try:
        return float(value) if dtype in {DataType.float, DataType.double} else value
    except OverflowError as error:
        raise SchemaError(f"the default of the parameter {name} is larger than any {dtype}") from error


def _datetime(name: str, text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise SchemaError(f"the default of the parameter {name} must be a datetime as ISO 8601 has it, not {text!r}") from error
