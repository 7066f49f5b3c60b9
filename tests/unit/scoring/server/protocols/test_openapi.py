"""The document that the server gives of itself: valid, and true of what the model takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from deployer_scoring.model.mlmodel import MLModel, PythonFunction
from deployer_scoring.model.serving_example import serving_example
from deployer_scoring.schema.datatypes import AnyType, Array, DataType, Map, Object, Property
from deployer_scoring.schema.signature import ColSpec, ModelSignature, ParamSchema, ParamSpec, Schema, TensorSpec
from deployer_scoring.server.protocols.openapi import document
from deployer_scoring.wire.decoding import decode

COLUMNS = Schema(tuple(ColSpec(kind, f"the {kind}") for kind in DataType))
NESTED = Schema(
    (
        ColSpec(Array(DataType.double), "numbers"),
        ColSpec(Object((Property("x", DataType.double), Property("label", DataType.string, required=False))), "point"),
        ColSpec(Map(DataType.long), "counts", required=False),
        ColSpec(AnyType(), "anything", required=False),
    )
)
SIGNATURES = {
    "none": None,
    "columns": ModelSignature(COLUMNS, Schema((ColSpec(DataType.double, "y"), ColSpec(DataType.string, "z")))),
    "one column": ModelSignature(Schema((ColSpec(DataType.double, "x"),)), Schema((ColSpec(DataType.double),))),
    "no names": ModelSignature(Schema((ColSpec(DataType.double), ColSpec(DataType.long)))),
    "one without a name": ModelSignature(Schema((ColSpec(DataType.string),))),
    "nested": ModelSignature(NESTED),
    "a tensor": ModelSignature(Schema((TensorSpec("float32", (-1, 2, 3)),)), Schema((TensorSpec("int64", (-1,)),))),
    "tensors": ModelSignature(Schema((TensorSpec("float32", (-1, 2), "a"), TensorSpec("uint8", (-1,), "b"), TensorSpec("str", (-1,), "c")))),
    "params": ModelSignature(
        Schema((ColSpec(DataType.double, "x"),)),
        params=ParamSchema(
            (ParamSpec("top", DataType.long, 3), ParamSpec("names", DataType.string, ["a"], (-1,)), ParamSpec("t", DataType.double, None))
        ),
    ),
}


def model(signature: ModelSignature | None, *, hinted: bool = False, streams: bool = False) -> MLModel:
    pyfunc = PythonFunction("a", predict_stream_fn="predict_stream" if streams else None)
    return MLModel(Path("/nowhere"), pyfunc, {}, signature=signature, is_signature_from_type_hint=hinted)


def request_schema(described: dict[str, Any]) -> dict[str, Any]:
    """The schema of /invocations' JSON bodies, with its references at hand."""
    content = described["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]
    return {**content["schema"], "components": described["components"]}


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("streams", [False, True])
def test_the_document_is_valid_openapi(name: str, streams: bool) -> None:
    described = json.loads(json.dumps(document(model(SIGNATURES[name], streams=streams))))
    OpenAPIV31SpecValidator(described).validate()
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_document_of_a_server_of_several_models_is_valid_and_has_their_apis() -> None:
    described = document(None, multi_model=True)
    OpenAPIV31SpecValidator(described).validate()
    assert {"/models", "/models/{name}", "/models/{name}/invoke"} <= described["paths"].keys()
    assert "/invocations" not in described["paths"]


def test_the_operations_have_ids_of_their_own() -> None:
    paths = document(model(None), multi_model=True)["paths"]
    ids = [item[method]["operationId"] for item in paths.values() for method in ("get", "post", "delete") if method in item]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", [name for name in SIGNATURES if name != "none"])
def test_the_example_request_is_what_the_document_and_the_decoder_take(name: str) -> None:
    served = model(SIGNATURES[name])
    example = serving_example(served)
    assert example is not None
    jsonschema.validate(json.loads(example.body), request_schema(document(served)))
    decode(example.body, example.content_type, served)


ROW = {"x": 1.5}


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["x"], "data": [[1], [None]]}, "params": {"top": 2, "names": ["b"], "t": None}},
        {"dataframe_records": [ROW, ROW]},
        {"inputs": {"x": [1, 2]}},
        {"inputs": [1, 2]},
        {"instances": [ROW]},
        {"instances": [1.5]},
    ],
)
def test_every_format_is_described_as_it_is_taken(body: Any) -> None:
    served = model(SIGNATURES["params"])
    jsonschema.validate(body, request_schema(document(served)))
    decode(json.dumps(body).encode(), "application/json", served)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"rows": []},
        {"inputs": {"x": ["text"]}},
        {"inputs": {"y": [1]}},
        {"dataframe_split": {"columns": ["x"], "data": [[1, 2]]}},
        {"dataframe_split": {"columns": ["y"], "data": [[1]]}},
        {"dataframe_records": [{}]},
        {"inputs": [1], "instances": [1]},
        {"inputs": [1], "params": {"top": "many"}},
        [1],
    ],
)
def test_what_is_refused_is_not_described(body: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, request_schema(document(model(SIGNATURES["params"]))))


def test_formats_that_the_model_does_not_take_are_not_there() -> None:
    def formats(signature: ModelSignature | None, *, hinted: bool = False) -> set[str]:
        described = document(model(signature, hinted=hinted))
        content = described["paths"]["/invocations"]["post"]["requestBody"]["content"]
        return {*content, *(reference["$ref"].rsplit("/", 1)[1] for reference in content["application/json"]["schema"]["oneOf"])}

    every = {"SplitRequest", "RecordsRequest", "InputsRequest", "InstancesRequest", "application/json", "text/csv"}
    parquet = "application/vnd.apache.parquet"
    assert formats(None) - {parquet} == formats(SIGNATURES["columns"]) - {parquet} == every
    assert formats(SIGNATURES["a tensor"]) == {"InputsRequest", "InstancesRequest", "application/json"}
    assert "text/csv" not in formats(SIGNATURES["nested"])
    assert formats(SIGNATURES["one without a name"], hinted=True) == {"InputsRequest", "application/json"}
