"""Bytes to JSON values, exactly as the standard library reads them, by orjson wherever the two agree.

They differ on NaN, Infinity and numbers past a double (orjson refuses), lone surrogates (refuses), UTF-16 and byte order marks (refuses),
and on integers past 64 bits, which orjson silently turns into floats: those are looked for first.
"""

from __future__ import annotations

import json
import math
from typing import Any

from deployer_scoring.errors import InvalidInput

__all__ = ["orjson", "read_json"]

try:
    import orjson
except ImportError:  # a model's environment may be without it
    orjson = None  # type: ignore[assignment,unused-ignore]

# Looked for this way because a regular expression takes ten times as long as the parser.
_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONGEST_SHOWN = 40
_LONG_INTEGER = b"0" * 19


def read_json(body: bytes) -> Any:
    """The value that the bytes hold.

    Raises:
        InvalidInput: Not JSON, not in a Unicode encoding, or nested too deeply; the message says where.
    """
    if orjson is not None and _LONG_INTEGER not in body.translate(_AS_ZEROS):
        try:
            return orjson.loads(body)
        except ValueError:
            pass  # the standard library decides, and has the better message
    try:
        return json.loads(body, parse_float=_float)
    except RecursionError:
        raise InvalidInput("the body is JSON nested too deeply") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    except ValueError as error:
        raise InvalidInput(f"the body is not valid JSON: {error}") from error


def _float(text: str) -> float:
    """A number with a fraction or exponent; one past a double isn't made infinity, which is written as such."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:_LONGEST_SHOWN]} is past the range of a double")
    return number
