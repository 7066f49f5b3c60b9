"""The Open Inference Protocol's messages of gRPC: whatever JSON says, typed and raw messages say too, and the answers have the same values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.errors import InvalidInput
from deployer_scoring.model.mlmodel import MLModel, PythonFunction
from deployer_scoring.schema.datatypes import Array, DataType
from deployer_scoring.schema.signature import ColSpec, ModelSignature, ParamSchema, ParamSpec, Schema, TensorSpec
from deployer_scoring.wire.inference_codec import InferenceCodec, Route
from deployer_scoring.wire.inference_grpc import InferenceMessageCodec
from deployer_scoring.wire.inference_messages import MESSAGES, InferRequest, InferResponse
from deployer_scoring.wire.inference_tensors import read, write
from deployer_scoring.wire.table import Table

ROUTE = str(Route("m", "3"))
FIELDS = {"BOOL": "bool", "INT64": "int64", "UINT64": "uint64", "FP32": "fp32", "FP64": "fp64", "BYTES": "bytes"}
PARAMETERS: dict[type, str] = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}
Form = Callable[..., bytes]


def model(inputs: Schema | None = None, outputs: Schema | None = None, *, hinted: bool = False) -> MLModel:
    params = ParamSchema((ParamSpec("top", DataType.long, 3),))
    signature = ModelSignature(inputs, outputs, params) if inputs or outputs else None
    return MLModel(Path(), PythonFunction("a"), {}, signature=signature, is_signature_from_type_hint=hinted)


def tensor(name: str, datatype: str, data: list[Any], shape: list[int] | None = None, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)] if shape is None else shape, "data": data, "parameters": parameters}


def said(parameters: dict[str, Any]) -> dict[str, Any]:
    made = MESSAGES["InferParameter"]  # older versions of protobuf make no map's value of a dict
    return {name: made(**{PARAMETERS[type(value)]: value}) for name, value in parameters.items()}


def head(item: dict[str, Any]) -> dict[str, Any]:
    return {"name": item["name"], "datatype": item["datatype"], "shape": item["shape"], "parameters": said(item["parameters"])}


def field_of(datatype: str) -> str:
    return FIELDS.get(datatype, "uint" if datatype.startswith("UINT") else "int") + "_contents"


def typed(*tensors: dict[str, Any], **request: Any) -> bytes:
    inputs = []
    for each in tensors:
        data = [value.encode() if isinstance(value, str) else value for value in each["data"]]
        inputs.append({**head(each), "contents": {field_of(each["datatype"]): data}})
    return InferRequest(model_name="m", inputs=inputs, **request).SerializeToString()  # type: ignore[no-any-return]


def raw(*tensors: dict[str, Any], **request: Any) -> bytes:
    contents = [write("", read(each, None), binary=True)[1] for each in tensors]
    inputs = [head(each) for each in tensors]
    return InferRequest(model_name="m", inputs=inputs, raw_input_contents=contents, **request).SerializeToString()  # type: ignore[no-any-return]


def assert_same(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for name in left:
            assert_same(left[name], right[name])
    elif isinstance(left, np.ndarray):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert repr([*map(_text, left.ravel())]) == repr([*map(_text, right.ravel())])
    elif isinstance(left, (Table, pd.DataFrame)):
        frames = [each.frame() if isinstance(each, Table) else each for each in (left, right)]
        pd.testing.assert_frame_equal(*frames)
    else:
        assert left == right


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


A, N = ColSpec(DataType.double, "a"), ColSpec(DataType.long, "n")
TENSORS = Schema((TensorSpec("float32", (-1, 2), "left"), TensorSpec("int64", (-1,), "right")))
EVERY = [ColSpec(kind, kind.value) for kind in DataType]
SENT = {
    "boolean": ("BOOL", [True, False]),
    "integer": ("INT32", [2**31 - 1, -(2**31)]),
    "long": ("INT64", [2**53 + 1, -(2**63)]),
    "float": ("FP32", [0.5, 3.4028234663852886e38]),
    "double": ("FP64", [0.1, -1e300]),
    "string": ("BYTES", ["a", "ÿ€"]),
    "binary": ("BYTES", ["aGk=", ""]),
    "datetime": ("BYTES", ["2024-02-29T12:00:00.5+01:00", "1970-01-01"]),
}


def every() -> list[dict[str, Any]]:
    return [tensor(name, kind, data, content_type="base64" if name == "binary" else "x") for name, (kind, data) in SENT.items()]


@pytest.mark.parametrize("form", [typed, raw])
@pytest.mark.parametrize(
    ("inputs", "tensors"),
    [
        (Schema((A, N)), [tensor("n", "INT64", [1, 2], [2, 1]), tensor("a", "FP64", [0.1, 2.5])]),
        (Schema((A, N)), [tensor("n", "INT32", [1, 2]), tensor("a", "FP32", [0.5, 2.5])]),
        (Schema((A, ColSpec(DataType.double, "b"))), [tensor("all", "FP64", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2])]),
        (Schema((ColSpec(DataType.double), ColSpec(DataType.long))), [tensor("x", "FP64", [1.0]), tensor("y", "INT64", [3])]),
        (Schema(tuple(EVERY)), every()),
        (Schema((ColSpec(Array(DataType.long), "list"),)), [tensor("list", "BYTES", ["[1, 2]", "[]"])]),
        (TENSORS, [tensor("left", "FP32", [1.0, 2.0, 3.0, 4.0], [2, 2]), tensor("right", "INT64", [5, 6])]),
        (None, [tensor(kind, kind, [0, 1, 100]) for kind in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")]),
        (None, [tensor("x", "BYTES", ["a", "b"], [1, 2])]),
        (None, [tensor("x", "FP64", [float("nan"), float("inf"), -0.0])]),
        (None, [tensor("x", "FP64", [], [0, 3])]),
    ],
)
def test_the_model_is_asked_with_what_json_would_have_asked_it_with(form: Form, inputs: Schema | None, tensors: Any) -> None:
    by_json = InferenceCodec(model(inputs)).decode(json.dumps({"inputs": tensors}).encode(), ROUTE)
    by_message = InferenceMessageCodec(model(inputs)).decode(form(*tensors), ROUTE)
    assert_same(by_message.data, by_json.data)


@pytest.mark.parametrize("form", [typed, raw])
def test_a_model_with_type_hints_gets_a_list_and_parameters_are_params(form: Form) -> None:
    codec = InferenceMessageCodec(model(Schema((ColSpec(DataType.string),)), hinted=True))
    asked = codec.decode(form(tensor("x", "BYTES", ["a", "b"]), parameters=said({"top": 7, "other": "y"}), id="seven"), ROUTE)
    assert (asked.data, asked.params, asked.id) == (["a", "b"], {"top": 7}, "seven")


def test_half_floats_come_and_go_as_bytes_alone() -> None:
    codec, half = InferenceMessageCodec(model()), np.array([0.5, 2], np.float16)
    asked = codec.decode(raw(tensor("x", "FP16", [0.5, 2.0])), ROUTE)
    assert (asked.data.dtype, asked.data.tolist()) == (np.float16, [0.5, 2.0])
    answer = InferResponse.FromString(codec.encode(half, codec.decode(typed(tensor("x", "FP32", [1.0])), ROUTE)))
    assert (answer.outputs[0].datatype, list(answer.raw_output_contents)) == ("FP16", [half.tobytes()])


@pytest.mark.parametrize("form", [typed, raw])
@pytest.mark.parametrize(
    "predictions",
    [
        np.array([1.5, np.nan, -np.inf]),
        np.array([[1, 2], [3, 4]], np.int8),
        np.array([2**64 - 1], np.uint64),
        np.array([True, False]),
        np.array([0.1], np.float32),
        pd.DataFrame({"p": [0.25, 0.75], "label": ["é", "b"]}),
        pd.Series(["x", "y"]),
        {"scores": [0.5], "raw": [b"\xff\0"]},
        [{"a": 1, "b": [1, 2]}, {"a": 2, "b": []}],
        ["text"],
        [],
        np.array(["2024-02-29"], "datetime64[D]"),
    ],
)
def test_the_answer_has_the_values_of_http_s_binary_answer_in_the_form_of_the_request(form: Form, predictions: Any) -> None:
    by_http, by_grpc = InferenceCodec(model()), InferenceMessageCodec(model())
    asked = json.dumps({"inputs": [tensor("x", "FP64", [1.0])], "parameters": {"binary_data_output": True}}).encode()
    encoded = by_http.encode(predictions, by_http.decode(asked, ROUTE))
    length = int.from_bytes(encoded[:4], "big")
    wanted, at = [], 4 + length
    for item in json.loads(encoded[4:at])["outputs"]:
        size = item["parameters"]["binary_data_size"]
        wanted.append((item["name"], item["datatype"], item["shape"], encoded[at : at + size]))
        at += size
    answer = InferResponse.FromString(by_grpc.encode(predictions, by_grpc.decode(form(tensor("x", "FP64", [1.0]), id="one"), ROUTE)))
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "one")
    if form is raw:
        contents = list(answer.raw_output_contents)
    else:
        assert not answer.raw_output_contents
        contents = [_bytes_of(each) for each in answer.outputs]
    found = [(each.name, each.datatype, list(each.shape), content) for each, content in zip(answer.outputs, contents)]
    assert found == wanted


def _bytes_of(output: Any) -> bytes:
    values = list(getattr(output.contents, field_of(output.datatype)))
    if output.datatype == "BYTES":
        return b"".join(len(value).to_bytes(4, "little") + value for value in values)
    item = {"name": "", "datatype": output.datatype, "shape": [len(values)], "data": values}
    return write("", read(item, None), binary=True)[1]


def test_the_outputs_that_are_named_go_out_alone() -> None:
    codec = InferenceMessageCodec(model())
    asked = codec.decode(typed(tensor("x", "FP64", [1.0]), outputs=[{"name": "q"}]), ROUTE)
    answer = InferResponse.FromString(codec.encode(pd.DataFrame({"p": [1.0], "q": [2.0]}), asked))
    assert [(each.name, list(each.contents.fp64_contents)) for each in answer.outputs] == [("q", [2.0])]
    with pytest.raises(InvalidInput, match="no output 'q'; it has 'p'"):
        codec.encode(pd.DataFrame({"p": [1.0]}), asked)


def message(*inputs: dict[str, Any], **request: Any) -> bytes:
    return InferRequest(inputs=inputs, **request).SerializeToString()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b"\xff\xff\xff", "no ModelInferRequest"),
        (b"{}", "no ModelInferRequest"),
        (b"", "has no inputs"),
        (message({"name": "a", "datatype": "FP64", "shape": [1]}, raw_input_contents=[b"", b""]), "has 2 tensors, and inputs 1"),
        (
            message({"name": "a", "datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [1]}}, raw_input_contents=[bytes(8)]),
            "data goes into one of them",
        ),
        (
            message({"name": "a", "datatype": "FP64", "shape": [1], "contents": {"fp32_contents": [1]}}),
            "goes into fp64_contents; it is in fp32_contents",
        ),
        (message({"name": "a", "datatype": "FP16", "shape": [1]}), "raw_input_contents alone"),
        (message({"name": "a", "datatype": "FP65", "shape": [1]}), "'FP65'; it must be one of BOOL"),
        (
            message({"name": "a", "datatype": "FP64", "shape": [2], "contents": {"fp64_contents": [1]}}),
            "has 1 values, which the shape [2] can't hold",
        ),
        (message({"name": "a", "datatype": "FP64", "shape": [-1], "contents": {"fp64_contents": [1]}}), "needs a shape"),
        (message({"name": "a", "datatype": "INT8", "shape": [1], "contents": {"int_contents": [200]}}), "200 is out of the range of int8"),
        (message({"name": "a", "datatype": "FP64", "shape": [1]}, raw_input_contents=[bytes(7)]), "can't be read as FP64"),
        (message({"name": "a", "datatype": "BYTES", "shape": [1]}, raw_input_contents=[b"\x09\0\0\0x"]), "ends past the data"),
        (message(*[{"name": "a", "datatype": "FP64", "shape": [0]}] * 2), "twice"),
        (message({"name": "a", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [b"\xff"]}}), "'a' can't be read as string"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(body: bytes, wrong: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        InferenceMessageCodec(model(Schema((ColSpec(DataType.string, "a"),)))).decode(body, ROUTE)
    assert wrong in str(raised.value)
