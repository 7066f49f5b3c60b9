"""What a UDF gives back, apart from pyspark, which the model process may not have: made from the JSON of Spark's data types.

The documentation of MLflow's `spark_udf` names the types: int, long, float, double, string, boolean, arrays of them to any depth, structs,
and maps from strings. A signature's outputs may add binary and datetime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Union

from deployer_scoring.errors import ScoringError
from deployer_scoring.schema.datatypes import Array, ColumnType, DataType, Map, Object
from deployer_scoring.schema.signature import ColSpec, Schema, TensorSpec

if TYPE_CHECKING:
    import pyarrow as pa

Json = Union[str, Dict[str, Any]]

_ADVICE = "int, long, float, double, string, boolean, arrays of them to any depth, structs of all these, and maps from strings"


class ResultTypeError(ScoringError, ValueError):
    """A result type that a model's predictions can't be given in."""


@dataclass(frozen=True)
class Scalar:
    """One value a row; `name` as Spark's JSON has it: integer, long, float, double, string, boolean, binary or timestamp."""

    name: str

    @property
    def primitive(self) -> bool:
        """Whether it is one of the six that may be asked for."""
        return self.name in _NUMPY

    @property
    def numpy(self) -> Any:
        """numpy's type that values are cast to."""
        import numpy as np

        return getattr(np, _NUMPY[self.name])


@dataclass(frozen=True)
class ArrayOf:
    """A list of values."""

    element: ResultType


@dataclass(frozen=True)
class MapOf:
    """A mapping from strings."""

    value: ResultType


@dataclass(frozen=True)
class StructField:
    """One field of a struct."""

    name: str
    type: ResultType


@dataclass(frozen=True)
class StructOf:
    """Several named values."""

    fields: tuple[StructField, ...]


ResultType = Union[Scalar, ArrayOf, MapOf, StructOf]

DOUBLE = Scalar("double")

_NUMPY = {"integer": "int32", "long": "int64", "float": "float32", "double": "float64", "string": "str_", "boolean": "bool_"}
_INFERRED = {"binary", "timestamp"}
_OF_SIGNATURE = {DataType.datetime: "timestamp"}


def result_type(json: Json, *, inferred: bool = False) -> ResultType:
    """Read the JSON form of a Spark type (`DataType.jsonValue()`).

    Args:
        json: A type's name or mapping.
        inferred: It comes from a signature's outputs, which may have binary and datetime values.

    Raises:
        ResultTypeError: A type that predictions can't be given in.
    """
    if isinstance(json, str):
        if json in _NUMPY or (inferred and json in _INFERRED):
            return Scalar(json)
        raise _refusal(json)
    kind = json.get("type")
    if kind == "array":
        return ArrayOf(result_type(json["elementType"], inferred=inferred))
    if kind == "map" and json["keyType"] == "string":
        return MapOf(result_type(json["valueType"], inferred=inferred))
    if kind == "struct":
        return StructOf(tuple(StructField(each["name"], result_type(each["type"], inferred=inferred)) for each in json["fields"]))
    raise _refusal(str(kind))


def _refusal(name: str) -> ResultTypeError:
    return ResultTypeError(f"a model's predictions can't be given as {name}; result types are {_ADVICE}")


def of_outputs(outputs: Schema) -> Json:
    """The JSON form of the Spark type that a signature's outputs stand for: of the one output, or a struct of several.

    Raises:
        ResultTypeError: An output that has no such type: a tensor of int16, say, or a value of any type.
    """
    if len(outputs) == 1:
        return _of_output(outputs.inputs[0])
    return _struct({each.name or str(position): _of_output(each) for position, each in enumerate(outputs.inputs)})


def _of_output(output: Union[ColSpec, TensorSpec]) -> Json:
    if isinstance(output, ColSpec):
        return _of_type(output.type)
    result = _of_numpy(output)
    # A tensor of one dimension is an array of one value for each row (MLflow's rule, whose rule for more dimensions has no predictions).
    for _ in output.shape[1:] or output.shape:
        result = _array(result)
    return result


def _of_numpy(output: TensorSpec) -> Json:
    """Spark's name for a tensor's dtype, by MLflow's rules (`DataType.from_numpy_type`)."""
    dtype = output.to_numpy()
    for kind in DataType:
        if dtype == kind.to_numpy():
            return _of_type(kind)
    raise ResultTypeError(f"the signature's output {output} has a type that Spark has not; name a result_type")


def _of_type(kind: ColumnType) -> Json:
    if isinstance(kind, DataType):
        return _OF_SIGNATURE.get(kind, kind.value)
    if isinstance(kind, Array):
        return _array(_of_type(kind.dtype))
    if isinstance(kind, Object):
        return _struct({each.name: _of_type(each.dtype) for each in kind.properties})
    if isinstance(kind, Map):
        return {"type": "map", "keyType": "string", "valueType": _of_type(kind.value_type), "valueContainsNull": True}
    raise ResultTypeError(f"the signature's outputs have a value of type {kind}, for which there is no one type of Spark; name a result_type")


def _array(element: Json) -> Json:
    return {"type": "array", "elementType": element, "containsNull": True}


def _struct(fields: dict[str, Json]) -> Json:
    return {"type": "struct", "fields": [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in fields.items()]}


def arrow_type(kind: ResultType) -> pa.DataType:
    """The Arrow type of a result; timestamps are without a zone, as pandas has them."""
    import pyarrow as pa

    if isinstance(kind, ArrayOf):
        return pa.list_(arrow_type(kind.element))
    if isinstance(kind, MapOf):
        return pa.map_(pa.string(), arrow_type(kind.value))
    if isinstance(kind, StructOf):
        return pa.struct([(field.name, arrow_type(field.type)) for field in kind.fields])
    return {
        "integer": pa.int32(),
        "long": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "string": pa.string(),
        "boolean": pa.bool_(),
        "binary": pa.binary(),
        "timestamp": pa.timestamp("ns"),
    }[kind.name]
