"""Result types of UDFs, as Spark's JSON has them and as signatures stand for them."""

from __future__ import annotations

from typing import Any

import pytest

from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.signature import AnyType, Array, ColSpec, DataType, Map, Object, Property, Schema, TensorSpec
from deployer_scoring.spark.columns import missing_columns
from deployer_scoring.spark.result_types import ArrayOf, MapOf, ResultTypeError, Scalar, StructField, StructOf, of_outputs, result_type


def _array(element: Any) -> dict[str, Any]:
    return {"type": "array", "elementType": element, "containsNull": True}


def test_types_nest_to_any_depth() -> None:
    record = {"type": "struct", "fields": [{"name": "a", "type": _array("long"), "nullable": True, "metadata": {}}]}
    mapping = {"type": "map", "keyType": "string", "valueType": record, "valueContainsNull": True}
    assert result_type(mapping) == MapOf(StructOf((StructField("a", ArrayOf(Scalar("long"))),)))


@pytest.mark.parametrize("kind", ["date", "binary", "timestamp", "decimal(10,2)", "short", _array("byte")])
def test_other_types_are_refused_with_those_there_are(kind: Any) -> None:
    with pytest.raises(ResultTypeError, match="result types are int, long, float, double, string, boolean"):
        result_type(kind)


def test_a_signature_may_stand_for_binary_and_datetime() -> None:
    kind = of_outputs(Schema((ColSpec(DataType.binary, "a"), ColSpec(DataType.datetime, "b"))))
    assert result_type(kind, inferred=True) == StructOf((StructField("a", Scalar("binary")), StructField("b", Scalar("timestamp"))))


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        ([ColSpec(DataType.integer)], "integer"),
        ([ColSpec(DataType.float, "named")], "float"),
        ([ColSpec(Array(Array(DataType.string)))], _array(_array("string"))),
        ([TensorSpec("int64", (-1,))], _array("long")),
        ([TensorSpec("float64", (-1, 3))], _array("double")),
        ([TensorSpec("float32", (-1, 3, 2))], _array(_array("float"))),
        ([ColSpec(Map(DataType.long))], {"type": "map", "keyType": "string", "valueType": "long", "valueContainsNull": True}),
    ],
)
def test_one_output_is_its_own_type(outputs: list[Any], kind: Any) -> None:
    assert of_outputs(Schema(tuple(outputs))) == kind


def test_outputs_without_names_are_a_struct_of_positions() -> None:
    kind = of_outputs(Schema((ColSpec(DataType.long), ColSpec(Object((Property("p", DataType.string),))))))
    assert isinstance(kind, dict)
    assert [field["name"] for field in kind["fields"]] == ["0", "1"]
    assert kind["fields"][1]["type"]["fields"][0]["name"] == "p"


@pytest.mark.parametrize("output", [ColSpec(AnyType()), TensorSpec("int16", (-1,)), TensorSpec("complex128", (-1, 2))])
def test_an_output_without_a_spark_type_asks_for_one(output: Any) -> None:
    with pytest.raises(ResultTypeError, match="name a result_type"):
        of_outputs(Schema((output,)))


def test_missing_columns_are_named_and_optional_ones_are_not() -> None:
    inputs = Schema((ColSpec(DataType.long, "a"), ColSpec(DataType.long, "b"), ColSpec(DataType.long, "c", required=False)))
    missing_columns(2, inputs)
    with pytest.raises(InvalidInput, match=r"requires 2 columns, and the UDF was called with 1: b is missing.*a, b, c"):
        missing_columns(1, inputs)
