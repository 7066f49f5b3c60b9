"""Several requests' data as one, and one answer as several: for models whose rows don't influence each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import pandas as pd

from deployer_scoring.wire.table import Table


def join_key(data: Any) -> Optional[Any]:
    """What two requests' data must have equal to be joined; None for data that stands alone: without rows, or not of a kind that joins."""
    if isinstance(data, Table):
        return id(data.layout) if data.rows else None
    if isinstance(data, pd.DataFrame):
        plain = isinstance(data.index, pd.RangeIndex) and data.index.start == 0 and data.index.step == 1
        return (tuple(data.columns), tuple(data.dtypes)) if plain and len(data) else None
    if isinstance(data, np.ndarray) and data.ndim and len(data):
        return data.dtype, data.shape[1:]
    return None


def rows_of(data: Any) -> int:
    """How many rows the data has; 0 where that means nothing."""
    if isinstance(data, Table):
        return data.rows
    if isinstance(data, pd.DataFrame):
        return len(data)
    return len(data) if isinstance(data, np.ndarray) and data.ndim else 0


def join(parts: Sequence[Any]) -> Any:
    """The rows of all parts, in order.

    Args:
        parts: At least one; several have the same `join_key`.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Table):
        return Table.joined(parts)
    return pd.concat(parts, ignore_index=True) if isinstance(first, pd.DataFrame) else np.concatenate(parts)


def split(answer: Any, rows: Sequence[int]) -> Optional[list[Any]]:
    """An answer's parts for so many rows each; None where it isn't one value, or one row, for each row that was asked for."""
    if (
        not isinstance(answer, (np.ndarray, pd.DataFrame, pd.Series, list))
        or (isinstance(answer, np.ndarray) and not answer.ndim)
        or len(answer) != sum(rows)
    ):
        return None
    rowwise = answer.iloc if isinstance(answer, (pd.DataFrame, pd.Series)) else answer
    parts, start = [], 0
    for count in rows:
        parts.append(rowwise[start : start + count])
        start += count
    return parts
