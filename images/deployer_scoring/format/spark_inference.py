"""The schema of a Spark DataFrame, from its own (MLflow's `_infer_spark_type`)."""

from __future__ import annotations

from typing import Any

from deployer_scoring.errors import SchemaError
from deployer_scoring.schema.datatypes import Array, ColumnType, DataType, Object, Property, SparkMLVector
from deployer_scoring.schema.signature import ColSpec, Schema

_SCALARS = {
    "LongType": DataType.long,
    "IntegerType": DataType.integer,
    "ShortType": DataType.integer,
    "ByteType": DataType.integer,
    "FloatType": DataType.float,
    "DoubleType": DataType.double,
    "BooleanType": DataType.boolean,
    "StringType": DataType.string,
    "BinaryType": DataType.binary,
    "DateType": DataType.datetime,
    "TimestampType": DataType.datetime,
}


def schema_of_spark(frame: Any) -> Schema:
    """The schema of the frame's columns, all required: Spark calls every column nullable.

    Raises:
        SchemaError: A column whose type has none here: decimals, maps (use a struct).
    """
    return Schema([ColSpec(_type(each.dataType), each.name) for each in frame.schema.fields])


def _type(kind: Any) -> ColumnType:
    name = type(kind).__name__
    if name in _SCALARS:
        return _SCALARS[name]
    if name == "ArrayType":
        return Array(_type(kind.elementType))
    if name == "StructType":
        return Object([Property(each.name, _type(each.dataType), not each.nullable) for each in kind.fields])
    if name == "VectorUDT":
        return SparkMLVector()
    raise SchemaError(f"Spark's {name} has no column type; maps have one as a struct")
