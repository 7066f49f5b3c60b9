"""Two types met in one place as the type that takes both: how lists and rows of unlike dictionaries get one (MLflow's `_merge`)."""

from __future__ import annotations

from deployer_scoring.errors import SchemaError
from deployer_scoring.schema.datatypes import AnyType, Array, ColumnType, Map, Object, Property, SparkMLVector


def merged(one: ColumnType, other: ColumnType) -> ColumnType:
    """The type that takes values of both. What is undetermined (None, an empty list) gives way, and makes an object's keys optional.

    Raises:
        SchemaError: The types don't go together.
    """
    if isinstance(one, AnyType):
        return other if not isinstance(other, Object) else _all_optional(other)
    if isinstance(other, AnyType):
        return one if not isinstance(one, Object) else _all_optional(one)
    if one == other:
        return one
    if isinstance(one, Object) and isinstance(other, Object):
        return _merged_objects(one, other)
    if isinstance(one, Array) and isinstance(other, Array) and not isinstance(one, SparkMLVector):
        return Array(merged(one.dtype, other.dtype))
    if isinstance(one, Map) and isinstance(other, Map):
        return Map(merged(one.value_type, other.value_type))
    raise SchemaError(f"{one} and {other} are in one list, which needs values of one type: declare the signature, with Array(AnyType()) there")


def _merged_objects(one: Object, other: Object) -> Object:
    left, right = ({each.name: each for each in side.properties} for side in (one, other))
    properties = []
    for name in sorted({*left, *right}):
        if name in left and name in right:
            both = left[name].required and right[name].required
            properties.append(Property(name, merged(left[name].dtype, right[name].dtype), both))
        else:
            properties.append(Property(name, (left.get(name) or right[name]).dtype, required=False))
    return Object(properties)


def _all_optional(kind: Object) -> Object:
    return Object([Property(each.name, each.dtype, required=False) for each in kind.properties])
