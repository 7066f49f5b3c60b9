"""JSON values to a table at once, where everything is as the signature says: the way that nearly all requests take.

A value of another type, a missing or surplus column, rows that differ: all that is doubtful raises, and MLflow's own way (frames.py,
instances.py) decides about the request. What is made here must be what that way makes; tests hold one against the other.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any, Callable, Optional

import numpy as np
import pandas as pd

from deployer_scoring.schema.datatypes import DataType
from deployer_scoring.schema.signature import ColSpec, Schema
from deployer_scoring.wire.packing import packed
from deployer_scoring.wire.table import Layout, Table

TAKEN = {DataType.double, DataType.float, DataType.long, DataType.integer, DataType.boolean, DataType.string}
_NUMERIC = {DataType.double, DataType.float, DataType.long, DataType.integer}
_EXACT = 2.0**53
_MOST_ARRANGEMENTS = 64
_FEW = 32
_NUMBERS, _NUMBERS_AND_GAPS = {float, int}, {float, int, type(None)}
_INTEGER, _BOOLEAN, _TEXT = {int}, {bool}, {str}


class Doubt(Exception):
    """Not as plain as it must be here; the request may be right all the same."""


class Arrangement:
    """How the columns of one kind of request become a table: the layout, and for each of its groups what picks its values from a row."""

    __slots__ = ("absent", "layout", "pickers", "straight")

    def __init__(self, layout: Layout, keys: Sequence[Any], absent: frozenset[Any]) -> None:
        """Prepare the pickers.

        Args:
            layout: Of the columns that are there.
            keys: For each column of the layout its key (a name, or a position) in a row.
            absent: Optional columns of the signature that are not there.
        """
        self.layout, self.absent = layout, absent
        self.pickers = [_picker([keys[position] for position in positions]) for _, positions in layout.groups]
        self.straight = layout.whole is not None and list(keys) == list(range(len(keys)))
        """Whether a row's values as they stand are the one group, if the row has no others."""


def _picker(keys: Sequence[Any]) -> Callable[[Any], Sequence[Any]]:
    """What gives the values under these keys, as a tuple."""
    if len(keys) > 1:
        return operator.itemgetter(*keys)
    key = keys[0]
    return lambda row: (row[key],)


class Blocks:
    """Reads the four formats of JSON for one schema of scalar columns."""

    def __init__(self, schema: Schema) -> None:
        """Prepare reading.

        Args:
            schema: Of columns with types in TAKEN (see `takes`).
        """
        self._specs = {each.name: each for each in schema.columns}
        self._required = {name for name, each in self._specs.items() if each.required}
        self._by_position: dict[Any, Optional[Arrangement]] = {}
        self._by_name: dict[Any, Optional[Arrangement]] = {}
        self._by_name_exactly: dict[Any, Optional[Arrangement]] = {}
        types = {each.type for each in schema.columns if isinstance(each.type, DataType)}
        self.has_text = DataType.string in types
        self.has_numbers_alone = types <= _NUMERIC

    @staticmethod
    def takes(schema: Schema) -> bool:
        """Whether all columns are scalars with names of their own, of types that are read here."""
        names = [each.name for each in schema.columns]
        return bool(names) and all(names) and len(set(names)) == len(names) and all(each.type in TAKEN for each in schema.columns)

    def from_split(self, value: Any) -> Table:
        """As `frames.from_split` and enforcement make it."""
        data = value["data"]
        columns = tuple(value["columns"])
        if len(value) > 2:
            _check_index(value, len(data))
        arrangement = self._arranged(self._by_position, columns, self._positions)
        if set(map(type, data)) != {list} or set(map(len, data)) != {len(columns)}:
            raise Doubt
        if len(data) == 1:
            return _of_rows(data, arrangement)
        if arrangement.straight and len(columns) == len(arrangement.layout.names):
            return _of_straight(data, arrangement)
        return _of_columns(list(zip(*data)), arrangement, len(data))

    def from_records(self, value: Any) -> Table:
        """As `frames.from_records` and enforcement make it."""
        keys = tuple(value[0])
        arrangement = self._arranged(self._by_name, keys, self._names)
        if type(value[0]) is not dict or (arrangement.absent and not all(map(arrangement.absent.isdisjoint, value))):
            raise Doubt  # an optional column that the first row lacks stands in another
        return _of_rows(value, arrangement)

    def from_rows(self, rows: list[tuple[Any, ...]]) -> Table:
        """As `from_records`, of rows that have a value for each of the schema's columns, in its order."""
        arrangement = self._arranged(self._by_position, tuple(self._specs), self._positions)
        return _of_straight(rows, arrangement) if arrangement.straight else _of_columns(list(zip(*rows)), arrangement, len(rows))

    def from_instances(self, value: Any) -> Table:
        """As `instances.from_instances` and enforcement make it, but for strings that end in NUL, which numpy cuts off there."""
        if type(value) is not list or type(value[0]) is not dict:
            return self.from_inputs(value)
        arrangement = self._arranged(self._by_name_exactly, tuple(value[0]), self._names_exactly)
        if set(map(len, value)) != {len(arrangement.layout.names)}:
            raise Doubt
        return _of_rows(value, arrangement)

    def from_inputs(self, value: Any) -> Table:
        """As `instances.from_inputs` and enforcement make it."""
        if type(value) is list and len(self._specs) == 1:
            value = dict.fromkeys(self._specs, value)
        arrangement = self._arranged(self._by_name_exactly, tuple(value), self._names_exactly)
        columns = value.values()
        if set(map(type, columns)) != {list} or len(lengths := set(map(len, columns))) != 1:
            raise Doubt
        return _of_columns(value, arrangement, lengths.pop())

    def from_frame(self, frame: pd.DataFrame) -> Table:
        """As enforcement makes it, of a frame whose columns have the types of the signature already; not for text."""
        arrangement = self._arranged(self._by_name, tuple(frame.columns), self._names)
        # More values than names make an index of the first, which pandas may write as a range of its own.
        if not len(frame) or not (type(frame.index) is pd.RangeIndex and frame.index.equals(pd.RangeIndex(len(frame)))):
            raise Doubt
        blocks = []
        for kind, positions in arrangement.layout.groups:
            columns = [frame[arrangement.layout.names[position]] for position in positions]
            if any(column.dtype != kind.to_numpy() for column in columns):
                raise Doubt
            blocks.append(np.array([column.to_numpy() for column in columns]))
        return Table(arrangement.layout, blocks, len(frame))

    def _arranged(self, known: dict[Any, Optional[Arrangement]], keys: tuple[Any, ...], make: Callable[[Any], Optional[Arrangement]]) -> Arrangement:
        try:
            arrangement = known[keys]
        except KeyError:
            if len(known) >= _MOST_ARRANGEMENTS:
                known.clear()  # clients that never send the same columns twice don't fill the memory
            arrangement = known[keys] = make(keys)
        if arrangement is None:
            raise Doubt
        return arrangement

    def _positions(self, columns: tuple[Any, ...]) -> Optional[Arrangement]:
        return self._arrangement(columns, {name: position for position, name in enumerate(columns)}.__getitem__)

    def _names(self, keys: tuple[Any, ...]) -> Optional[Arrangement]:
        return self._arrangement(keys, lambda name: name)

    def _names_exactly(self, keys: tuple[Any, ...]) -> Optional[Arrangement]:
        return self._names(keys) if set(keys) <= self._specs.keys() else None

    def _arrangement(self, present: tuple[Any, ...], key: Callable[[Any], Any]) -> Optional[Arrangement]:
        if len(set(present)) != len(present) or set(map(type, present)) != {str} or not self._required <= set(present):
            return None
        specs: list[ColSpec] = [each for name, each in self._specs.items() if name in set(present)]
        if not specs:
            return None
        layout = Layout([each.name for each in specs], [each.type for each in specs if isinstance(each.type, DataType)])
        return Arrangement(layout, [key(each.name) for each in specs], frozenset(self._specs).difference(present))


