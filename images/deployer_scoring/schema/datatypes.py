"""The types that a column, a value within one, or a parameter can have: MLflow's scalars, arrays, objects, maps and any.

numpy and pyspark are imported only by the methods that give their types. `str` says a type as people read it, `repr` as MLflow does.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Union

from deployer_scoring.errors import SchemaError
from deployer_scoring.schema.pickled import Pickled

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

    def __repr__(self) -> str:
        return self.name

    @classmethod
    def _missing_(cls, value: object) -> Optional[DataType]:
        # Pickles of MLflow name its members by their position, from 1.
        return [*cls][value - 1] if isinstance(value, int) and 1 <= value <= len(cls) else None

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # By name, which is the same in MLflow.
        return getattr, (DataType, self.name)

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

    def to_python(self) -> type:
        """Python's type of a value: datetime.date for datetimes, as MLflow has it."""
        return _PYTHON[self]

    def to_spark(self) -> Any:
        """Spark's type; needs pyspark."""
        import pyspark.sql.types

        return getattr(pyspark.sql.types, _SPARK[self])()

    @classmethod
    def check_type(cls, data_type: DataType, value: Any) -> bool:
        """Whether a value is of just this type."""
        import numpy as np

        kinds: list[Any] = [data_type.to_numpy(), data_type.to_pandas(), data_type.to_python()]
        if data_type is DataType.datetime:
            kinds += [np.datetime64, dt.datetime]
        if data_type is DataType.binary:
            kinds.append(bytearray)
        return type(value) in kinds

    @classmethod
    def all_types(cls) -> list[DataType]:
        return [*cls]

    @classmethod
    def from_numpy_type(cls, np_type: Any) -> Optional[DataType]:
        """The first type whose dtype this is; None where there is none."""
        return next((each for each in cls if each.to_numpy() == np_type), None)


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
_PYTHON: dict[DataType, type] = {
    DataType.boolean: bool,
    DataType.integer: int,
    DataType.long: int,
    DataType.float: float,
    DataType.double: float,
    DataType.string: str,
    DataType.binary: bytes,
    DataType.datetime: dt.date,
}
_SPARK = {
    DataType.boolean: "BooleanType",
    DataType.integer: "IntegerType",
    DataType.long: "LongType",
    DataType.float: "FloatType",
    DataType.double: "DoubleType",
    DataType.string: "StringType",
    DataType.binary: "BinaryType",
    DataType.datetime: "TimestampType",
}


@dataclass(frozen=True, init=False, repr=False)
class Array(Pickled):
    """A list of values of one type: `Array("string")`, `Array(Object([...]))`."""

    dtype: ColumnType

    def __init__(self, dtype: Union[ColumnType, str]) -> None:
        self._set(dtype=as_type(dtype))

    def __str__(self) -> str:
        return f"Array({self.dtype})"

    def __repr__(self) -> str:
        return f"Array({self.dtype!r})"

    def to_dict(self) -> dict[str, Any]:
        return {"type": "array", "items": self.dtype.to_dict()}


@dataclass(frozen=True, init=False, repr=False)
class SparkMLVector(Array):
    """A vector of Spark ML: an array of doubles with a name of its own."""

    def __init__(self) -> None:
        super().__init__(DataType.double)

    def __reduce__(self) -> tuple[Any, ...]:
        return SparkMLVector, ()

    def __str__(self) -> str:
        return "SparkML vector"

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        return {"type": "sparkml_vector"}


@dataclass(frozen=True, init=False, repr=False)
class Property(Pickled):
    """One key of an object."""

    name: str
    dtype: ColumnType
    required: bool = True

    def __init__(self, name: str, dtype: Union[ColumnType, str], required: bool = True) -> None:
        if not isinstance(name, str):
            raise SchemaError(f"the name of a property must be a string, not {type(name).__name__}")
        self._set(name=name, dtype=as_type(dtype), required=required)

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}{'' if self.required else ' (optional)'}"

    def __repr__(self) -> str:
        return f"{self.name}: {self.dtype!r} ({'required' if self.required else 'optional'})"

    def to_dict(self) -> dict[str, Any]:
        return {self.name: {**self.dtype.to_dict(), "required": self.required}}


@dataclass(frozen=True, init=False, repr=False)
class Object(Pickled):
    """A mapping with known keys, kept in the order of their names.

    Raises:
        SchemaError: No property, or two of one name.
    """

    properties: tuple[Property, ...]

    def __init__(self, properties: Sequence[Property]) -> None:
        if any(not isinstance(each, Property) for each in properties):
            raise SchemaError("an object is made of Property's")
        names = [each.name for each in properties]
        if not names:
            raise SchemaError("an object needs at least one property")
        if twice := repeated(names):
            raise SchemaError(f"an object has these properties more than once: {', '.join(sorted(twice))}")
        self._set(properties=tuple(sorted(properties, key=lambda each: each.name)))

    def __str__(self) -> str:
        return "{" + ", ".join(map(str, self.properties)) + "}"

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self.properties)) + "}"

    def to_dict(self) -> dict[str, Any]:
        return {"type": "object", "properties": {name: value for each in self.properties for name, value in each.to_dict().items()}}


@dataclass(frozen=True, init=False, repr=False)
class Map(Pickled):
    """A mapping with any string as a key and values of one type."""

    value_type: ColumnType

    def __init__(self, value_type: Union[ColumnType, str]) -> None:
        self._set(value_type=as_type(value_type))

    def __str__(self) -> str:
        return f"Map(string -> {self.value_type})"

    def __repr__(self) -> str:
        return f"Map(str -> {self.value_type!r})"

    def to_dict(self) -> dict[str, Any]:
        return {"type": "map", "values": self.value_type.to_dict()}


@dataclass(frozen=True, repr=False)
class AnyType(Pickled):
    """Anything that JSON holds, never checked."""

    def __str__(self) -> str:
        return "any"

    def __repr__(self) -> str:
        return "Any"

    def to_dict(self) -> dict[str, Any]:
        return {"type": "any"}


ColumnType = Union[DataType, Array, Object, Map, AnyType]


def as_type(given: Union[ColumnType, str]) -> ColumnType:
    """A type as it is, or the scalar type of this name.

    Raises:
        SchemaError: Neither.
    """
    if isinstance(given, str) and given in DataType.__members__:
        return DataType[given]
    if isinstance(given, (DataType, Array, Object, Map, AnyType)):
        return given
    raise SchemaError(f"{given!r} is not a type; MLflow's are {', '.join(DataType.__members__)}, and Array, Object, Map and AnyType")


def repeated(names: Iterable[str]) -> set[str]:
    """Those that stand more than once."""
    return {name for name, count in Counter(names).items() if count > 1}


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
        return Object([Property(name, column_type(value), bool(value.get("required", True))) for name, value in properties.items()])
    if kind == "sparkml_vector":
        return SparkMLVector()
    if kind == "any":
        return AnyType()
    if kind not in DataType.__members__:
        raise SchemaError(f"{kind!r} is not a type; MLflow's are {', '.join(DataType.__members__)}, array, object, map and any")
    return DataType[kind]
