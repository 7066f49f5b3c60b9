"""Tables of figures, for a terminal and for docs/performance.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A title, column heads and rows of text; `note` says how it was measured."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def text(self) -> str:
        """For a terminal: columns padded."""
        widths = [max(len(row[column]) for row in (self.heads, *self.rows)) for column in range(len(self.heads))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (self.heads, *self.rows)]
        return "\n".join([self.title, *(f"  {each}" for each in lines), *([f"  {self.note}"] if self.note else [])])

    def markdown(self) -> str:
        """For a page."""
        lines = [self.heads, ("---",) * len(self.heads), *self.rows]
        return "\n".join([f"### {self.title}", "", *("| " + " | ".join(row) + " |" for row in lines), *(["", self.note] if self.note else [])])
