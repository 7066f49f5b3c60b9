"""CSV of plain numbers, read as JSON: several times faster than a reader of CSV, where the values can't differ.

pandas' reader computes a number from its digits with one rounding more than the nearest double takes, so the last bit may differ, and that
bit is MLflow's. With up to 15 digits, no exponent and no sign of zero both are exact: digits and power of ten are whole doubles, and their
quotient is rounded once. Everything else is left to pandas.

Measured with and without, iris, 1000 rows: 1.7 to 2 times the requests of the whole server.
"""

from __future__ import annotations

from typing import Any, Optional

from deployer_scoring.wire.csv_shape import names_are_plain
from deployer_scoring.wire.jsonbytes import orjson

_MOST_DIGITS = 15
_SAMPLE = 1024  # a look at the beginning, so that a large body that isn't of this kind costs little
_SHAPES = bytes.maketrans(b"123456789\n", b"000000000,")
_TOO_LONG = b"0" * (_MOST_DIGITS + 1)


def split_of_numbers(body: bytes) -> Optional[dict[str, Any]]:
    """The content as a `dataframe_split`, with integers and floats as they are written; None where that is for pandas to say.

    Args:
        body: CSV with a header row.
    """
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    header, _, numbers = body.partition(b"\n")
    if numbers.endswith(b"\n"):
        numbers = numbers[:-1]
    columns = header.decode("utf-8")
    names = columns.split(",")
    # A byte order mark isn't printable, so this refuses it too.
    if '"' in columns or not columns.isprintable() or not names_are_plain(names) or not (_are_exact(numbers[:_SAMPLE]) and _are_exact(numbers)):
        return None
    return {"columns": names, "data": orjson.loads(b"[[" + numbers.replace(b"\n", b"],[") + b"]]")}


def _are_exact(numbers: bytes) -> bool:
    shapes = numbers.translate(_SHAPES, b".-")
    if shapes.count(b"0") + shapes.count(b",") != len(shapes) or _TOO_LONG in shapes:
        return False
    return b"-0," not in numbers and b"-0\n" not in numbers and not numbers.endswith(b"-0")
