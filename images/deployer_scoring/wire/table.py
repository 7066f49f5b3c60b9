"""Rows that are already what a model's signature says, kept as few typed arrays: cheap to make, to join and to hand to a model.

Columns of one dtype stand together in one array of shape (columns, rows), which is how pandas keeps them. So a frame of 200 columns is
made of a handful of arrays without a copy, and its `to_numpy` has the memory order that MLflow's frame has: linear algebra rounds alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import pandas as pd

from deployer_scoring.schema.datatypes import DataType

# Since pandas 3: a frame of blocks as they are.
_blocks_to_frame: Any = getattr(getattr(pd.api, "internals", None), "create_dataframe_from_blocks", None)
# From pandas 3 on strings have a dtype of their own; None where they are objects.
_TEXT: Any = pd.Series([""]).dtype if isinstance(pd.Series([""]).dtype, pd.StringDtype) else None


class Layout:
    """Which columns a table has: names in order, and where those of each type stand. Made once, shared by many tables."""

    __slots__ = ("columns", "groups", "names", "whole")

    def __init__(self, names: Sequence[Any], types: Sequence[DataType]) -> None:
        """Sort columns into groups of one type each.

        Args:
            names: In the signature's order.
            types: One each.
        """
        self.names = tuple(names)
        self.columns = pd.Index(list(names))
        positions: dict[DataType, list[int]] = {}
        for position, kind in enumerate(types):
            positions.setdefault(kind, []).append(position)
        self.groups: tuple[tuple[DataType, np.ndarray[Any, Any]], ...] = tuple((kind, np.array(at)) for kind, at in positions.items())
        """Each type with the positions of its columns, in the order of a table's blocks."""
        self.whole: Optional[DataType] = self.groups[0][0] if len(self.groups) == 1 else None
        """The type of all columns, where they have but one."""


class Table:
    """Rows enforced against a signature. Not changed once made; a frame made of it is the model's to change."""

    __slots__ = ("blocks", "layout", "rows")

    def __init__(self, layout: Layout, blocks: Sequence[np.ndarray[Any, Any]], rows: int) -> None:
        """Put blocks together.

        Args:
            layout: The columns.
            blocks: One array for each of the layout's groups, of shape (columns of the group, rows), strings as objects.
            rows: Their number.
        """
        self.layout, self.blocks, self.rows = layout, blocks, rows

    @property
    def names(self) -> tuple[Any, ...]:
        return self.layout.names

    def frame(self) -> pd.DataFrame:
        """The DataFrame that MLflow would give the model. It shares the table's memory, so ask for one only."""
        if self.layout.whole not in {None, DataType.string}:
            return pd.DataFrame(self.blocks[0].T, columns=self.layout.columns, copy=False)
        if _blocks_to_frame is None:
            return self._frame_of_columns()
        blocks: list[tuple[Any, Any]] = []
        for (kind, positions), block in zip(self.layout.groups, self.blocks):
            if kind is DataType.string and _TEXT is not None:
                text = pd.array(block.ravel(), dtype=_TEXT)  # one for all columns: making one costs more than its values
                blocks += ((text[at * self.rows : (at + 1) * self.rows], positions[at : at + 1]) for at in range(len(positions)))
            else:
                blocks.append((block, positions))
        return _blocks_to_frame(blocks, index=pd.RangeIndex(self.rows), columns=self.layout.columns)  # type: ignore[no-any-return]

    def _frame_of_columns(self) -> pd.DataFrame:
        columns: dict[int, Any] = {
            int(position): column for (_, positions), block in zip(self.layout.groups, self.blocks) for position, column in zip(positions, block)
        }
        frame = pd.DataFrame({position: columns[position] for position in range(len(columns))})
        frame.columns = self.layout.columns
        return frame

    def matrix(self) -> np.ndarray[Any, Any]:
        """The values as one array of shape (rows, columns), of the dtype and memory order that `frame().to_numpy()` has."""
        if self.layout.whole is not None:
            return self.blocks[0].T
        kinds = {block.dtype.kind for block in self.blocks}
        dtype = np.result_type(*self.blocks) if "O" not in kinds and not ("b" in kinds and len(kinds) > 1) else np.dtype(object)
        values = np.empty((len(self.layout.names), self.rows), dtype)
        for (_, positions), block in zip(self.layout.groups, self.blocks):
            values[positions] = block
        return values.T

    @staticmethod
    def joined(tables: Sequence[Table]) -> Table:
        """One table of the rows of several, in order.

        Args:
            tables: At least one, all with the same layout (the same object: `tables[0].layout is tables[1].layout`).
        """
        if len(tables) == 1:
            return tables[0]
        blocks = [np.concatenate(parts, axis=1) for parts in zip(*(table.blocks for table in tables))]
        return Table(tables[0].layout, blocks, sum(table.rows for table in tables))