def _check_index(value: Any, rows: int) -> None:
    index = value["index"]
    if len(value) > 3 or not (index is None or (index == list(range(rows)) and set(map(type, index)) == {int})):
        raise Doubt


def _of_straight(rows: Sequence[Sequence[Any]], arrangement: Arrangement) -> Table:
    """Rows of one type that need no picking."""
    block = _typed(arrangement.layout.groups[0][0], list(chain.from_iterable(rows)))
    return Table(arrangement.layout, [block.reshape(len(rows), -1).T.copy()], len(rows))


def _of_rows(rows: Any, arrangement: Arrangement) -> Table:
    count = len(rows)
    blocks = []
    for (kind, positions), picker in zip(arrangement.layout.groups, arrangement.pickers):
        if count == 1:
            blocks.append(_typed(kind, picker(rows[0])).reshape(len(positions), 1))
        else:
            values = _typed(kind, list(chain.from_iterable(map(picker, rows))))
            blocks.append(values.reshape(count, len(positions)).T.copy())
    return Table(arrangement.layout, blocks, count)


def _of_columns(columns: Any, arrangement: Arrangement, count: int) -> Table:
    blocks = []
    for (kind, positions), picker in zip(arrangement.layout.groups, arrangement.pickers):
        picked = picker(columns)
        values = picked[0] if len(picked) == 1 else list(chain.from_iterable(picked))
        blocks.append(_typed(kind, values).reshape(len(positions), count))
    return Table(arrangement.layout, blocks, count)


def _typed(kind: DataType, values: Sequence[Any]) -> Any:
    """One array of values that are all of the type's own kind; integers where floats are wanted, and missing doubles as NaN.

    Raises:
        Doubt, TypeError, ValueError, OverflowError: One isn't.
    """
    return _TYPED[kind](values)


def _doubles(values: Sequence[Any]) -> Any:
    if len(values) > _FEW:
        try:
            return packed("d", values)
        except struct.error:
            pass  # perhaps only for a gap
    types = set(map(type, values))
    if not types <= _NUMBERS and not types <= _NUMBERS_AND_GAPS:
        raise Doubt
    return np.array(values, np.float64)


def _floats(values: Sequence[Any]) -> Any:
    wide = _doubles(values)
    if not (np.abs(wide) <= _EXACT).all():  # an integer beyond it would be rounded twice; NaN is left to the other way, too
        raise Doubt
    return wide.astype(np.float32)


def _longs(values: Sequence[Any]) -> Any:
    if len(values) > _FEW:
        return packed("q", values)
    if set(map(type, values)) != _INTEGER:
        raise Doubt
    return np.array(values, np.int64)


def _integers(values: Sequence[Any]) -> Any:
    wide = _longs(values)
    narrow = wide.astype(np.int32)
    if not (narrow == wide).all():
        raise Doubt
    return narrow


def _booleans(values: Sequence[Any]) -> Any:
    if set(map(type, values)) != _BOOLEAN:
        raise Doubt
    return np.array(values, np.bool_)


def _texts(values: Sequence[Any]) -> Any:
    if set(map(type, values)) != _TEXT:
        raise Doubt
    return np.array(values, object)


_TYPED: dict[DataType, Callable[[Sequence[Any]], Any]] = {
    DataType.double: _doubles,
    DataType.float: _floats,
    DataType.long: _longs,
    DataType.integer: _integers,
    DataType.boolean: _booleans,
    DataType.string: _texts,
}
