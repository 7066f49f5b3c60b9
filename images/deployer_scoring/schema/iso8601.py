"""Dates and times as ISO 8601 writes them, alike on every Python: `fromisoformat` takes no Z before 3.11, and few lengths of a fraction."""

from __future__ import annotations

import datetime as dt
import re

ISO_8601 = re.compile(
    r"\d{4}(-\d\d)?|(\d{4}-\d\d-\d\d|\d{8})([T ]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)? ?(Z|[+-]\d\d(:?\d\d)?)?)?",
    re.ASCII,
)
_PARTS = re.compile(r"(\d{4})(?:-?(\d\d))?(?:-?(\d\d))?(?:[T ](\d\d):?(\d\d)?:?(\d\d)?(?:\.(\d+))? ?(Z|[+-][\d:]+)?)?", re.ASCII)


def datetime_of(text: str) -> dt.datetime:
    """The datetime that a text says: a date alone is its midnight, digits past microseconds are left out, a zone stays as it is.

    Raises:
        ValueError: It says none.
    """
    found = _PARTS.fullmatch(text) if ISO_8601.fullmatch(text) else None
    if found is None:
        raise ValueError(f"{text!r} is no datetime as ISO 8601 writes it")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    microsecond = int((fraction or "").ljust(6, "0")[:6])
    numbers = [int(each or default) for each, default in ((month, 1), (day, 1), (hour, 0), (minute, 0), (second, 0))]
    return dt.datetime(int(year), *numbers, microsecond, tzinfo=_zone(zone))  # type: ignore[misc,arg-type]


def _zone(text: str) -> dt.tzinfo:
    if not text:
        return None  # type: ignore[return-value]
    if text == "Z":
        return dt.timezone.utc
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return dt.timezone(-offset if text[0] == "-" else offset)
