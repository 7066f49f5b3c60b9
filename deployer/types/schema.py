"""Schemas and the types of their columns, under MLflow's names (`mlflow.types.schema`)."""

from deployer_scoring.schema.datatypes import AnyType, Array, DataType, Map, Object, Property, SparkMLVector
from deployer_scoring.schema.signature import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

__all__ = [
    "AnyType",
    "Array",
    "ColSpec",
    "DataType",
    "Map",
    "Object",
    "ParamSchema",
    "ParamSpec",
    "Property",
    "Schema",
    "SparkMLVector",
    "TensorSpec",
]
