"""The types that a column, a value within one, or a parameter can have: MLflow's scalars, arrays, objects, maps and any.

numpy is imported only by the two methods that give a dtype.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from deployer_scoring.errors import SchemaError

if TYPE_CHECKING:
    import numpy as np


class DataType(enum.Enum):
    """MLflow's scalar types."""

    boolean = "boolean"
    integer = "integer"  # 32 bits
    long = "long"  # 64 bits
    float = "float"  # 32 bits
    double = "double"  # 64 bits
    string = "string"
    binary = "binary"
    datetime = "datetime"  # nanoseconds, without a time zone

    def __str__(self) -> str:
        return self.value

    def to_dict(self) -> dict[str, Any]:
        return {"type": self.value}

    def to_numpy(self) -> np.dtype[Any]:
        """The numpy dtype of the values (`str` and `bytes` without a length)."""
        import numpy as np

        return np.dtype(_NUMPY[self])

    def to_pandas(self) -> np.dtype[Any]:
        """The dtype of a DataFrame's column: as `to_numpy`, but `object` for strings and bytes."""
        import numpy as np

        return np.dtype("O") if self in {DataType.string, DataType.binary} else self.to_numpy()


_NUMPY = {
    DataType.boolean: "bool",
    DataType.integer: "int32",
    DataType.long: "int64",
    DataType.float: "float32",
    DataType.double: "float64",
    DataType.string: "str",
    DataType.binary: "bytes",
    DataType.datetime: "datetime64[ns]",
}


@dataclass(frozen=True)
class Array:
    """A list of values of one type."""

    dtype: ColumnType

    def __str__(self) -> str:
        return f"Array({self.dtype})"

    def to_dict(self) -> dict[str, Any]:
        return {"type": "array", "items": self.dtype.to_dict()}


@dataclass(frozen=True)
class SparkMLVector(Array):
    """A vector of Spark ML: an array of doubles with a name of its own."""

    dtype: ColumnType = DataType.double

    def __str__(self) -> str:
        return "SparkML vector"

    def to_dict(self) -> dict[str, Any]:
        return {"type": "sparkml_vector"}


@dataclass(frozen=True)
class Property:
    """One key of an object."""

    name: str
    dtype: ColumnType
    required: bool = True

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}{'' if self.required else ' (optional)'}"

    def to_dict(self) -> dict[str, Any]:
        return {self.name: {**self.dtype.to_dict(), "required": self.required}}


@dataclass(frozen=True)
class Object:
    """A mapping with known keys, kept in the order of their names.

    Raises:
        SchemaError: No property, or two of one name.
    """

    properties: tuple[Property, ...]

    def __post_init__(self) -> None:
        names = [each.name for each in self.properties]
        if not names:
            raise SchemaError("an object needs at least one property")
        if twice := {name for name in names if names.count(name) > 1}:
            raise SchemaError(f"an object has these properties more than once: {', '.join(sorted(twice))}")
        object.__setattr__(self, "properties", tuple(sorted(self.properties, key=lambda each: each.name)))

    def __str__(self) -> str:
        return "{" + ", ".join(map(str, self.properties)) + "}"

    def to_dict(self) -> dict[str, Any]:
        return {"type": "object", "properties": {name: value for each in self.properties for name, value in each.to_dict().items()}}


@dataclass(frozen=True)
class Map:
    """A mapping with any string as a key and values of one type."""

    value_type: ColumnType

    def __str__(self) -> str:
        return f"Map(string -> {self.value_type})"

    def to_dict(self) -> dict[str, Any]:
        return {"type": "map", "values": self.value_type.to_dict()}


@dataclass(frozen=True)
class AnyType:
    """Anything that JSON holds, never checked."""

    def __str__(self) -> str:
        return "any"

    def to_dict(self) -> dict[str, Any]:
        return {"type": "any"}


ColumnType = Union[DataType, Array, Object, Map, AnyType]


def kind_of(item: Any) -> str:
    """The `type` of an item of a schema's JSON."""
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        raise SchemaError(f"a column, tensor or value needs a `type`, which {item!r} has not")
    return str(item["type"])


def column_type(item: Any) -> ColumnType:
    """Read a type from the JSON of a column, an array's items, a map's values or a property.

    Raises:
        SchemaError: Not a type that MLflow has.
    """
    kind = kind_of(item)
    if kind == "array":
        return Array(column_type(item.get("items")))
    if kind == "map":
        return Map(column_type(item.get("values")))
    if kind == "object":
        properties = item.get("properties")
        if not isinstance(properties, dict):
            raise SchemaError("an object needs `properties`")
        return Object(tuple(Property(name, column_type(value), bool(value.get("required", True))) for name, value in properties.items()))
    if kind == "sparkml_vector":
        return SparkMLVector()
    if kind == "any":
        return AnyType()
    if kind not in DataType.__members__:
        raise SchemaError(f"{kind!r} is not a type; MLflow's are {', '.join(DataType.__members__)}, array, object, map and any")
    return DataType[kind]
