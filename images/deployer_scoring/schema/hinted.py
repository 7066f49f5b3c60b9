"""Values held against the type hint of a predict's input (MLflow's `_convert_data_to_type_hint` and `_validate_data_against_type_hint`)."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import os
import uuid
from collections.abc import Sequence
from typing import Any, Callable, get_args, get_origin

from deployer_scoring.errors import INVALID_PARAMETER_VALUE, InvalidInput
from deployer_scoring.schema.hints import (
    NONE,
    SCALARS,
    UNIONS,
    WRITTEN,
    choices_of,
    element_of_list,
    is_choice,
    is_list,
    shown,
    unknown,
    without_optional,
)
from deployer_scoring.schema.iso8601 import datetime_of
from deployer_scoring.schema.pydantic_models import Unfit, instance_of, is_model, shown_kind

# Set where models are served: values came as JSON, so that bytes are base64, datetimes ISO 8601, and 1 may be 1.0.
_SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"
_MOST_ERRORS = 5
_LONGEST_QUOTED = 60
_EXPECTED = {
    int: "an integer",
    str: "a string",
    bool: "a boolean",
    float: "a number",
    bytes: "bytes",
    dt.datetime: "a datetime",
    dt.date: "a date",
    dt.time: "a time",
    uuid.UUID: "a UUID",
    decimal.Decimal: "a decimal number",
}
_READERS: dict[Any, Callable[[str], Any]] = {
    dt.date: dt.date.fromisoformat,
    dt.time: dt.time.fromisoformat,
    uuid.UUID: uuid.UUID,
    decimal.Decimal: decimal.Decimal,
}


def held_against(data: Any, hint: Any) -> Any:
    """The data as a hint demands it: rows of a DataFrame as a list, dictionaries as pydantic models, and text as what JSON writes so.

    Raises:
        InvalidInput: The data doesn't fit; the message names each place at fault, five at most.
    """
    faults: list[tuple[tuple[Any, ...], str]] = []
    held = _checked(_listed(data, hint), hint, (), faults)
    if not faults:
        return held
    told = [_told(place, said, by_row=is_list(hint)) for place, said in faults[:_MOST_ERRORS]]
    row = faults[0][0][0] if faults[0][0] and is_list(hint) else None
    message = "; ".join(told) + ("; and more" if len(faults) > _MOST_ERRORS else "")
    raise InvalidInput(message, error_code=INVALID_PARAMETER_VALUE, row=row)


def _told(place: Sequence[Any], said: str, *, by_row: bool) -> str:
    """`in row 2, places[0].x: a number was expected`."""
    where = f"in row {place[0] + 1}" if by_row and place else ""
    under = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in (place[1:] if where else place)).lstrip(".")
    return ", ".join(part for part in (where, under) if part) + (f": {said}" if place else said)


def _listed(data: Any, hint: Any) -> Any:
    """The rows of a DataFrame as a list, as the elements of the hint are: records, or the values of the first column."""
    if type(data).__name__ != "DataFrame" or not hasattr(data, "to_dict"):
        return data
    if without_optional(hint) is not list:
        raise InvalidInput(f"a DataFrame fits only a hint that is a list, not {shown(hint)}", error_code=INVALID_PARAMETER_VALUE)
    element = element_of_list(hint)
    if (element is dict or is_model(element)) and list(data.columns) != [0]:
        return _plain(data.to_dict(orient="records"))
    return _plain(data.iloc[:, 0].tolist())


def _plain(value: Any) -> Any:
    """numpy's arrays as lists and NaN as None, at any depth."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124  NaN is unequal to itself


