"""Bytes to JSON values, exactly as the standard library reads them, by orjson wherever the two agree.

They differ on NaN, Infinity and numbers past a double (orjson refuses), lone surrogates (refuses), UTF-16 and byte order marks (refuses),
and on integers past 64 bits, which orjson silently turns into floats: those are looked for first.

Both take the last of two values under one key, so that the first is lost without a word: such an object is refused.
"""

from __future__ import annotations

import json
import math
from itertools import chain
from typing import Any

import numpy as np

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
_COLON, _QUOTE, _SPACE = 58, 34, 32
_SHORT = 512  # bytes
_CONTAINERS = {dict, list}


def read_json(body: bytes) -> Any:
    """The value that the bytes hold.

    Raises:
        InvalidInput: Not JSON, not in a Unicode encoding, or nested too deeply; the message says where.
    """
    if orjson is not None and _LONG_INTEGER not in body.translate(_AS_ZEROS):
        try:
            value = orjson.loads(body)
        except ValueError:
            pass  # the standard library decides, and has the better message
        else:
            if not has_each_key_once(body, value):
                _read_by_the_standard_library(body)
            return value
    return _read_by_the_standard_library(body)


def has_each_key_once(body: bytes, value: Any) -> bool:
    """Whether it is certain that the value which was read of a body lacks none of its keys, so that no object has one twice."""
    return has_keys(body, keys_within(value, _colons(body)))


def has_keys(body: bytes, keys: int) -> bool:
    """Whether a body of JSON has certainly no more keys than this many: no more colons, or no more of them behind a quote."""
    if _colons(body) == keys:
        return True
    array = np.frombuffer(body, np.uint8)
    colons, quotes = array == _COLON, array == _QUOTE
    behind = np.count_nonzero(colons[1:] & quotes[:-1]) + np.count_nonzero(colons[2:] & (array[1:-1] <= _SPACE) & quotes[:-2])
    return bool(behind == keys)


def keys_within(value: Any, most: int) -> int:
    """How many keys the objects in a value have, counted level by level until there are `most`: rows of values needn't be looked through."""
    found, level = 0, [value]
    while level and found < most:
        mappings = [each for each in level if type(each) is dict]
        found += sum(map(len, mappings))
        if found < most:
            parts = chain(chain.from_iterable(map(dict.values, mappings)), chain.from_iterable(each for each in level if type(each) is list))
            level = [each for each in parts if type(each) in _CONTAINERS]
    return found


def _colons(body: bytes) -> int:
    return body.count(b":") if len(body) < _SHORT else int(np.count_nonzero(np.frombuffer(body, np.uint8) == _COLON))


def _read_by_the_standard_library(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_object, parse_float=_float)
    except RecursionError:
        raise InvalidInput("the body is JSON nested too deeply") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    except InvalidInput:
        raise
    except ValueError as error:
        raise InvalidInput(f"the body is not valid JSON: {error}") from error


def _float(text: str) -> float:
    """A number with a fraction or exponent; one past a double isn't made infinity, which is written as such."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:_LONGEST_SHOWN]} is past the range of a double")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"an object has the key {twice!r} more than once")
    return made
