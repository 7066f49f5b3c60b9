"""Predictions as the named arrays that the Open Inference Protocol answers with. Missing numbers and booleans are masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.values import is_missing, objects
from deployer_scoring.schema.signature import Schema

_OUTPUT = "output-{}"
# What values of these types and None together are: JSON, and so Python, has no other integers.
_MASKABLE: tuple[tuple[set[type], str], ...] = (({bool}, "bool"), ({int}, "int64"), ({int, float}, "float64"))


def outputs(predictions: Any, schema: Optional[Schema]) -> dict[str, np.ndarray]:
    """The answer as arrays by name: the signature's names where they fit, else `output-0` and so on."""
    names = [each.name for each in schema.inputs if each.name] if schema is not None else []
    if isinstance(predictions, pd.DataFrame):
        return {str(name): _array(predictions[name]) for name in predictions.columns}
    if isinstance(predictions, dict) and predictions:
        return {str(name): _array(value) for name, value in predictions.items()}
    if isinstance(predictions, list) and predictions and all(isinstance(row, dict) for row in predictions):
        keys = predictions[0].keys()
        if keys and all(row.keys() == keys for row in predictions):
            return {str(key): _array([row[key] for row in predictions]) for key in keys}
        return {_OUTPUT.format(0): objects(predictions)}
    array = _array(predictions)
    if len(names) > 1 and array.ndim == 2 and array.shape[1] == len(names):
        return {name: array[:, at] for at, name in enumerate(names)}
    return {names[0] if len(names) == 1 else _OUTPUT.format(0): array}


def _array(values: Any) -> np.ndarray:
    if isinstance(values, (pd.Series, pd.Index)):
        values = values.array
    if isinstance(values, pd.api.extensions.ExtensionArray):
        return _of_pandas(values)
    try:
        array = np.asarray(values)
    except ValueError:  # ragged
        array = objects(list(values))
    array = array if array.ndim else array.reshape(1)
    return _masked(array.tolist()) if array.dtype == object and array.ndim == 1 else array


def _of_pandas(values: Any) -> np.ndarray:
    """numpy's array of one of pandas' own dtypes."""
    held = getattr(values.dtype, "numpy_dtype", None)
    gaps = np.asarray(values.isna())
    if held is None or held.kind not in "biuf":
        array = np.asarray(values)
        return _masked(array.tolist()) if array.dtype == object else array
    if not gaps.any():
        return np.asarray(values, dtype=held)
    known = np.zeros(len(values), held)
    known[~gaps] = np.asarray(values[~gaps], dtype=held)
    return np.ma.masked_array(known, gaps)


def _masked(values: Sequence[Any]) -> np.ndarray:
    """Objects, as numbers or booleans with gaps where they are no others."""
    gaps = [is_missing(value) for value in values]
    types = {type(value) for value, missing in zip(values, gaps) if not missing}
    for kinds, dtype in _MASKABLE:
        if types and types <= kinds and any(gaps):
            try:
                return np.ma.masked_array([0 if missing else value for value, missing in zip(values, gaps)], gaps, dtype)
            except OverflowError:  # integers past 64 bits
                break
    return objects(values)
