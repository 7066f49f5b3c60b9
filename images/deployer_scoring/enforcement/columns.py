"""One column held against its type: what MLflow casts without loss, and what it refuses (MLflow's `_enforce_mlflow_datatype`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deployer_scoring.errors import INVALID_PARAMETER_VALUE, InvalidInput
from deployer_scoring.schema.datatypes import DataType

if TYPE_CHECKING:
    Series = pd.Series[Any]

_ADVICE_FOR_MISSING_INTEGERS = (
    ". The column has missing values, which integers can't express, so they arrive as floats:"
    " declare the column as double in the model's signature (infer it from data that has missing values too)"
)


def refusal(message: str) -> InvalidInput:
    """Data that doesn't fit the signature."""
    return InvalidInput(message, error_code=INVALID_PARAMETER_VALUE)


def cast_column(name: object, values: Series, dtype: DataType) -> Series:
    """The column as its type demands.

    Cast are: any integer or float to a wider one, integers to double where every value keeps its worth, 64-bit integers to float or double
    where all are 0 or 1, datetimes to nanoseconds, objects to what they hold. Strings, bytes and booleans of dtype object pass as they are.

    Raises:
        InvalidInput: The cast could change a value.
    """
    if values.dtype == object and dtype not in {DataType.binary, DataType.string}:
        values = values.infer_objects()
    if _fits(values, dtype):
        return values
    if dtype is DataType.datetime and (values.dtype.kind == "M" or values.dtype == object):
        return _to_datetime(name, values)
    if dtype is DataType.double and values.dtype == object:
        return _to_number(name, values)
    wanted = dtype.to_numpy()
    if _widens(values, wanted) or _only_zeros_and_ones(values, wanted):
        return values.astype(wanted)  # type: ignore[no-any-return,call-overload,unused-ignore]
    advice = _ADVICE_FOR_MISSING_INTEGERS if _integers_with_gaps(values, wanted) else ""
    raise refusal(f"the column {name!r} is {values.dtype}, which can't be cast safely to {dtype} ({wanted}){advice}")


def _fits(values: Series, dtype: DataType) -> bool:
    if dtype in {DataType.string, DataType.binary} and isinstance(values.dtype, pd.StringDtype):
        return True
    if dtype is DataType.binary and values.dtype.kind == "S":
        return True
    if dtype is DataType.boolean and values.dtype == object:
        return True  # a cast would turn None into False
    return bool(values.dtype == dtype.to_pandas() or values.dtype == dtype.to_numpy())  # numpy's own == fails for pandas' types


def _to_datetime(name: object, values: Series) -> Series:
    try:
        return values.astype("datetime64[ns]")
    except TypeError as error:
        raise refusal(f"the column {name!r} must hold datetimes without a time zone: {error}") from error
    except ValueError as error:
        raise refusal(f"the column {name!r} holds a value that is no datetime: {error}") from error


def _to_number(name: object, values: Series) -> Series:
    # MLflow's door for the Decimals of Spark, which it takes for every column of objects: integers come out as integers here.
    try:
        return pd.to_numeric(values, errors="raise")
    except ValueError as error:
        raise refusal(f"the column {name!r} holds a value that is no number: {error}") from error


def _widens(values: Series, wanted: np.dtype[Any]) -> bool:
    have: Any = values.dtype
    if have.kind == wanted.kind:
        return bool(have.itemsize <= wanted.itemsize)
    if have.kind == "u" and wanted.kind == "i":
        return bool(have.itemsize < wanted.itemsize)
    # A double holds every integer of 53 bits, so 64-bit integers are not safe.
    return have.kind in "iu" and wanted == np.float64 and have.itemsize < 8


def _only_zeros_and_ones(values: Series, wanted: np.dtype[Any]) -> bool:
    return bool(values.dtype == np.int64 and wanted.kind == "f" and values.isin([0, 1]).all())


def _integers_with_gaps(values: Series, wanted: np.dtype[Any]) -> bool:
    if values.dtype != np.float64 or wanted.kind not in "iu" or not values.hasnans:
        return False
    known = values.dropna()
    return bool((np.isfinite(known) & (known == np.floor(known))).all())
