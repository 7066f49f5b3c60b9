"""pydantic's models as type hints, of version 2 and of version 1. pydantic isn't imported to find out: who wrote a model has done so."""

from __future__ import annotations

import base64
import binascii
import copy
import sys
import typing
from collections.abc import Sequence
from typing import Any, NamedTuple

from deployer_scoring.schema.iso8601 import datetime_of

_BYTES = "bytes_type"


class ModelField(NamedTuple):
    """One of a model's fields: its annotation, and whether data must have it."""

    name: str
    annotation: Any
    required: bool


class Unfit(ValueError):
    """Data that a model doesn't take.

    Attributes:
        faults: What is wrong, each with its place in the data.
    """

    def __init__(self, faults: Sequence[tuple[tuple[Any, ...], str]]) -> None:
        super().__init__("; ".join(f"{place}: {said}" for place, said in faults))
        self.faults = faults


def is_model(hint: Any) -> bool:
    """Whether a hint is a pydantic model."""
    bases = tuple(each for each in (_base("pydantic"), _base("pydantic.v1")) if each is not None)
    try:
        return issubclass(hint, bases)
    except TypeError:
        return False


def fields_of(model: Any) -> list[ModelField]:
    """A model's fields in order."""
    if _is_of_version_2(model):
        return [ModelField(name, field.annotation, field.is_required()) for name, field in model.model_fields.items()]
    hints = typing.get_type_hints(model)
    return [ModelField(name, hints[name], bool(field.required)) for name, field in model.__fields__.items()]


def instance_of(model: Any, data: Any) -> Any:
    """The model that data makes: an instance as it is, a dictionary held against the model strictly ("1" is no number).

    Strictly as Python's objects or, where that fails, as JSON has them: datetimes, UUIDs, enums and the like as text. On top of what pydantic
    takes, whole floats are integers, all of ISO 8601 are datetimes, and bytes are base64 unless the model's `val_json_bytes` says otherwise.

    Raises:
        Unfit: It isn't what the model wants.
    """
    if isinstance(data, model):
        return data
    if not isinstance(data, dict):
        data = _dictionary(data)
    return _of_version_2(model, data) if _is_of_version_2(model) else _of_version_1(model, data)


def _base(module: str) -> Any:
    return getattr(sys.modules.get(module), "BaseModel", None)


def _is_of_version_2(model: Any) -> bool:
    return hasattr(model, "model_validate")


def _dictionary(data: Any) -> dict[str, Any]:
    if is_model(type(data)):
        return data.model_dump() if _is_of_version_2(data) else data.dict()  # type: ignore[no-any-return]
    raise Unfit([((), f"an object was expected, not {shown_kind(data)}")])


def _of_version_2(model: Any, data: dict[str, Any]) -> Any:
    import pydantic

    try:
        model.model_validate(data, strict=True)
        return model(**data)
    except pydantic.ValidationError as error:
        as_python = error.errors()
    try:
        found = _from_json(model, data)
    except pydantic.ValidationError as error:
        raise Unfit(_faults(error.errors())) from error
    except Exception as error:  # data that JSON has no form for
        raise Unfit(_faults(as_python)) from error
    encoded = [each["loc"] for each in as_python if each["type"] == _BYTES]
    if encoded and "val_json_bytes" not in model.model_config:
        try:
            return model(**_replaced(data, {place: _decoded(_at(data, place), place) for place in encoded}))
        except pydantic.ValidationError:  # the field has a way of its own, like pydantic's Base64Bytes
            pass
    return found


def _from_json(model: Any, data: dict[str, Any]) -> Any:
    import pydantic
    from pydantic_core import to_json

    try:
        return model.model_validate_json(to_json(data), strict=True)
    except pydantic.ValidationError as error:
        mended = {each["loc"]: _mended(each["type"], _at(data, each["loc"])) for each in error.errors()}
        if None in mended.values():
            raise
        return model.model_validate_json(to_json(_replaced(data, mended)), strict=True)


def _mended(kind: str, value: Any) -> Any:
    """What pydantic is too strict with, as it takes it; None for what is wrong."""
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind in {"datetime_parsing", "datetime_from_date_parsing"} and isinstance(value, str):
        try:
            return datetime_of(value).isoformat()
        except ValueError:
            return None
    return None


def _decoded(value: Any, place: Sequence[Any]) -> Any:
    try:
        return base64.b64decode("".join(value.split()), validate=True) if isinstance(value, str) else value
    except (ValueError, binascii.Error):
        raise Unfit([(tuple(place), "bytes come as base64")]) from None


def _at(data: Any, place: Sequence[Any]) -> Any:
    """What is under a path of keys and positions; None where the path names anything else, as the alternatives of a Union."""
    for step in place:
        try:
            data = data[step]
        except (LookupError, TypeError):
            return None
    return data


def _replaced(data: dict[str, Any], values: dict[tuple[Any, ...], Any]) -> dict[str, Any]:
    data = copy.deepcopy(data)
    for place, value in values.items():
        parent = _at(data, place[:-1])
        if isinstance(parent, (dict, list)):
            parent[place[-1]] = value
    return data


def _of_version_1(model: Any, data: dict[str, Any]) -> Any:
    try:
        return model.parse_obj(data)
    except ValueError as error:  # its ValidationError is one
        errors = getattr(error, "errors", None)
        if errors is None:
            raise
        raise Unfit(_faults(errors())) from error


def _faults(errors: Sequence[Any]) -> list[tuple[tuple[Any, ...], str]]:
    return [(tuple(each["loc"]), str(each["msg"])) for each in errors]


def shown_kind(value: Any) -> str:
    """What a value is, as JSON calls it."""
    names: Sequence[tuple[Any, str]] = (
        (type(None), "null"),
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a number"),
        (str, "a string"),
        (dict, "an object"),
        ((list, tuple), "a list"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)
