"""A request's params held against the signature's (MLflow's `_enforce_params_schema`)."""

from __future__ import annotations

import copy
import logging
from typing import Any, Optional, Union

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.columns import refusal
from deployer_scoring.enforcement.nested import enforce_value
from deployer_scoring.enforcement.values import column_of, converter, shown
from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.datatypes import DataType, Object
from deployer_scoring.schema.signature import ParamSchema, ParamSpec

_log = logging.getLogger(__name__)

# Python's and numpy's types of each kind of parameter, and what the value becomes. An integer fits where a float is wanted, a whole float
# where an integer is.
_FLOATS = (float, np.float32)
_INTEGERS = (int, np.int32, np.int64)
_TYPES: dict[DataType, tuple[tuple[type, ...], type]] = {
    DataType.boolean: ((bool, np.bool_), bool),
    DataType.integer: ((int, np.int32, *_FLOATS), int),
    DataType.long: ((*_INTEGERS, *_FLOATS), int),
    DataType.float: ((*_FLOATS, *_INTEGERS), float),
    DataType.double: ((*_FLOATS, np.float64, *_INTEGERS), float),
    DataType.string: ((str, np.str_), str),
}


def enforce_params(params: Any, schema: Optional[ParamSchema]) -> Optional[dict[str, Any]]:
    """The params as the signature demands: defaults filled in, values checked, unknown ones dropped with a warning in the log.

    Returns:
        Every parameter of the schema; without a schema what was given where that is nothing, else an empty dictionary.

    Raises:
        InvalidInput: Not a dictionary, or a value of the wrong type: all such values are named.
    """
    if schema is None:
        if params in (None, {}):
            return params  # type: ignore[no-any-return]
        _log.warning("the model's signature declares no params, so these are ignored: %s", _names(params))
        return {}
    if params is not None and not isinstance(params, dict):
        raise refusal(f"params must be an object, not {type(params).__name__}")
    given = {str(name): value for name, value in (params or {}).items()}
    if unknown := sorted(given.keys() - {each.name for each in schema.params}):
        _log.warning("the model's signature doesn't declare these params, so they are ignored: %s", ", ".join(unknown))
    return _checked(given, schema)


def _checked(given: dict[str, Any], schema: ParamSchema) -> dict[str, Any]:
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for spec in schema.params:
        try:
            values[spec.name] = _value(given.get(spec.name, spec.default), spec)
        except InvalidInput as error:
            wrong.append(f"{spec.name}: {error}")
        except Exception as error:  # numpy and pandas have their own words for what they can't cast
            wrong.append(f"{spec.name}: {type(error).__name__}: {error}")
    if wrong:
        raise refusal(f"params: {'; '.join(wrong)}")
    # Those given stand first, in the order given, as in MLflow: a model may show them.
    return {**{name: values[name] for name in given if name in values}, **values}


def _value(value: Any, spec: ParamSpec) -> Any:
    if isinstance(spec.dtype, Object):
        enforce_value(copy.deepcopy(value), spec.dtype)
        return value  # as given: a model expects Python's types in it
    if spec.shape is None:
        return _scalar(value, spec.dtype)
    if not isinstance(value, (list, np.ndarray)) or any(isinstance(item, (list, tuple, np.ndarray)) for item in value):
        raise refusal(f"a flat list was expected, not {shown(value)}")
    return [_scalar(item, spec.dtype) for item in value]


def _scalar(value: Any, dtype: DataType) -> Any:
    if value is None:
        return None
    if dtype is DataType.datetime:
        return _datetime(value)
    accepted, kind = _TYPES[dtype]
    if type(value) not in accepted:
        raise refusal(f"{shown(value)} can't be taken for a {dtype}")
    if kind in (int, float):
        try:
            converter(dtype.to_numpy())(value)
        except ValueError as error:
            raise refusal(f"{shown(value)} can't be taken for a {dtype}: it is {error}") from error
    return kind(value)


def _datetime(value: Any) -> Any:
    """As numpy has it: a date stays one. One with a zone is converted to UTC, as in a column."""
    try:
        found = np.datetime64(value).item() if not _has_zone(value) else pd.Timestamp(column_of([value], DataType.datetime)[0]).to_pydatetime()
    except (ValueError, TypeError) as error:
        raise refusal(f"{shown(value)} can't be taken for a datetime") from error
    if isinstance(found, int):
        raise refusal(f"{shown(value)} can't be taken for a datetime")
    return found


def _has_zone(value: Any) -> bool:
    if isinstance(value, str):
        return value.endswith("Z") or "+" in value or value.rfind("-") > value.find(":") > 0
    return getattr(value, "tzinfo", None) is not None


def _names(params: Any) -> Union[str, type]:
    return ", ".join(map(str, params)) if isinstance(params, dict) else type(params)
