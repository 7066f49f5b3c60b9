"""DataFrames out of CSV. pandas reads what it takes for the column's type; all else is read as text and held against the type value by value."""

from __future__ import annotations

import codecs
import io
import math
import re
from decimal import Decimal
from functools import cached_property
from typing import Any, Callable, Mapping, Optional

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.values import Misfit, column_of
from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.datatypes import DataType
from deployer_scoring.schema.signature import ColSpec, Schema
from deployer_scoring.wire.csv_shape import CsvRefused, CsvShape, names_at_a_glance, shape_of, without_mark

# Not all that Python knows: some of its codecs take the square of a text's length.
_CHARSETS = re.compile(r"ascii|utf-(8|16|32)(-sig|-[bl]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|gb(2312|k|18030)|big5(hkscs)?|shift_jis\w*|euc_\w+")
_WITHOUT_NUMBERS = frozenset({DataType.string, DataType.binary, DataType.datetime})
_WITHOUT_INTEGERS = _WITHOUT_NUMBERS | {DataType.boolean, DataType.integer, DataType.long}
_ALL = frozenset(DataType)
_BOOLEANS = {"true": True, "false": False}
_BOOLEANS_WRITTEN, _FRACTIONS_WRITTEN = (b"rue", b"RUE", b"alse", b"ALSE"), (b".", b"e", b"E")
_EXACT = 2**53
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_FRACTION = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_LONGEST_NUMBER = 400


def from_csv(body: bytes, schema: Optional[Schema], types: Optional[Mapping[str, Any]] = None) -> pd.DataFrame:
    """A DataFrame of CSV with a header row.

    Empty cells are missing, and what pandas knows as such ("NA", "null", "NaN"). Datetimes are ISO 8601, binary is base64.

    Args:
        body: UTF-8.
        schema: Its columns' types; None where pandas is to guess.
        types: Dtypes by name, instead of pandas' guesses.

    Raises:
        CsvRefused: Not CSV of the same number of fields everywhere, or a value isn't of its column's type.
        InvalidInput: The model takes what CSV can't express.
    """
    body = without_mark(body)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise CsvRefused(f"the text is not UTF-8: {error.reason}; the content type's charset names another", line) from error
    if schema is not None and (schema.is_tensor_spec() or not all(isinstance(each.type, DataType) for each in schema.columns)):
        raise InvalidInput("the model takes tensors or nested values, which CSV can't express; send JSON")
    text = _Text(body)
    return text.guessed(types) if schema is None else _typed(text, _specs(text, schema))


def in_utf_8(body: bytes, charset: str) -> bytes:
    """Text of another encoding in UTF-8.

    Raises:
        InvalidInput: It isn't of that encoding.
    """
    try:
        return body.decode(charset).encode()
    except ValueError as error:
        raise InvalidInput(f"the text is not {charset}: {getattr(error, 'reason', error)}") from error


def is_charset(name: str) -> bool:
    """Whether text of this encoding can be read."""
    try:
        return _CHARSETS.fullmatch(codecs.lookup(name).name) is not None
    except (LookupError, ValueError):
        return False


class _Text:
    """CSV's text, and the names of its columns."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.names = names_at_a_glance(body) or self.shape.names

    @cached_property
    def shape(self) -> CsvShape:
        return shape_of(self.body)

    def read(self, types: Optional[Mapping[str, Any]]) -> pd.DataFrame:
        """What pandas makes of it."""
        with np.errstate(all="ignore"):  # what is cast wrong is found (`_hides_other`)
            frame = pd.read_csv(io.BytesIO(self.body), dtype=types)  # type: ignore[arg-type,unused-ignore]
        if list(frame.columns) != self.names:
            raise CsvRefused(f"the text makes no table: its columns are {self.names[:10]}, and {list(frame.columns)[:10]} were read")
        return frame

    def guessed(self, types: Optional[Mapping[str, Any]]) -> pd.DataFrame:
        try:
            return self.read(types)
        except CsvRefused:
            raise
        except Exception as error:
            assert self.shape is not None  # which has better words, where it is at fault
            raise CsvRefused(f"the text makes no table: {error}") from error


def _specs(text: _Text, schema: Schema) -> dict[str, ColSpec]:
    """What each column is, by its name, or by its place where the signature has no names."""
    if not schema.has_input_names():
        return dict(zip(text.names, schema.columns))
    there = set(text.names)
    return {str(each.name): each for each in schema.columns if each.name in there}


def _typed(text: _Text, specs: Mapping[str, ColSpec]) -> pd.DataFrame:
    """As quick as the values allow: numbers read by pandas, then, where it can't, integers by us, then all."""
    for as_text in (_WITHOUT_NUMBERS, _WITHOUT_INTEGERS):
        types = {name: np.dtype(object) if each.type in as_text else each.type.to_pandas() for name, each in specs.items()}  # type: ignore[union-attr]
        try:
            frame = text.read(types)
        except CsvRefused:
            raise
        except Exception:  # found again below, with the value that is to blame
            continue
        if not _hides_other(frame, text.body, [name for name, each in specs.items() if each.type not in as_text]):
            return _converted(frame, text, {name: each for name, each in specs.items() if each.type in as_text})
    return _converted(text.guessed(dict.fromkeys(specs, np.dtype(object))), text, specs)


def _hides_other(frame: pd.DataFrame, body: bytes, numbers: list[str]) -> bool:
    """Whether pandas may have taken for numbers what isn't just these: "True" for 1, what is past all for infinity, large integers as floats."""
    suspects: set[bytes] = set()
    for name in numbers:
        values = frame[name].to_numpy()
        if values.dtype.kind not in "fi" or not len(values):
            continue
        least, most = np.fmin.reduce(values), np.fmax.reduce(values)
        if values.dtype.kind == "f" and (np.isinf(least) or np.isinf(most)):
            return True
        if values.dtype.kind == "i" and max(most, -least) >= _EXACT:
            suspects.update(_FRACTIONS_WRITTEN)
        if least in (0, 1) and most in (0, 1) and ((values == least) | (values == most) | np.isnan(values)).all():
            suspects.update(_BOOLEANS_WRITTEN)
    return any(word in body for word in suspects)


def _converted(frame: pd.DataFrame, text: _Text, specs: Mapping[str, ColSpec]) -> pd.DataFrame:
    for name, spec in specs.items():
        kind = spec.type
        assert isinstance(kind, DataType)
        if kind is DataType.string:
            continue
        value_of = _value_of(kind)
        values = [value_of(cell) if isinstance(cell, str) else None for cell in frame[name].tolist()]
        try:
            column = column_of(values, kind, required=spec.required, encoded=True)
        except Misfit as misfit:
            raise CsvRefused(f"in the column {name!r}, {misfit}", text.shape.line(misfit.position)) from misfit
        frame[name] = pd.Series(column, index=frame.index)
    return frame


def _value_of(kind: DataType) -> Callable[[str], Any]:
    """What a cell's text is to a type: as JSON would have it, text where it is nothing else."""
    if kind in {DataType.binary, DataType.datetime}:
        return str.strip
    return _boolean if kind is DataType.boolean else _number


def _boolean(text: str) -> Any:
    word = text.strip().lower()
    return _BOOLEANS[word] if word in _BOOLEANS else _number(text)


def _number(text: str) -> Any:
    stripped = text.strip()
    if len(stripped) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(stripped):
        return int(stripped)
    if _FRACTION.fullmatch(stripped):
        number = float(stripped)
        return Decimal(stripped) if math.isinf(number) else number
    return float(stripped) if _INFINITY.fullmatch(stripped) else text
