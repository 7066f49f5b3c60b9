"""Bodies and content types to data and params."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.errors import InvalidInput
from deployer_scoring.model.mlmodel import MLModel, PythonFunction
from deployer_scoring.schema.signature import ColSpec, DataType, ModelSignature, ParamSchema, ParamSpec, Schema, TensorSpec
from deployer_scoring.wire import jsonbytes
from deployer_scoring.wire.decoding import Decoded, Decoder, decode
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


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "^there is nothing in it; CSV with a header row was expected$"),
        ("\n \n", "^there is nothing in it"),
        ("a,b\n1,x\n1,x,3\n", "^line 3: there are 3 fields, the header has 2$"),
        ("a,b\n1,x,\n", r"^line 2: there are 3 fields \(it ends with a comma\), the header has 2$"),
        ("a,b\r\n\r\n1\r\n", "^line 3: there is 1 field, the header has 2$"),
        ('a,b\n1,"x\n\ny"\n1\n', "^line 5: there is 1 field, the header has 2$"),
        ('a,b\n1,"x\n', "^line 2: a quote opens a field, and none closes it$"),
        ("a,b,b\n1,x,y\n", "^line 1: the column 'b' is there more than once$"),
        ("a,b,c,c\n1,x,y,z\n", "^line 1: the column 'c' is there more than once$"),
        ('"a","a",b\n1,2,x\n', "^line 1: the column 'a' is there more than once$"),
        (",a,b\n0,1,x\n", "^line 1: the column 1 has no name; name it, or write the file without its index$"),
        ("a,b,\n1,x,\n", r"^line 1: the column 3 has no name \(the header ends with a comma\)"),
        ("a,b\n1,x\ntext,x\n", "^line 3: in the column 'a', 'text' is no number$"),
        ("a,b\nTrue,x\n", "^line 2: in the column 'a', 'True' is no number$"),
        ("a,b\n1e999,x\n", "^line 2: in the column 'a', .* is out of the range of float64$"),
        (b"a,b\n1,x\n1,\xe4\n", "^line 3: the text is not UTF-8"),
    ],
)
def test_csv_that_is_no_frame_of_the_signature_is_refused_with_its_line(body: Any, said: str) -> None:
    for read in (decoded, lambda body, kind: Decoder(model()).decode(body if isinstance(body, bytes) else body.encode(), kind)):
        with pytest.raises(InvalidInput, match=said) as refused:
            read(body, "text/csv")
        assert refused.value.status == 400


@pytest.mark.parametrize("signature", [Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.double, "b"))), None])
@pytest.mark.parametrize("text", ["a,b\n1,2,3\n", "a,b\n1,2\n3\n", "a,a\n1,2\n", ",a,b\n0,1,2\n", "a,b, \n1,2,3\n", "a,b\n1,2,\n"])
def test_csv_of_numbers_has_the_same_shape_at_once(signature: Schema | None, text: str) -> None:
    of = MLModel(Path(), PythonFunction("a"), {}, ModelSignature(signature) if signature else None)
    with pytest.raises(InvalidInput, match=r"^line [123]: "):
        Decoder(of).decode(text.encode(), "text/csv")


@pytest.mark.parametrize(
    ("kind", "cells", "expected"),
    [
        (DataType.datetime, ["2026-01-02", "2026-01-02 03:04:05.5", ""], ["2026-01-02T00:00:00", "2026-01-02T03:04:05.500000", None]),
        (DataType.datetime, ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05+01:00"], ["2026-01-02T03:04:05", "2026-01-02T02:04:05"]),
        (DataType.binary, ["aGk=", ""], [b"hi", None]),
        (DataType.long, ["1", "", "3.0", "9007199254740993"], [1, None, 3, 9007199254740993]),
        (DataType.long, ["3.0", "9007199254740993"], [3, 9007199254740993]),
        (DataType.integer, ["-1", "NA"], [-1, None]),
        (DataType.boolean, ["True", "false", "1", "0", ""], [True, False, True, False, None]),
        (DataType.double, ["1.5", "", "inf", " -2 "], [1.5, None, float("inf"), -2.0]),
        (DataType.float, ["1.5", "null"], [1.5, None]),
        (DataType.string, ["007", "", '"a,b"', "True"], ["007", None, "a,b", "True"]),
    ],
)
def test_csv_has_the_values_of_json(kind: DataType, cells: list[str], expected: list[Any]) -> None:
    of = model(Schema((ColSpec(DataType.string, "n"), ColSpec(kind, "x", required=False))))
    text = "n,x\n" + "".join(f"r,{cell}\n" for cell in cells)
    rows = [{"n": "r", "x": base64.b64encode(each).decode() if isinstance(each, bytes) else each} for each in expected]
    read = enforce(decoded(text, "text/csv", of).data, of.signature.inputs)["x"]  # type: ignore[union-attr]
    as_json = enforce(decoded({"dataframe_records": rows}, JSON, of).data, of.signature.inputs)["x"]  # type: ignore[union-attr]
    assert [None if pd.isna(each) else each for each in read] == [None if pd.isna(each) else each for each in as_json]
    assert read.dtype == as_json.dtype or kind is DataType.string  # of which pandas has two, and CSV gives MLflow's


@pytest.mark.parametrize(
    ("kind", "cell", "said"),
    [
        (DataType.datetime, "soon", "'soon' is no datetime"),
        (DataType.binary, "?", "no base64"),
        (DataType.long, "1.5", "1.5 is no whole number"),
        (DataType.long, "9223372036854775808", "out of the range"),
        (DataType.integer, "3000000000", "out of the range"),
        (DataType.long, "1_000", "'1_000' is no integer"),
        (DataType.boolean, "2", "2 is no boolean"),
        (DataType.boolean, "yes", "'yes' is no boolean"),
        (DataType.float, "1e39", "out of the range of float32"),
        (DataType.double, "0x10", "'0x10' is no number"),
        (DataType.double, "9" * 500, "is no number"),
    ],
)
def test_a_cell_that_its_type_does_not_hold_is_named(kind: DataType, cell: str, said: str) -> None:
    of = model(Schema((ColSpec(DataType.double, "n"), ColSpec(kind, "x", required=False))))
    with pytest.raises(InvalidInput, match=f"^line 4: in the column 'x', .*{said}"):
        decoded(f"n,x\n1,\n\n2,{cell}\n", "text/csv", of)


def test_columns_without_names_are_typed_by_their_place() -> None:
    of = model(Schema((ColSpec(DataType.string), ColSpec(DataType.double))))
    assert decoded("p,q\n007,1\n", "text/csv", of).data.to_dict("list") == {"p": ["007"], "q": [1.0]}


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "latin-1", "iso-8859-15", "windows-1252", "utf-16", "utf-16-le", "UTF-8-SIG", '"cp1252"'])
def test_csv_of_another_encoding_is_read_where_the_content_type_names_it(charset: str) -> None:
    body = "a,b\n1,ä\n".encode(charset.strip('"'))
    for read in (decode, lambda body, kind, of: Decoder(of).decode(body, kind)):
        assert read(body, f"text/csv; charset={charset}", model()).data.to_dict("list") == {"a": [1.0], "b": ["ä"]}


@pytest.mark.parametrize("charset", ["klingon", "punycode", "idna", "base64", "rot13", "zlib", "unicode_escape", "utf-7", "undefined", ""])
def test_what_is_no_encoding_of_text_is_415(charset: str) -> None:
    with pytest.raises(InvalidInput, match="is not taken") as refused:
        decode(b"a,b\n1,x\n", f"text/csv; charset={charset}", model())
    assert refused.value.status == 415
    with pytest.raises(InvalidInput, match="the text is not cp932") as refused:
        decode(b"a,b\n1,\x81\n", "text/csv; charset=cp932", model())
    assert refused.value.status == 400


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
        '{"a": {"a": 1}, "b": [{"a": 1}, {"a": ":", "b:": ":x"}]}',
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


TWICE = [
    '{"inputs": {"a": [1], "b": ["x"], "a": [2]}}',
    '{"inputs": {"a": [1], "b": [":x"], "a": [2]}}',
    '{"instances": [{"a": 1, "b": "x"}, {"a": 1, "b": "x", "a": 2}]}',
    '{"dataframe_records": [{"a": 1, "b": "a:b", "a": 2}]}',
    '{"dataframe_records": [{"a": 1, "b": ":", "a" : 2}]}',
    '{"dataframe_records": [' + '{"a": 1.5, "b": "x"},' * 500 + '{"a": 1.5, "b": "x", "b": "y"}]}',
    '{"dataframe_records": [' + '{"a": 1.5, "b": "\\":"},' * 500 + '{"a": 1.5, "b": "x", "b": "y"}]}',
    '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]], "data": [[2, "y"]]}}',
    '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]]}, "dataframe_split": {"columns": ["a", "b"], "data": []}}',
    '{"dataframe_records": [{"a": 1, "b": "x"}], "params": {"p": 1, "p": 2}}',
    '{"columns": ["a", "b"], "data": [[1, "x"]], "data": [[2, "x"]]}',
]


@pytest.mark.parametrize("with_orjson", [True, False])
@pytest.mark.parametrize("text", TWICE, ids=range(len(TWICE)))
def test_a_key_given_twice_is_told(monkeypatch: pytest.MonkeyPatch, text: str, with_orjson: bool) -> None:
    if not with_orjson:
        monkeypatch.setattr(jsonbytes, "orjson", None)
    for read in (decoded, lambda body: Decoder(model()).decode(body.encode(), JSON)):
        with pytest.raises(InvalidInput, match=r"^an object has the key '\w+' more than once$"):
            read(text)


@pytest.mark.parametrize(
    "text", ['{"a": 1, "b": ":"}', '{"a" : ":", "b":":x:"}', '{"a":\n [{"b": {}}]}', '{"a": "\\":"}', "[1]", '":"', '{"é:": {":": ":"}}']
)
def test_no_key_is_taken_for_two(text: str) -> None:
    assert repr(read_json(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize("columns", [["a", "a", "b"], ["a", "b", "c", "c"]])
def test_a_column_given_twice_is_told(columns: list[str]) -> None:
    split = {"columns": columns, "data": [["x"] * len(columns)]}
    for body in ({"dataframe_split": split}, split):
        for read in (decoded, lambda body: Decoder(model()).decode(json.dumps(body).encode(), JSON)):
            with pytest.raises(InvalidInput, match=r"the column '[ac]' is there more than once"):
                read(body)


@pytest.mark.parametrize("columns", [[["a", "x"], ["a", "y"]], [["a"], ["b"]], [{"a": 1}, "b"], [None, "b"], "ab"])
def test_columns_that_are_no_names_are_refused_in_words(columns: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        decoded({"dataframe_split": {"columns": columns, "data": [[1, "x"]]}})
    assert "Error" not in str(refused.value)


def test_json_in_utf_16_is_read_as_the_standard_library_reads_it() -> None:
    assert read_json("[1]".encode("utf-16")) == [1]
