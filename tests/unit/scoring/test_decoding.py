"""Bodies and content types to data and params."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.errors import InvalidInput
from deployer_scoring.model.mlmodel import MLModel, PythonFunction
from deployer_scoring.schema.signature import ColSpec, DataType, ModelSignature, ParamSchema, ParamSpec, Schema, TensorSpec
from deployer_scoring.wire import jsonbytes
from deployer_scoring.wire.decoding import Decoded, decode
from deployer_scoring.wire.jsonbytes import read_json

AB = Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.string, "b")))
JSON = "application/json"


def model(inputs: Schema | None = AB, params: ParamSchema | None = None, type_hints: bool = False) -> MLModel:
    return MLModel(Path(), PythonFunction("a"), {}, ModelSignature(inputs, None, params), is_signature_from_type_hint=type_hints)


def decoded(body: Any, content_type: str = JSON, of: MLModel | None = None) -> Decoded:
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return decode(raw, content_type, of or model())


@pytest.mark.parametrize(
    ("body", "content_type", "wrapped"),
    [
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]]}}, JSON, True),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]], "index": [0]}}, JSON, True),
        ({"dataframe_records": [{"a": 1, "b": "x"}]}, JSON, True),
        ({"dataframe_records": [{"b": "x", "a": 1.0}], "params": None, "comment": "kept out"}, JSON, True),
        ("b,a\nx,1\n", "text/csv", True),
        ("b,a\nx,1\n", "text/csv; charset=utf-8", True),
        ({"columns": ["a", "b"], "data": [[1, "x"]]}, JSON, False),
        ({"columns": ["a", "b"], "data": [[1, "x"]], "index": [0]}, JSON, False),
        ({"columns": ["a", "b"], "data": [[1, "x"]]}, "application/json; format=pandas-split", False),
        ([{"a": 1, "b": "x"}], "application/json; format=pandas-records; charset=utf-8", False),
    ],
)
def test_every_format_of_a_frame_gives_the_same_frame(body: Any, content_type: str, wrapped: bool) -> None:
    found = decoded(body, content_type)
    assert found.wrapped is wrapped
    assert found.data[["a", "b"]].to_dict("records") == [{"a": 1.0, "b": "x"}]
    assert str(found.data["a"].dtype) == "float64"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"inputs": {"a": [1, 2], "b": ["x", "y"]}}, {"a": [1.0, 2.0], "b": ["x", "y"]}),
        ({"instances": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}, {"a": [1.0, 2.0], "b": ["x", "y"]}),
    ],
)
def test_columns_of_inputs_and_rows_of_instances_become_arrays_of_their_types(body: Any, expected: Any) -> None:
    found = decoded(body).data
    assert {name: values.tolist() for name, values in found.items()} == expected
    assert found["a"].dtype == np.float64


def test_a_tensor_has_the_dtype_of_its_spec() -> None:
    of = model(Schema((TensorSpec("float32", (-1, 2)),)))
    for key in ("inputs", "instances"):
        found = decoded({key: [[1, 2], [3, 4]]}, of=of).data
        assert (found.dtype, found.shape) == (np.dtype("float32"), (2, 2))


def test_bytes_arrive_as_base64_and_datetimes_as_text() -> None:
    of = model(Schema((ColSpec(DataType.binary, "a"), ColSpec(DataType.datetime, "b"))))
    found = decoded({"dataframe_records": [{"a": "AAH/", "b": "2026-01-02T03:04:05"}]}, of=of).data
    assert found["a"][0] == b"\x00\x01\xff"
    assert found["b"][0] == pd.Timestamp("2026-01-02T03:04:05")
    assert str(found["b"].dtype) == "datetime64[ns]"


def test_params_stand_beside_the_data() -> None:
    assert decoded({"inputs": {"a": [1], "b": ["x"]}, "params": {"top": 1}}).params == {"top": 1}


def test_a_call_of_a_language_model_needs_no_wrapper_and_gets_none() -> None:
    of = model(None, ParamSchema((ParamSpec("temperature", DataType.double, 1.0),)))
    found = decoded({"messages": [{"role": "user"}], "temperature": 0.5, "stream": False}, of=of)
    assert found == Decoded({"messages": [{"role": "user"}], "stream": False}, {"temperature": 0.5}, wrapped=False)


def test_a_model_with_type_hints_gets_its_inputs_as_they_are() -> None:
    assert decoded({"inputs": ["a", 1]}, of=model(type_hints=True)).data == ["a", 1]
    with pytest.raises(InvalidInput, match="type hints"):
        decoded({"instances": ["a"]}, of=model(type_hints=True))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "not valid JSON"),
        ("{", "line 1 column 2"),
        (b'{"inputs": "\xff"}', "not UTF-8"),
        ("[" * 100_000, "nested too deeply|not valid JSON"),
        ([1], "must be a JSON object"),
        ("5", "must be a JSON object"),
        ({}, "it has nothing"),
        ({"rows": 1}, "it has 'rows'"),
        ({"inputs": [1], "instances": [1]}, "exactly one"),
        ({"dataframe_split": [1]}, "not a list"),
        ({"dataframe_split": {"columns": []}}, "must have data"),
        ({"dataframe_split": {"data": [], "types": []}}, "'types'"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "makes no DataFrame"),
        ({"dataframe_records": {"a": 1}}, "not an object"),
        ({"dataframe_records": [{"a": "text", "b": "x"}]}, "in row 1 of the column 'a', 'text' is no number"),
        ({"inputs": {"a": ["text"]}}, "in row 1 of 'a', 'text' is no number"),
        ({"instances": [{"a": 1, "b": "x"}, {"a": 2}]}, "differ in length"),
        ({"instances": [{"a": 1}, 2]}, "all objects"),
    ],
)
def test_a_body_that_is_wrong_is_told_where(body: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        decoded(body)
    assert (caught.value.status, caught.value.error_code) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        ("text/plain", "text/plain is not taken"),
        ("", r"\(none\) is not taken"),
        ("application/json; charset=latin-1", "latin-1"),
        ("application/json; version=1", "version"),
        ("application/json; format=pandas-table", "format=pandas-table"),
        ("text/csv; format=pandas-split", "format"),
    ],
)
def test_a_content_type_that_is_not_known_is_415(content_type: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        decoded({"inputs": [1]}, content_type)
    assert caught.value.status == 415


@pytest.mark.parametrize("body", ["", "a,b\n1,x\n1,x,3\n", "a,b\ntext,x\n"])
def test_csv_that_is_no_frame_of_the_signature_is_refused(body: str) -> None:
    with pytest.raises(InvalidInput, match="CSV with a header row"):
        decoded(body, "text/csv")


def test_csv_can_not_express_tensors() -> None:
    with pytest.raises(InvalidInput, match="send JSON"):
        decoded("a\n1\n", "text/csv", model(Schema((TensorSpec("float64", (-1,)),))))


@pytest.mark.parametrize("with_orjson", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        "[NaN, Infinity, -Infinity]",
        "[1e-400, 1e308, -1E+308]",
        "[18446744073709551615, 18446744073709551616, -9223372036854775809]",
        "[123456789012345678901234567890]",
        '["\\ud800"]',
        '{"a": 1, "a": 2}',
        "[-0, -0.0, 0.1, 5e-324, 1.7976931348623157e308]",
        "\ufeff[1]",
        '["\\u00e9", "é", "\\u0000"]',
    ],
)
def test_json_is_read_as_the_standard_library_reads_it(monkeypatch: pytest.MonkeyPatch, text: str, with_orjson: bool) -> None:
    if not with_orjson:
        monkeypatch.setattr(jsonbytes, "orjson", None)
    assert repr(read_json(text.encode())) == repr(json.loads(text.encode()))


@pytest.mark.parametrize("number", ["1e400", "-1e309", "1" * 400 + ".5"])
def test_a_number_past_a_double_is_not_made_infinity(number: str) -> None:
    with pytest.raises(InvalidInput, match=r"number -?1.* is past the range of a double"):
        read_json(f"[0.5, {number}]".encode())


def test_json_in_utf_16_is_read_as_the_standard_library_reads_it() -> None:
    assert read_json("[1]".encode("utf-16")) == [1]
