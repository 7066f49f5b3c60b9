"""Type hints as schemas: what the hint of a predict's input says of the columns (MLflow's `types.type_hints`).

`list[X]` is one unnamed column of X, where X is a scalar, a list, a `dict[str, X]`, a pydantic model, a Union or Any. What MLflow has no column
type for and JSON writes as text is a column of strings: dates, times, UUIDs; an Enum or Literal is of its values' type, a Decimal is any.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import types
import uuid
from typing import Any, Literal, Optional, TypeVar, Union, get_args, get_origin

from deployer_scoring.errors import SchemaError
from deployer_scoring.schema.datatypes import AnyType, Array, ColumnType, DataType, Map, Object, Property
from deployer_scoring.schema.pydantic_models import fields_of, is_model
from deployer_scoring.schema.signature import ColSpec, Schema

TypeFromExample = TypeVar("TypeFromExample")
"""The hint of a predict that wants its input in the form of the model's input example."""

NONE = type(None)
UNIONS: tuple[Any, ...] = (Union, getattr(types, "UnionType", Union))
SCALARS: dict[Any, DataType] = {
    int: DataType.long,
    str: DataType.string,
    bool: DataType.boolean,
    float: DataType.double,
    bytes: DataType.binary,
    dt.datetime: DataType.datetime,
}
WRITTEN: dict[Any, ColumnType] = {
    dt.date: DataType.string,
    dt.time: DataType.string,
    uuid.UUID: DataType.string,
    decimal.Decimal: AnyType(),
}
"""What has no column type of its own, and the one of its form in JSON."""
_SUPPORTED = "use list[X], where X is int, str, bool, float, bytes, datetime, a pydantic model, a list or dict[str, ...] of these, or Any"
_NOT_OPTIONAL = "the input as a whole can't be Optional: use a pydantic model whose fields are"


class InvalidHint(SchemaError):
    """A hint that breaks the rules: it is refused where a model is defined."""


class UnsupportedHint(SchemaError):
    """A hint that says nothing of columns; data is not held against it."""


def input_schema(hint: Any) -> Schema:
    """The schema of an input whose hint is `list[X]`.

    Raises:
        InvalidHint: A list or dictionary without its element's type, keys other than strings, an Optional without a default.
        UnsupportedHint: No list, or elements of a type that has no column type.
    """
    if not is_list(hint):
        raise UnsupportedHint(f"predict takes several inputs at once, so its hint must be a list: list[{shown(hint)}], not {shown(hint)}")
    return _one_column(element_of_list(hint))


def output_schema(hint: Any) -> Schema:
    """The schema of an output: of the elements where the hint is a list, else of the whole.

    Raises:
        InvalidHint, UnsupportedHint: as `input_schema`.
    """
    return input_schema(hint) if is_list(hint) else _one_column(hint)


def says_nothing_of_columns(hint: Any) -> bool:
    """Whether a hint is one that data is never held against: a DataFrame, Series, array, sparse matrix, Any, or TypeFromExample."""
    if hint is Any or hint == TypeFromExample:
        return True
    module, name = getattr(hint, "__module__", "") or "", getattr(hint, "__name__", "")
    package = module.partition(".")[0]
    return isinstance(hint, type) and (package, name) in {
        ("pandas", "DataFrame"),
        ("pandas", "Series"),
        ("numpy", "ndarray"),
        ("scipy", "csc_matrix"),
        ("scipy", "csr_matrix"),
    }


def is_list(hint: Any) -> bool:
    return hint is list or without_optional(hint) is list


def without_optional(hint: Any) -> Any:
    """The origin of a hint, as typing has it; of its one other type where it is Optional, Any for other Unions."""
    origin = get_origin(hint)
    if origin not in UNIONS:
        return origin
    others = [each for each in get_args(hint) if each is not NONE]
    return without_optional(others[0]) if len(others) == 1 and len(get_args(hint)) == 2 else Any


