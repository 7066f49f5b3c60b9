"""Sizes, times, values and tables as people read them."""

from __future__ import annotations

import json
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


def table(rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell, three spaces apart, no space at a line's end."""
    whole = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in whole if index < len(row)) for index in range(max(map(len, whole), default=0))]
    return "\n".join("   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip() for row in whole)


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
