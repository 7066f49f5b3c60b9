"""One column held against its type: by its dtype where it has one, as MLflow does (`_enforce_mlflow_datatype`), else value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.values import MISSING_INTEGERS, Misfit, column_of, shown
from deployer_scoring.errors import INVALID_PARAMETER_VALUE, InvalidInput
from deployer_scoring.schema.datatypes import DataType

if TYPE_CHECKING:
    Series = pd.Series[Any]


def refusal(message: str) -> InvalidInput:
    """Data that doesn't fit the signature."""
    return InvalidInput(message, error_code=INVALID_PARAMETER_VALUE)


def cast_column(name: object, values: Series, dtype: DataType, required: bool = True) -> Series:
    """The column as its type demands.

    Cast are: any integer or float to a wider one, integers to double where every value keeps its worth, 64-bit integers to float or double
    where all are 0 or 1, whole floats to integers, datetimes to nanoseconds and UTC, categories and pandas' nullable dtypes to what they hold.
    Integers and booleans with missing values, which an optional column may have, come in pandas' nullable dtype. Python's own values, in a
    column of objects, are held against the type one by one (values.py).

    Raises:
        InvalidInput: The cast could change a value.
    """
    try:
        return _cast(name, _without_category(values), dtype, required)
    except Misfit as misfit:
        raise refusal(f"in row {misfit.position + 1} of the column {name!r}, {misfit}") from misfit


def _cast(name: object, values: Series, dtype: DataType, required: bool) -> Series:
    if not isinstance(values.dtype, np.dtype):
        return _cast_extension(name, values, dtype, required)
    wanted = dtype.to_numpy()
    if values.dtype == object:
        return _by_value(values, dtype, required)
    if values.dtype == wanted:
        return values
    if dtype is DataType.datetime and values.dtype.kind == "M":
        return values.astype(wanted)  # type: ignore[no-any-return,call-overload,unused-ignore]
    if values.dtype.kind == "f" and wanted.kind == "i":
        return _whole(name, values, dtype, required)
    if _widens(values, wanted) or _only_zeros_and_ones(values, wanted):
        return values.astype(wanted)  # type: ignore[no-any-return,call-overload,unused-ignore]
    raise refusal(f"the column {name!r} is {values.dtype}, which can't be cast safely to {dtype} ({wanted})")


def _cast_extension(name: object, values: Series, dtype: DataType, required: bool) -> Series:
    """A column of one of pandas' own dtypes."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return _cast(name, values.dt.tz_convert("UTC").dt.tz_localize(None), dtype, required)
    if isinstance(values.dtype, pd.StringDtype):
        return values if dtype is DataType.string else _by_value(values, dtype, required)
    if isinstance(values.dtype, pd.SparseDtype):
        return _cast(name, values.astype(values.dtype.subtype), dtype, required)
    held: Any = getattr(values.dtype, "numpy_dtype", None)  # of nullable numbers, and of what Arrow keeps
    if held is None:
        raise refusal(f"the column {name!r} is {values.dtype}, which can't be cast safely to {dtype} ({dtype.to_numpy()})")
    if held.kind not in "biuf":
        return _by_value(values, dtype, required)
    gaps = values.isna()
    filled = _by_value(values, dtype, required) if gaps.any() else None
    known = _cast(name, values[~gaps].astype(held), dtype, required)  # type: ignore[arg-type,unused-ignore]
    return known if filled is None else filled


def _by_value(values: Series, dtype: DataType, required: bool) -> Series:
    column = column_of((values if values.dtype == object else values.astype(object)).tolist(), dtype, required=required)
    # Strings and bytes stay with their objects, missing ones as they are.
    return values if column.dtype == object == values.dtype else pd.Series(column, index=values.index, name=values.name)


def _without_category(values: Series) -> Series:
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return values
    held = values.cat.categories.dtype
    return values.astype(object if values.hasnans and held.kind in "biu" else held)  # type: ignore[call-overload,no-any-return,unused-ignore]


def _whole(name: object, values: Series, dtype: DataType, required: bool) -> Series:
    """Floats for integers: pandas has them for integers with missing values, and JSON and CSV may write 5 as 5.0."""
    floats, wanted = values.to_numpy(), dtype.to_numpy()
    gaps = np.isnan(floats)
    with np.errstate(invalid="ignore"):
        bound = 2.0 ** (8 * wanted.itemsize - 1)
        wrong = ~gaps & ~((floats == np.floor(floats)) & (floats >= -bound) & (floats < bound))
    if wrong.any():
        at = int(wrong.argmax())
        why = "out of range" if np.isfinite(floats[at]) and floats[at] == np.floor(floats[at]) else "no whole number"
        raise Misfit(f"{shown(floats[at])} is {why}: the column is {values.dtype}, which can't be cast safely to {dtype} ({wanted})", at)
    if not gaps.any():
        return values.astype(wanted)  # type: ignore[no-any-return,call-overload,unused-ignore]
    if required:
        cast = f"which can't be cast safely to {dtype} ({wanted}). {MISSING_INTEGERS}"
        raise refusal(f"the column {name!r} is {values.dtype}, {cast}")
    return _by_value(values, dtype, required)


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
