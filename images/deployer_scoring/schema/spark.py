"""Column types as Spark's, nested ones too. Needs pyspark."""

from __future__ import annotations

from typing import Any

from deployer_scoring.errors import SchemaError
from deployer_scoring.schema.datatypes import Array, ColumnType, DataType, Map, Object, SparkMLVector


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
