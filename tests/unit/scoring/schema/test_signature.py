"""Signatures read from MLflow's JSON and written back."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
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


def test_constructors_take_what_mlflow_s_take() -> None:
    schema = Schema([ColSpec("double", "x"), ColSpec(Array("string"), "tags", required=False), ColSpec(Map("long"), "counts")])
    assert schema.columns[0].type is DataType.double
    assert schema.input_dict()["tags"].required is False
    assert Object([Property("a", "long")]) == Object((Property("a", DataType.long),))
    assert TensorSpec(np.dtype("float32"), [-1, 3], "t") == TensorSpec("float32", (-1, 3), "t")
    assert TensorSpec(np.dtype("float32"), (-1,)).type == np.dtype("float32")
    assert ParamSchema([ParamSpec("top", "long", np.int64(3)), ParamSpec("p", "float", 1)]).params[1].default == 1.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: ColSpec("decimal"),
        lambda: ColSpec(int),  # type: ignore[arg-type]
        lambda: Array("list"),
        lambda: Property(1, "long"),  # type: ignore[arg-type]
        lambda: Object(["a"]),  # type: ignore[list-item]
        lambda: TensorSpec(np.dtype("U5"), (-1,)),
        lambda: TensorSpec(np.dtype("float32"), 5),  # type: ignore[arg-type]
        lambda: Schema({"a": 1}),  # type: ignore[arg-type]
        lambda: ParamSpec("a", "long", "x"),
        lambda: ParamSpec("a", "boolean", 1),
        lambda: ParamSpec("a", "long", 1, (-1,)),
        lambda: ParamSpec("a", "datetime", "soon"),
        lambda: ParamSpec("a", Array("long"), [1]),  # type: ignore[arg-type]
    ],
)
def test_what_breaks_the_rules_is_refused_when_it_is_made(make: Callable[[], Any]) -> None:
    with pytest.raises(SchemaError):
        make()


def test_a_schema_tells_types_in_numpy_s_and_pandas_words() -> None:
    schema = Schema([ColSpec("double", "a"), ColSpec("string", "b"), ColSpec("datetime", "c")])
    assert schema.numpy_types() == [np.dtype("float64"), np.dtype("str"), np.dtype("datetime64[ns]")]
    assert schema.pandas_types() == [np.dtype("float64"), np.dtype("O"), np.dtype("datetime64[ns]")]
    assert schema.input_types() == [DataType.double, DataType.string, DataType.datetime]
    assert Schema([TensorSpec("uint8", (-1,))]).input_types() == Schema([TensorSpec("uint8", (-1,))]).numpy_types() == [np.dtype("uint8")]
    assert schema.input_types_dict() == {"a": DataType.double, "b": DataType.string, "c": DataType.datetime}
    assert [*schema] == [*schema.inputs]
    with pytest.raises(SchemaError, match="not every column has a dtype: a: Array"):
        Schema([ColSpec(Array("long"), "a")]).numpy_types()
    with pytest.raises(SchemaError, match="numpy_types"):
        Schema([TensorSpec("uint8", (-1,))]).pandas_types()


def test_a_datatype_knows_its_python_numpy_and_values() -> None:
    assert DataType.long.to_python() is int
    assert DataType.from_numpy_type(np.dtype("int32")) is DataType.integer
    assert DataType.check_type(DataType.datetime, datetime(2026, 1, 1)) and not DataType.check_type(DataType.long, True)  # noqa: DTZ001
    assert DataType(5) is DataType.double  # as MLflow's pickles name it
    assert len(DataType.all_types()) == 8
    with pytest.raises(ValueError, match="9"):
        DataType(9)


def test_a_default_that_is_a_datetime_is_written_in_iso_and_read_again() -> None:
    spec = ParamSpec("since", "datetime", "2026-01-02T03:04:05")
    assert (
        spec == ParamSpec("since", "datetime", datetime(2026, 1, 2, 3, 4, 5)) == ParamSpec("since", "datetime", np.datetime64("2026-01-02T03:04:05"))  # noqa: DTZ001
    )
    assert spec.to_dict()["default"] == "2026-01-02T03:04:05"
    days = ParamSpec("days", "datetime", ["2026-01-02"], (-1,))
    assert ParamSchema.from_json(ParamSchema([days]).to_json()).params == (days,)


def test_signatures_are_equal_by_content_shown_as_mlflow_shows_them_and_survive_pickling() -> None:
    signature = ModelSignature(Schema([ColSpec("long", "a"), ColSpec(POINT, "b", False)]), None, ParamSchema([ParamSpec("t", "long", 1)]))
    assert repr(signature) == (
        "inputs: \n  ['a': long (required), 'b': {label: string (optional), x: double (required)} (optional)]\n"
        "outputs: \n  None\nparams: \n  ['t': long (default: 1)]\n"
    )
    assert ModelSignature.from_dict(signature.to_dict()) == signature == pickle.loads(pickle.dumps(signature)) == copy.deepcopy(signature)
    assert signature != ModelSignature(Schema([ColSpec("long", "a")]))
    assert repr(AnyType()) == "Any" and repr(Map("long")) == "Map(str -> long)" and repr(SparkMLVector()) == "SparkML vector"


def test_a_frame_s_own_column_numbers_stay_numbers() -> None:
    schema = Schema([ColSpec("long", 0), ColSpec("long", 1)])  # type: ignore[arg-type]
    assert Schema.from_json(schema.to_json()) == schema
