"""Signatures read from MLflow's JSON and written back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployer_scoring.errors import SchemaError
from deployer_scoring.schema.signature import (
    AnyType,
    Array,
    ColSpec,
    DataType,
    Map,
    ModelSignature,
    Object,
    ParamSchema,
    ParamSpec,
    Property,
    Schema,
    SparkMLVector,
    TensorSpec,
)

POINT = Object((Property("x", DataType.double), Property("label", DataType.string, required=False)))

SPECS: list[tuple[dict[str, Any], Any]] = [
    ({"type": "double", "name": "a"}, ColSpec(DataType.double, "a")),
    ({"type": "double", "name": "a", "required": False}, ColSpec(DataType.double, "a", required=False)),
    ({"type": "double", "name": "a", "optional": True}, ColSpec(DataType.double, "a", required=False)),
    ({"type": "string"}, ColSpec(DataType.string)),
    ({"type": "array", "items": {"type": "long"}, "name": "a", "required": True}, ColSpec(Array(DataType.long), "a")),
    ({"type": "array", "items": {"type": "long"}, "name": "a"}, ColSpec(Array(DataType.long), "a", required=False)),
    (
        {"type": "array", "items": {"type": "array", "items": {"type": "any"}}, "name": "a", "required": True},
        ColSpec(Array(Array(AnyType())), "a"),
    ),
    ({"type": "map", "values": {"type": "binary"}, "name": "a", "required": True}, ColSpec(Map(DataType.binary), "a")),
    ({"type": "sparkml_vector", "name": "a", "required": True}, ColSpec(SparkMLVector(), "a")),
    ({"type": "any", "name": "a", "required": True}, ColSpec(AnyType(), "a")),
    (
        {
            "type": "object",
            "properties": {"x": {"type": "double"}, "label": {"type": "string", "required": False}},
            "name": "a",
            "required": True,
        },
        ColSpec(POINT, "a"),
    ),
    ({"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}, TensorSpec("float32", (-1, 3))),
    ({"type": "tensor", "name": "t", "tensor-spec": {"dtype": "str", "shape": [-1]}}, TensorSpec("str", (-1,), "t")),
]


@pytest.mark.parametrize(("item", "spec"), SPECS)
def test_a_column_or_tensor_is_read_and_written(item: dict[str, Any], spec: Any) -> None:
    schema = Schema.from_json(json.dumps([item])) if spec.required or spec.name else None
    assert schema == Schema((spec,))
    assert Schema.from_json(Schema((spec,)).to_json()) == schema


@pytest.mark.parametrize("name", list(DataType.__members__))
def test_every_scalar_type_has_a_dtype_of_numpy_and_of_pandas(name: str) -> None:
    kind = DataType[name]
    expected = {"string": "object", "binary": "object"}.get(name, str(kind.to_numpy()))
    assert str(kind.to_pandas()) == expected
    assert str(kind) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        ("{}", "a list was expected"),
        ("[]", "at least one"),
        ("[1]", "needs a `type`"),
        ('[{"name": "a"}]', "needs a `type`"),
        ('[{"type": "number", "name": "a"}]', "'number' is not a type"),
        ('[{"type": "array", "name": "a"}]', "needs a `type`"),
        ('[{"type": "object", "name": "a"}]', "`properties`"),
        ('[{"type": "object", "properties": {}, "name": "a"}]', "at least one property"),
        ('[{"type": "tensor"}]', "tensor-spec"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "f4", "shape": 3}}]', "shape of a tensor"),
        ('[{"type": "double", "name": "a"}, {"type": "double"}]', "all of its inputs or none"),
        ('[{"type": "double"}, {"type": "tensor", "tensor-spec": {"dtype": "f4", "shape": [1]}}]', "not both"),
        (
            '[{"type": "tensor", "tensor-spec": {"dtype": "f4", "shape": [1]}}, {"type": "tensor", "tensor-spec": {"dtype": "f4", "shape": [1]}}]',
            "need names",
        ),
        ('[{"type": "double", "required": false}]', "needs a name"),
    ],
)
def test_a_schema_that_breaks_the_rules_is_refused(text: str, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        Schema.from_json(text)


@pytest.mark.parametrize(
    ("item", "spec"),
    [
        ({"name": "a", "type": "long", "default": 1, "shape": None}, ParamSpec("a", DataType.long, 1)),
        ({"name": "a", "dtype": "long", "default": 1}, ParamSpec("a", DataType.long, 1)),
        ({"name": "a", "type": "string", "default": ["x"], "shape": [-1]}, ParamSpec("a", DataType.string, ["x"], (-1,))),
        ({"name": "a", "default": {"x": 1.0}, "shape": None, **POINT.to_dict()}, ParamSpec("a", POINT, {"x": 1.0})),
    ],
)
def test_a_parameter_is_read_and_written(item: dict[str, Any], spec: ParamSpec) -> None:
    schema = ParamSchema.from_json(json.dumps([item]))
    assert schema.params == (spec,)
    assert ParamSchema.from_json(schema.to_json()) == schema


@pytest.mark.parametrize(
    "items",
    [
        [{"name": "a", "type": "long"}],
        [{"name": "a", "type": "binary", "default": "x"}],
        [{"name": "a", "type": "any", "default": 1}],
        [{"name": "a", "type": "long", "default": 1, "shape": [2, 2]}],
        [{"name": "a", "type": "long", "default": 1}, {"name": "a", "type": "long", "default": 2}],
        [5],
    ],
)
def test_a_parameter_that_breaks_the_rules_is_refused(items: Any) -> None:
    with pytest.raises(SchemaError):
        ParamSchema.from_json(json.dumps(items))


def test_properties_are_kept_in_the_order_of_their_names_and_each_only_once() -> None:
    assert [each.name for each in POINT.properties] == ["label", "x"]
    with pytest.raises(SchemaError, match="more than once: x"):
        Object((Property("x", DataType.double), Property("x", DataType.long)))


def test_a_signature_is_written_as_the_mapping_of_strings_that_mlmodel_holds() -> None:
    signature = ModelSignature(inputs=Schema((ColSpec(DataType.long, "a"),)))
    assert signature.to_dict() == {"inputs": '[{"type": "long", "name": "a", "required": true}]', "outputs": None, "params": None}


def test_a_schema_speaks_as_a_person_reads_it() -> None:
    schema = Schema((ColSpec(DataType.double, "a"), ColSpec(Array(POINT), "b", required=False)))
    assert str(schema) == "[a: double, b: Array({label: string (optional), x: double}) (optional)]"
    assert str(Schema((TensorSpec("float32", (-1, 3)),))) == "[tensor(float32, [-1, 3])]"
    assert schema.input_names() == ["a", "b"]
    assert (schema.required_input_names(), schema.optional_input_names()) == (["a"], ["b"])