def element_of_list(hint: Any) -> Any:
    """The X of `list[X]`."""
    elements = get_args(hint)
    if NONE in elements:
        raise UnsupportedHint(_NOT_OPTIONAL)
    if len(elements) != 1:
        raise InvalidHint(f"{shown(hint)} needs the one type of its elements, as in list[str]")
    return elements[0]


def is_choice(hint: Any) -> bool:
    """Whether a hint names all its values: an Enum or a Literal."""
    return get_origin(hint) is Literal or isinstance(hint, enum.EnumMeta)


def choices_of(hint: Any) -> dict[Any, Any]:
    """What stands in JSON for each value of an Enum or a Literal."""
    return {each: each for each in get_args(hint)} if get_origin(hint) is Literal else {each.value: each for each in hint}


def shown(hint: Any) -> str:
    return hint.__name__ if is_model(hint) or type(hint) is type else str(hint)


def _one_column(hint: Any) -> Schema:
    dtype, required = _column(hint)
    if not required:
        raise InvalidHint(_NOT_OPTIONAL)
    return Schema([ColSpec(dtype)])


def _column(hint: Any) -> tuple[ColumnType, bool]:
    """The column type of a hint, and whether a value is required."""
    if hint is Any:
        return AnyType(), True
    known = _known(hint)
    if known is not None:
        return known, True
    origin, elements = get_origin(hint), get_args(hint)
    if origin is list:
        return Array(_column(element_of_list(hint))[0]), True
    if origin is dict:
        return Map(_column(_value_of_dict(hint, elements))[0]), True
    if origin in UNIONS:
        return _union(elements)
    raise unknown(hint)


def _known(hint: Any) -> Optional[ColumnType]:
    """The column type of a class or a Literal; None for other hints."""
    if is_model(hint):
        return _object(hint)
    if is_choice(hint):
        return _of_values(choices_of(hint))
    return (SCALARS.get(hint) or WRITTEN.get(hint)) if isinstance(hint, type) else None


def unknown(hint: Any) -> SchemaError:
    """The error for a hint without a column type: InvalidHint for a bare list, dict, Optional or Union, else UnsupportedHint."""
    if hint in (list, dict, Optional, *UNIONS):
        return InvalidHint(f"the type hint {shown(hint)} needs the type of its elements; {_SUPPORTED}")
    return UnsupportedHint(f"the type hint {shown(hint)} has no column type; {_SUPPORTED}")


def _value_of_dict(hint: Any, elements: tuple[Any, ...]) -> Any:
    if len(elements) != 2:
        raise InvalidHint(f"{shown(hint)} needs the types of its keys and values, as in dict[str, int]")
    if elements[0] is not str:
        raise InvalidHint(f"the keys of {shown(hint)} must be str, not {shown(elements[0])}")
    return elements[1]


def _union(elements: tuple[Any, ...]) -> tuple[ColumnType, bool]:
    """Optional[X] is an optional X; any other Union is anything."""
    others = [each for each in elements if each is not NONE]
    if NONE in elements and len(others) == 1:
        return _column(others[0])[0], False
    return AnyType(), NONE not in elements


def _of_values(values: Any) -> ColumnType:
    types_of_values = {SCALARS.get(type(each)) for each in values}
    return types_of_values.pop() or AnyType() if len(types_of_values) == 1 else AnyType()


def _object(model: Any) -> Object:
    properties = []
    for name, annotation, is_required in fields_of(model):
        dtype, required = _column_of_field(annotation)
        if not required and is_required:
            raise InvalidHint(f"the field {name} of {model.__name__} is Optional without a default: set it to None")
        properties.append(Property(name, dtype, required))
    return Object(properties)


def _column_of_field(annotation: Any) -> tuple[ColumnType, bool]:
    """As `_column`; any for what only pydantic knows."""
    try:
        return _column(annotation)
    except UnsupportedHint:
        return AnyType(), True
