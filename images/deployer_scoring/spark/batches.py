"""The columns of a batch as Arrow and back: the pandas objects that Spark makes for a UDF, the same on both sides of a socket.

Spark gives its UDFs a series for a column, a frame for a struct, and inside of them: dictionaries for structs and maps, arrays of numpy for
lists, `datetime.date`, `decimal.Decimal`, bytes. Arrow has a type for each; only which dictionaries are maps is to be found out, for
those of a struct all have the same keys.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Union

import numpy as np
import pandas as pd
import pyarrow as pa

Argument = Union["pd.Series[Any]", pd.DataFrame]

_ARGUMENTS = b"deployer.arguments"


def packed(arguments: Sequence[Argument]) -> pa.Buffer:
    """The arguments of a UDF for one batch as an Arrow IPC stream."""
    arrays, layout = [], []
    for argument in arguments:
        columns = [argument.iloc[:, position] for position in range(argument.shape[1])] if isinstance(argument, pd.DataFrame) else [argument]
        names = [*map(str, argument.columns)] if isinstance(argument, pd.DataFrame) else None
        layout.append({"names": names, "dtypes": [str(column.dtype) for column in columns]})
        arrays += [_to_arrow(column) for column in columns]
    schema = pa.schema(
        [pa.field(str(position), array.type) for position, array in enumerate(arrays)], metadata={_ARGUMENTS: json.dumps(layout).encode()}
    )
    return stream(pa.record_batch(arrays, schema=schema))


def unpacked(body: Any) -> list[Argument]:
    """The arguments that `packed` was given."""
    batch = opened(body)
    columns = iter(batch.columns)
    arguments: list[Argument] = []
    for each in json.loads(batch.schema.metadata[_ARGUMENTS]):
        series = [_from_arrow(next(columns), dtype) for dtype in each["dtypes"]]
        if each["names"] is None:
            arguments += series
        else:
            arguments.append(pd.concat([one.rename(name) for one, name in zip(series, each["names"])], axis=1))
    return arguments


def stream(batch: pa.RecordBatch) -> pa.Buffer:
    """One batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def opened(body: Any) -> pa.RecordBatch:
    """The batch of a stream that `stream` made; its columns point into the body."""
    return pa.ipc.open_stream(pa.py_buffer(body)).read_next_batch()


def _to_arrow(column: pd.Series[Any]) -> pa.Array:
    # from_pandas=False: NaN stays the number that it is.
    array = _of_objects(column.to_numpy()) if column.dtype == object else pa.array(column, from_pandas=False)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _of_objects(values: Any) -> pa.Array:
    """Any Python values of one Spark type, None among them."""
    sample = next((value for value in values if value is not None), None)
    if isinstance(sample, dict):
        return _of_dictionaries(values)
    if isinstance(sample, (list, tuple, np.ndarray)) and _holds_objects(values):
        items = [item for value in values if value is not None for item in value]
        return pa.ListArray.from_arrays(_offsets(values), _of_objects(items))
    return pa.array(values, from_pandas=False)


def _holds_objects(values: Any) -> bool:
    """Whether lists hold what pyarrow can't be trusted to find the type of: dictionaries, or lists that may hold some."""
    sample = next((item for value in values if value is not None for item in value if item is not None), None)
    return isinstance(sample, (dict, list, tuple, np.ndarray))


def _of_dictionaries(values: Any) -> pa.Array:
    present = [value for value in values if value is not None]
    keys = [*present[0]]
    if all([*value] == keys for value in present) and keys:
        absent = pa.array([value is None for value in values])
        columns = [_of_objects([None if value is None else value[key] for value in values]) for key in keys]
        return pa.StructArray.from_arrays(columns, [*map(str, keys)], mask=absent)
    pairs = [pair for value in present for pair in value.items()]
    items = _of_objects([item for _, item in pairs])
    return pa.MapArray.from_arrays(_offsets(values), pa.array([key for key, _ in pairs], None if pairs else pa.string()), items)


def _offsets(values: Any) -> pa.Array:
    """Where each list or mapping begins; null where there is none."""
    offsets: list[Any] = []
    end = 0
    for value in values:
        offsets.append(None if value is None else end)
        end += 0 if value is None else len(value)
    return pa.array([*offsets, end], pa.int32())


def _from_arrow(array: pa.Array, dtype: str) -> pd.Series[Any]:
    series: pd.Series[Any] = array.to_pandas(maps_as_pydicts="strict")
    if pa.types.is_list(array.type) and (pa.types.is_struct(array.type.value_type) or pa.types.is_map(array.type.value_type)):
        series = series.map(lambda items: None if items is None else np.array([*items]))  # as Spark does it: empty ones become floats
    if str(series.dtype) == dtype:
        return series
    if dtype == "object":
        objects: pd.Series[Any] = series.astype(object).where(array.is_valid().to_pandas(), None)
        return objects
    wanted: Any = dtype
    cast: pd.Series[Any] = series.astype(wanted)
    return cast


def result(body: Any, kind: Any) -> Argument:
    """What Spark takes for the `result` column of an answer.

    Args:
        body: The answer's stream.
        kind: The JSON of its Spark type.
    """
    array = opened(body).column(0)
    if isinstance(kind, dict) and kind["type"] == "struct":
        return pd.DataFrame({field.name: _for_spark(column) for field, column in zip(array.type, array.flatten())})
    return _for_spark(array)


def _for_spark(array: pa.Array) -> pd.Series[Any]:
    if pa.types.is_list(array.type):
        # As lists: Spark makes null of NaN in some arrays of numpy, and not in others.
        values = array.to_pylist(maps_as_pydicts="strict")
    elif pa.types.is_nested(array.type) or pa.types.is_timestamp(array.type):
        values = array.to_pandas(maps_as_pydicts="strict")
    else:
        values = pd.arrays.ArrowExtensionArray(array)  # Spark takes the Arrow array out as it is
    return pd.Series(values)
