"""Where our verdict on an input differs from MLflow's on purpose, by the name of the case. docs/format.md tells users.

STRICTER: refused here, with the value named, where MLflow makes other data of it, or passes on what isn't of the column's type.
LOOSER: taken here as it is, where MLflow refuses.
OTHERWISE: taken by both, with the values that were given here and with others by MLflow.
"""

from __future__ import annotations

import re

_EACH = "(split|records|inputs|instances|unnamed inputs|optional), "
_ARRAYS = "(inputs|instances|unnamed inputs), "
_OPTIONAL = "(optional )?"
_CONTAINER = "(, (by position|a series|an array.*|a dictionary of .*|a list.*|one row|a scalar.*))?"
_OBJECTS = "(objects of .*|no rows of objects|decimals)"

STRICTER = [
    # booleans
    _EACH + r"boolean from \[(True, None|None, None|'true', 'false')\]",
    f"(bool with None|bytes.*|objects.*|decimals|dates|lists|arrays|text) for {_OPTIONAL}boolean{_CONTAINER}",
    # numbers
    _EACH + r"(integer|long) from \[1.5, 2.0\]",
    _EACH + r"(integer|long) from \[\d{10,}, 1\]",
    _EACH + r"(integer|long|float|double) from \[True, False\]",
    _EACH + r"(integer|long|float|double) from \['[\d.]+', '\d'\]",
    _EACH + r"float from \[1e\+300, 1.0\]",
    f"(bool with None|text of numbers|objects of large int) for {_OPTIONAL}(double|long)",
    "a number past a double",
    # strings and binary
    _EACH + r"string from \[(1|1.5|True), (2|None|False)\]",
    _EACH + r"string from \[\['a'\], \['b'\]\]",
    _EACH + r"binary from \[('!!', 'a'|1, 2|'ÿ', ''|None, 'YQ==')\]",
    f"(bool|bytes|objects|decimals|dates|lists|arrays|text|pandas' string)( .*)? for {_OPTIONAL}(string|binary){_CONTAINER}",
    # datetimes
    _EACH + r"datetime from \[1, 2\]",
    # nested values, tensors
    "(an array|a list|a map) of (bytes|bool|text|objects of int and None) for a (list|map) of (boolean|double|string|binary)",
    "(a column|lists) of .* for a tensor of .*",
    "tensor of bytes from a frame",
    # the shape of CSV
    "csv with (all rows longer|rows that are shorter|commas at the ends|a name twice|a column without a name|booleans for a double)",
    "duplicate keys",
    # params
    r"2\*\*(31|70) for (integer|long)",
    "1e300 for float",
]
LOOSER = [
    # missing values in optional columns
    _EACH + r"(integer|long) from \[(1, None|None, None)\]",
    _EACH + r"binary from \[None, 'YQ=='\]",
    "(whole float64|float32|nullable Int64|nullable boolean) with a gap for optional (integer|long|boolean)",
    "float64 of gaps for optional (integer|long)",
    "optional all None",
    # whole floats
    f"(whole float64|float64 of 0 and 1|no rows) for {_OPTIONAL}(integer|long){_CONTAINER}",
    "by position from an array",
    "float(32)? 1 for long|float(32)? 1 for integer",
    # Python's own values, which have no width
    f"{_OBJECTS} for {_OPTIONAL}(boolean|integer|long|float|double){_CONTAINER}",
    f"(int32|int64|int64 of 0 and 1|float32|float64) for (boolean|integer|float|double){_CONTAINER}",
    f"nullable Int64 with a gap for {_OPTIONAL}(float|double)",
    "(an array|a list|a map) of .* for a (list|map) of (boolean|integer|float|double|datetime)",
    ".*list of (doubles from integers|datetimes).*",
    # categories, datetimes
    f"categories of (text|numbers) for {_OPTIONAL}(string|long)",
    f"(objects of )?text of dates for {_OPTIONAL}datetime",
    f"datetimes with a zone for {_OPTIONAL}datetime",
    _EACH + r"datetime from \['2026-01-02(T00:00:00(Z|\+02:00))?'?.*",
    "instances, (optional )?(list|object|map|any|vector).*",
    "inputs( of one row)?, (optional )?list of lists",
    "inputs( of one row)?, optional list that is null",
    "inputs, (optional )?list of any",
    # CSV's values, by the same rule
    "csv for (datetimes|binary|optional values)",
    # columns by position, each of its own type
    "unnamed columns from inputs",
]
OTHERWISE = [
    # null in an optional column of booleans, which MLflow makes false at the server and leaves to objects in process
    r"optional, boolean from \[(True, None|None, None)\]",
    "(bool with None|objects of None|no rows of objects) for (optional )?boolean",
    # null in a string, which MLflow makes the text None under inputs, and cuts to the width of the others in a list
    _ARRAYS + r"string from \[('a', None|None, None)\]",
    ".*list of strings with null.*",
    # base64, which MLflow decodes in dataframe_* alone
    _ARRAYS + r"binary from \['AAH/', 'YWI='\]",
    "csv for binary",
    # datetimes in a list, which MLflow makes integers; text without a dimension, which is text
    "a list of datetime64\\[ns\\] for a list of datetime",
    "text of no dimension",
    # integers in a column of doubles, and no rows, which MLflow leaves integers
    f"(objects of large int|no rows of objects) for {_OPTIONAL}double",
]
EARLIER = [
    # refused while the body is read, and by MLflow when it is held against the signature, so that the error's code differs
    _ARRAYS + r"double from \[\[1.0\], \[2.0\]\]",
    "a matrix for one named column",
]
_REFUSED_FOR_A_VALUE = re.compile(
    r"\bis (no|not|out of the range|past the range|missing)\b"
    r"|^line \d+: (there (is|are) \d+ field|the column \S+ (has no name|is there more than))|more than once$"
)


def differs_on_purpose(name: str, theirs_taken: bool, ours_taken: bool, message: str) -> bool:
    """Whether a difference is one of those above; one that refuses must name the value's fault."""
    if not ours_taken:
        return _is(name, STRICTER) and _REFUSED_FOR_A_VALUE.search(message) is not None
    return _is(name, OTHERWISE if theirs_taken else LOOSER)


def refused_earlier(name: str) -> bool:
    return _is(name, EARLIER)


def _is(name: str, patterns: list[str]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)
