"""A schema as Spark's types (MLflow's `Schema.as_spark_schema`, and nested types too). Needs pyspark."""

from __future__ import annotations

from typing import Any

from deployer_scoring.errors import SchemaError
from deployer_scoring.schema.datatypes import Array, ColumnType, DataType, Map, Object, SparkMLVector
from deployer_scoring.schema.signature import Schema


def spark_schema(schema: Schema) -> Any:
    """The type of a single column without a name, else a struct; columns without a name are called by their position.

    Raises:
        SchemaError: A schema of tensors, or a column of any type.
    """
    if schema.is_tensor_spec():
        raise SchemaError("tensors have no type in Spark")
    if len(schema) == 1 and not schema.has_input_names():
        return spark_type(schema.columns[0].type)
    from pyspark.sql.types import StructField, StructType

    return StructType(
        [StructField(each.name or str(position), spark_type(each.type), not each.required) for position, each in enumerate(schema.columns)]
    )


def spark_type(kind: ColumnType) -> Any:
    """Spark's type for a column type.

    Raises:
        SchemaError: AnyType, which Spark doesn't have.
    """
    from pyspark.sql.types import ArrayType, MapType, StringType, StructField, StructType

    if isinstance(kind, DataType):
        return kind.to_spark()
    if isinstance(kind, SparkMLVector):
        from pyspark.ml.linalg import VectorUDT

        return VectorUDT()
    if isinstance(kind, Array):
        return ArrayType(spark_type(kind.dtype), containsNull=True)
    if isinstance(kind, Map):
        return MapType(StringType(), spark_type(kind.value_type))
    if isinstance(kind, Object):
        return StructType([StructField(each.name, spark_type(each.dtype), not each.required) for each in kind.properties])
    raise SchemaError("a column of any type has no type in Spark")
