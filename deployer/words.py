"""Sizes, times, values and tables as people read them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deployer_scoring.printable import one_line


def size(count: float) -> str:
    """Bytes: "812 B", "2.1 MB", "1.0 GB" (powers of 1000, as clouds bill)."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.95 or unit == "TB":
            break
    return f"{count:.1f} {unit}"


def duration(seconds: float) -> str:
    """ "0.4 s", "41 s", "2 m 14 s", "1 h 3 m"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} m"


def short_time(seconds: float) -> str:
    """As options write it: "200ms", "1.5s"."""
    return f"{math.ceil(seconds * 1000)}ms" if seconds < 1 else f"{seconds:.3g}s"


def short_share(rate: float) -> str:
    """As options write it: 0.015 is "1.5%"."""
    return f"{rate * 100:.3g}%"


def age(then: datetime | None, now: datetime | None = None) -> str:
    """The time since, in its largest unit: "2 m", "3 d"; empty where it isn't known."""
    if then is None:
        return ""
    moment = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = max(((now or datetime.now(UTC)) - moment).total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def rfc3339(time: datetime) -> str:
    """The one form that times are written in: UTC, to the second."""
    moment = time if time.tzinfo else time.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def table(rows: Iterable[Sequence[str]], *, width: int | None = None, hide: Sequence[str] = ()) -> str:
    """Columns padded to their widest cell, three spaces apart, no space at a line's end.

    Args:
        width: what a line may have, lest a terminal break it amid a word; None: whatever it needs.
        hide: the headings of the columns that may go for that, the first one first; where that isn't enough, the longest cells are cut.
    """
    whole = [[one_line(cell) for cell in row] for row in rows]
    for heading in hide:
        if width is None or _longest(whole) <= width:
            break
        whole = _without(whole, heading)
    while width is not None and _longest(whole) > width and _cut(whole, _longest(whole) - width):
        pass
    return _padded(whole)


def _longest(rows: list[list[str]]) -> int:
    return max(map(len, _padded(rows).splitlines()), default=0)


def _without(rows: list[list[str]], heading: str) -> list[list[str]]:
    gone = {index for index, cell in enumerate(rows[0]) if cell == heading} if rows else set()
    return [[cell for index, cell in enumerate(row) if index not in gone] for row in rows]


def _cut(rows: list[list[str]], excess: int) -> bool:
    """Shorten the widest column; False where none is left that has room."""
    widths = [max(len(row[index]) for row in rows if index < len(row)) for index in range(max(map(len, rows), default=0))]
    widest = max(range(len(widths)), key=lambda index: widths[index], default=None)
    if widest is None or widths[widest] <= _SHORTEST:
        return False
    others = sorted(widths)[-2] if len(widths) > 1 else 0
    room = max(widths[widest] - excess, min(others, widths[widest] - 1), _SHORTEST)
    for row in rows:
        if widest < len(row) and len(row[widest]) > room:
            row[widest] = row[widest][: room - 1].rstrip() + "…"
    return True


def _padded(whole: list[list[str]]) -> str:
    widths = [max(len(row[index]) for row in whole if index < len(row)) for index in range(max(map(len, whole), default=0))]
    return "\n".join("   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip() for row in whole)


_SHORTEST = 8
"""What a cell is cut to at most."""


def shortened(uri: str, longest: int = 40) -> str:
    """A long URI with its middle left out: "s3://…/fraud"."""
    if len(uri) <= longest:
        return uri
    scheme, separator, rest = uri.partition("://")
    head = f"{scheme}://" if separator else ""
    last = (rest or scheme).rstrip("/").rpartition("/")[2]
    return f"{head}…/{last[-longest:]}"


def flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options with dotted names; those that are not set are left out."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        elif value not in (None, {}, [], ()):
            found[f"{prefix}{key}"] = value
    return found


def shown(value: Any) -> str:
    """An option's value in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