def _checked(data: Any, hint: Any, place: tuple[Any, ...], faults: list[tuple[tuple[Any, ...], str]]) -> Any:
    """The data as the hint has it; what doesn't fit is added to the faults."""
    origin = get_origin(hint)
    if origin is list:
        items = data if isinstance(data, list) else _nothing(data, "a list", place, faults)
        return [_checked(each, get_args(hint)[0], (*place, index), faults) for index, each in enumerate(items)]
    if origin is dict:
        entries = data if isinstance(data, dict) else dict(_nothing(data, "an object", place, faults))
        if not all(isinstance(key, str) for key in entries):
            faults.append((place, "the keys of an object must be strings"))
        return {key: _checked(each, get_args(hint)[1], (*place, key), faults) for key, each in entries.items()}
    if origin in UNIONS:
        others = [each for each in get_args(hint) if each is not NONE]
        is_optional = len(others) == 1 and len(get_args(hint)) == 2
        return _checked(data, others[0], place, faults) if is_optional and data is not None else data
    try:
        return data if hint is Any else _single(data, hint)
    except Unfit as unfit:
        faults.extend(((*place, *under), said) for under, said in unfit.faults)
        return None


def _nothing(data: Any, expected: str, place: tuple[Any, ...], faults: list[tuple[tuple[Any, ...], str]]) -> Sequence[Any]:
    faults.append((place, f"{expected} was expected, not {shown_kind(data)}"))
    return ()


def _single(data: Any, hint: Any) -> Any:
    """The data as a model, a value of an Enum or Literal, or a scalar."""
    if is_model(hint):
        return instance_of(hint, data)
    if is_choice(hint):
        return _choice(data, hint)
    if isinstance(hint, type) and (hint in SCALARS or hint in WRITTEN):
        return _scalar(data, hint)
    raise unknown(hint)


def _scalar(data: Any, kind: Any) -> Any:
    if isinstance(data, kind) and not (kind is dt.date and isinstance(data, dt.datetime)):
        return data
    if kind in WRITTEN:
        return _read(data, kind)
    if os.environ.get(_SERVING, "").lower() in {"true", "1"}:
        return _from_json(data, kind)
    raise _misfit(data, kind)


def _from_json(data: Any, kind: Any) -> Any:
    if isinstance(data, str) and kind is bytes:
        try:
            return base64.b64decode("".join(data.split()), validate=True)
        except ValueError:
            raise Unfit([((), f"{_quoted(data)} is no base64, which bytes come as")]) from None
    if isinstance(data, str) and kind is dt.datetime:
        try:
            return datetime_of(data)
        except ValueError:
            raise Unfit([((), f"{_quoted(data)} is no ISO 8601 datetime")]) from None
    if kind is float and isinstance(data, int) and not isinstance(data, bool) and abs(data) < 2**1023:
        return float(data)
    if kind is int and isinstance(data, float) and data.is_integer():
        return int(data)
    raise _misfit(data, kind)


def _read(data: Any, kind: Any) -> Any:
    """What JSON writes as text, and a decimal number also as a number."""
    if kind is decimal.Decimal and isinstance(data, (int, float)) and not isinstance(data, bool):
        return decimal.Decimal(str(data))
    if not isinstance(data, str):
        raise _misfit(data, kind)
    try:
        return _READERS[kind](data)
    except (ValueError, decimal.InvalidOperation):
        raise Unfit([((), f"{_quoted(data)} is no {_EXPECTED[kind].partition(' ')[2]}")]) from None


def _choice(data: Any, hint: Any) -> Any:
    choices = choices_of(hint)
    if isinstance(hint, type) and isinstance(data, hint):
        return data
    for value, meant in choices.items():
        if type(value) is type(data) and value == data:
            return meant
    raise Unfit([((), f"one of {', '.join(map(_quoted, choices))} was expected, not {_quoted(data)}")])


def _misfit(data: Any, kind: Any) -> Unfit:
    return Unfit([((), f"{_EXPECTED[kind]} was expected, not {shown_kind(data)}")])


def _quoted(value: Any) -> str:
    text = {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST_QUOTED else f"{text[:_LONGEST_QUOTED]}…"
