"""The Open Inference Protocol's bodies to data and predictions to bodies; the server's paths are in tests/e2e/test_scoring_protocols.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.errors import EncodingError, InvalidInput
from deployer_scoring.model.mlmodel import MLModel, PythonFunction
from deployer_scoring.schema.datatypes import Array, DataType
from deployer_scoring.schema.signature import ColSpec, ModelSignature, ParamSchema, ParamSpec, Schema, TensorSpec
from deployer_scoring.wire.inference_codec import InferenceCodec, Route
from deployer_scoring.wire.table import Table

COLUMNS = Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.string, "b")))
OUTPUTS = Schema((ColSpec(DataType.double, "low"), ColSpec(DataType.double, "high")))


def codec(inputs: Schema | None = None, outputs: Schema | None = None, *, hinted: bool = False) -> InferenceCodec:
    params = ParamSchema((ParamSpec("top", DataType.long, 3),))
    signature = ModelSignature(inputs, outputs, params) if inputs or outputs else None
    return InferenceCodec(MLModel(Path(), PythonFunction("a"), {}, signature=signature, is_signature_from_type_hint=hinted))


def tensor(name: str, datatype: str, data: list[Any], shape: list[int] | None = None, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)] if shape is None else shape, "data": data, "parameters": parameters}


def decoded(model: InferenceCodec, *tensors: dict[str, Any], **request: Any) -> Any:
    return model.decode(json.dumps({"inputs": tensors, **request}).encode(), str(Route("m", "1")))


def answered(model: InferenceCodec, predictions: Any, **request: Any) -> dict[str, Any]:
    encoded = model.encode(predictions, decoded(model, tensor("a", "FP64", [1.0]), tensor("b", "BYTES", ["x"]), **request))
    assert encoded[:4] == bytes(4)
    return json.loads(encoded[4:])  # type: ignore[no-any-return]


def test_tensors_by_name_become_typed_columns() -> None:
    asked = decoded(codec(COLUMNS), tensor("b", "BYTES", ["x", "ÿ"]), tensor("a", "FP64", [[1], [2.5]], [2, 1]))
    assert asked.data["a"].tolist() == [1.0, 2.5]
    assert asked.data["a"].dtype == np.float64
    assert asked.data["b"].tolist() == ["x", "ÿ"]


NUMBERS = Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.long, "n"), ColSpec(DataType.double, "b"), ColSpec(DataType.boolean, "yes")))


def numbers(**changed: dict[str, Any]) -> list[dict[str, Any]]:
    tensors = {
        "b": tensor("b", "FP64", [3.5, None]),
        "n": tensor("n", "INT64", [2**62 + 1, -1], [2, 1]),
        "a": tensor("a", "FP64", [1.5, 2]),
        "yes": tensor("yes", "BOOL", [True, False]),
        "more": tensor("more", "BYTES", ["x", "y"]),
    }
    return [*{**tensors, **changed}.values()]


def test_numbers_of_the_signatures_own_types_are_a_table_at_once_with_the_values_of_the_slower_way() -> None:
    table = decoded(codec(NUMBERS), *numbers()).data
    assert isinstance(table, Table)
    wider = Schema((*NUMBERS.inputs, ColSpec(DataType.double, "absent", required=False)))  # what is optional takes the slower way
    slower = enforce(decoded(codec(wider), *numbers()).data, NUMBERS)
    pd.testing.assert_frame_equal(table.frame(), slower)
    assert table.frame()["n"].tolist() == [2**62 + 1, -1]


@pytest.mark.parametrize(
    "changed",
    [
        {"a": tensor("a", "FP32", [1.5, 2])},
        {"a": tensor("a", "INT64", [1, 2])},
        {"a": tensor("a", "FP64", [1, 2, 3, 4], [2, 2])},
        {"a": tensor("z", "FP64", [1, 2])},
    ],
)
def test_whatever_is_not_just_as_the_signature_says_takes_the_slower_way(changed: Any) -> None:
    assert not isinstance(decoded(codec(NUMBERS), *numbers(**changed)).data, Table)


def test_one_tensor_of_rows_by_columns_is_a_table_too() -> None:
    model = codec(Schema((ColSpec(DataType.float, "a"), ColSpec(DataType.float, "b"))))
    table = decoded(model, tensor("input-0", "FP32", [1, 2, 3, 4, 5, 6], [3, 2])).data
    assert isinstance(table, Table)
    assert table.frame().to_dict("list") == {"a": [1.0, 3.0, 5.0], "b": [2.0, 4.0, 6.0]}
    assert table.matrix().dtype == np.float32


def test_one_tensor_of_rows_by_columns_fills_the_columns_in_the_signatures_order() -> None:
    model = codec(Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.double, "b"))))
    flat = decoded(model, tensor("input-0", "FP64", [1, 2, 3, 4, 5, 6], [3, 2])).data.frame()
    nested = decoded(model, tensor("input-0", "FP64", [[1, 2], [3, 4], [5, 6]], [3, 2])).data.frame()
    assert flat.to_dict("list") == nested.to_dict("list") == {"a": [1.0, 3.0, 5.0], "b": [2.0, 4.0, 6.0]}


def test_columns_without_names_are_filled_by_position() -> None:
    model = codec(Schema((ColSpec(DataType.double), ColSpec(DataType.long))))
    frame = decoded(model, tensor("x", "FP64", [1, 2]), tensor("y", "INT64", [3, 4])).data
    assert frame.to_dict("list") == {0: [1.0, 2.0], 1: [3, 4]}


def test_bytes_become_what_the_column_is() -> None:
    schema = Schema((ColSpec(DataType.binary, "raw"), ColSpec(DataType.datetime, "day"), ColSpec(Array(DataType.long), "numbers")))
    frame = decoded(
        codec(schema),
        tensor("raw", "BYTES", ["AQI="], content_type="base64"),
        tensor("day", "BYTES", ["2024-02-29T12:00:00"]),
        tensor("numbers", "BYTES", ["[1, 2]"]),
    ).data
    assert frame["raw"][0] == b"\x01\x02"
    assert frame["day"][0] == pd.Timestamp("2024-02-29 12:00")
    assert frame["numbers"][0] == [1, 2]


def test_a_tensor_signature_takes_arrays_by_name_or_the_only_one_under_any() -> None:
    several = codec(Schema((TensorSpec("float32", (-1, 2), "left"), TensorSpec("int64", (-1,), "right"))))
    arrays = decoded(several, tensor("left", "FP32", [1, 2, 3, 4], [2, 2]), tensor("right", "INT64", [5, 6])).data
    assert (arrays["left"].dtype, arrays["left"].tolist(), arrays["right"].tolist()) == (np.float32, [[1, 2], [3, 4]], [5, 6])
    alone = decoded(codec(Schema((TensorSpec("float32", (-1, 2, 2)),))), tensor("whatever", "FP32", [1, 2, 3, 4], [1, 2, 2])).data
    assert (alone.dtype, alone.shape) == (np.float32, (1, 2, 2))


def test_without_a_signature_the_tensors_are_arrays_and_a_frame_where_that_is_asked_for() -> None:
    assert decoded(codec(), tensor("x", "INT8", [1, 2])).data.dtype == np.int8
    assert decoded(codec(), tensor("x", "INT8", [1]), tensor("y", "BOOL", [True])).data.keys() == {"x", "y"}
    frame = decoded(codec(), tensor("x", "INT8", [1, 2]), parameters={"content_type": "pd"}).data
    assert frame.to_dict("list") == {"x": [1, 2]}


def test_a_model_with_type_hints_gets_a_list() -> None:
    assert decoded(codec(Schema((ColSpec(DataType.string),)), hinted=True), tensor("x", "BYTES", ["a", "b"])).data == ["a", "b"]


def test_parameters_that_the_signature_declares_become_params() -> None:
    asked = decoded(codec(COLUMNS), tensor("a", "FP64", [1]), tensor("b", "BYTES", ["x"]), parameters={"top": 7, "content_type": "pd"})
    assert asked.params == {"top": 7}


OPTIONAL = Schema(tuple(ColSpec(kind, kind.value, required=False) for kind in DataType))
REQUIRED = Schema(tuple(ColSpec(kind, kind.value) for kind in DataType))
SENT: dict[str, tuple[str, Any]] = {
    "boolean": ("BOOL", True),
    "integer": ("INT32", 2**31 - 1),
    "long": ("INT64", 2**53 + 1),
    "float": ("FP32", 0.5),
    "double": ("FP64", 0.1),
    "string": ("BYTES", "a"),
    "binary": ("BYTES", "aGk="),
    "datetime": ("BYTES", "2024-02-29T12:00:00.5+01:00"),
}


def sent(*, gaps: bool) -> list[dict[str, Any]]:
    """A column of each type, whose second value is missing or as the first one."""
    content_types = {"binary": "base64"}
    return [tensor(name, kind, [value, None if gaps else value], content_type=content_types.get(name, "")) for name, (kind, value) in SENT.items()]


def test_null_is_a_missing_value_of_an_optional_column_of_any_type() -> None:
    found = enforce(decoded(codec(OPTIONAL), *sent(gaps=True)).data, OPTIONAL)
    assert found.isna().to_numpy().tolist() == [[False] * 8, [True] * 8]
    assert found.iloc[0].tolist() == [True, 2**31 - 1, 2**53 + 1, 0.5, 0.1, "a", b"hi", pd.Timestamp("2024-02-29T11:00:00.5")]


@pytest.mark.parametrize("name", ["boolean", "integer", "long", "string", "binary"])
def test_null_is_refused_where_a_required_column_must_have_a_value(name: str) -> None:
    whole = [each for each in sent(gaps=False) if each["name"] != name]
    (gap,) = (each for each in sent(gaps=True) if each["name"] == name)
    with pytest.raises(InvalidInput, match=f"'{name}'.*missing"):
        enforce(decoded(codec(REQUIRED), gap, *whole).data, REQUIRED)


def test_binary_outputs_have_nan_and_empty_strings_for_what_is_missing() -> None:
    model = codec(COLUMNS)
    asked = decoded(model, tensor("a", "FP64", [1.0]), tensor("b", "BYTES", ["x"]), parameters={"binary_data_output": True})
    answer = pd.DataFrame({"i": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean"), "s": ["é", None]})
    encoded = model.encode(answer, asked)
    length = int.from_bytes(encoded[:4], "big")
    assert [(each["datatype"], each["parameters"]) for each in json.loads(encoded[4 : 4 + length])["outputs"]] == [
        ("FP64", {"binary_data_size": 16}),
        ("FP64", {"binary_data_size": 16}),
        ("BYTES", {"binary_data_size": 10}),
    ]
    assert encoded[4 + length :] == np.array([1, np.nan, 1, np.nan]).tobytes() + b"\x02\0\0\0\xc3\xa9\0\0\0\0"


def test_a_missing_number_is_null() -> None:
    values = decoded(codec(), tensor("x", "FP64", [1.5, None])).data
    assert values[0] == 1.5
    assert np.isnan(values[1])


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"name": "a", "datatype": "FP64", "shape": [2]}, "'a' needs data"),
        ({"name": "a", "datatype": "FP64", "data": [1]}, "'a' needs a shape"),
        ({"datatype": "FP64", "shape": [1], "data": [1]}, "an object with a name"),
        (tensor("a", "FP65", [1]), "'FP65'; it must be one of BOOL"),
        ({**tensor("a", "FP64", [1]), "datatype": {}}, "the datatype {}"),
        (tensor("a", "FP64", [1, 2], [3]), "'a' has 2 values, which the shape [3] can't hold"),
        (tensor("a", "FP64", [1], [10**30]), "can't hold"),
        (tensor("a", "FP64", [1], [-1]), "needs a shape"),
        (tensor("a", "FP64", ["1"]), "'1' is no number"),
        (tensor("a", "FP64", [True]), "True is no number"),
        (tensor("a", "FP64", [[1, 2], [3]], [3]), "can't be read as FP64"),
        (tensor("a", "INT64", [1.5]), "1.5 is no whole number"),
        (tensor("a", "INT8", [200]), "200 is out of the range of int8"),
        (tensor("a", "UINT8", [-1]), "-1 is out of the range of uint8"),
        (tensor("a", "INT64", [2**70]), "is out of the range of int64"),
        (tensor("a", "BOOL", [1]), "other values than booleans"),
        (tensor("a", "BOOL", ["true", None]), "other values than booleans"),
        (tensor("a", "FP32", [1e39]), "out of the range of float32"),
        (tensor("a", "BYTES", [1]), "1 is no string"),
        (tensor("a", "FP64", [1], binary_data_size=8), "0 bytes are left of the body"),
        ({**tensor("a", "FP64", [1]), "parameters": []}, "must be an object"),
        (7, "an object with a name"),
    ],
)
def test_a_wrong_tensor_is_told_what_is_wrong(item: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        decoded(codec(), item)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "with inputs, a list of tensors"),
        (b'{"inputs": []}', "with inputs"),
        (b"[]", "with inputs"),
        (b"{", "not valid JSON"),
        (b'{"inputs": [' + b"[" * 5000, "JSON"),
        (json.dumps({"inputs": [tensor("a", "FP64", [1.0])] * 2}).encode(), "twice"),
        (json.dumps({"inputs": [tensor("a", "FP64", [1.0])], "outputs": [7]}).encode(), "outputs must be a list"),
        (json.dumps({"inputs": [tensor("z", "FP64", [1.0]), tensor("y", "FP64", [1.0, 2.0])]}).encode(), "differ in length: z has 1, y has 2"),
        (json.dumps({"inputs": [tensor("z", "FP64", [1.0, 2.0, 3.0], [1, 3])]}).encode(), "one of the shape [rows, 2]"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(body: bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        codec(COLUMNS).decode(body, str(Route("m", "1")))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("predictions", "outputs"),
    [
        (np.array([1.5, 2]), [("output-0", "FP64", [2], [1.5, 2.0])]),
        (np.array([[1, 2]], dtype=np.int32), [("low", "INT32", [1], [1]), ("high", "INT32", [1], [2])]),
        (np.array([True]), [("output-0", "BOOL", [1], [True])]),
        (pd.DataFrame({"p": [1.0], "q": ["ÿ"]}), [("p", "FP64", [1], [1.0]), ("q", "BYTES", [1], ["ÿ"])]),
        (pd.Series([1, 2], name="s"), [("output-0", "INT64", [2], [1, 2])]),
        ({"low": np.array([1.0]), "high": [2.0]}, [("low", "FP64", [1], [1.0]), ("high", "FP64", [1], [2.0])]),
        ([{"low": 1, "high": 2}], [("low", "INT64", [1], [1]), ("high", "INT64", [1], [2])]),
        ([{"low": 1}, {"high": 2}], [("output-0", "BYTES", [2], ['{"low": 1}', '{"high": 2}'])]),
        ([[1, 2], [3]], [("output-0", "BYTES", [2], ["[1, 2]", "[3]"])]),
        (["a", "b"], [("output-0", "BYTES", [2], ["a", "b"])]),
        ("a", [("output-0", "BYTES", [1], ["a"])]),
        (3.5, [("output-0", "FP64", [1], [3.5])]),
        (np.array(["2024-02-29"], dtype="datetime64[ns]"), [("output-0", "BYTES", [1], ["2024-02-29T00:00:00.000000000"])]),
        (pd.array([1, 2], dtype="Int32"), [("output-0", "INT32", [2], [1, 2])]),
        (pd.Series([2**53 + 1, None], dtype="Int64"), [("output-0", "INT64", [2], [2**53 + 1, None])]),
        (pd.DataFrame({"b": pd.array([False, None], dtype="boolean")}), [("b", "BOOL", [2], [False, None])]),
        (pd.DataFrame({"f": pd.array([1.5, None], dtype="Float64")}), [("f", "FP64", [2], [1.5, None])]),
        (pd.DataFrame({"s": pd.array(["a", None], dtype="string")}), [("s", "BYTES", [2], ["a", None])]),
        (pd.DataFrame({"s": ["a", None]}), [("s", "BYTES", [2], ["a", None])]),
        (
            pd.Series(["2024-02-29", None], dtype="datetime64[ns]"),
            [("output-0", "BYTES", [2], ["2024-02-29T00:00:00.000000000", None])],
        ),
        (pd.Series(pd.to_datetime(["2024-02-29", None]).tz_localize("UTC")), [("output-0", "BYTES", [2], ["2024-02-29T00:00:00+00:00", None])]),
        (pd.Series(pd.Categorical(["a", None])), [("output-0", "BYTES", [2], ["a", None])]),
        (pd.Series(pd.Categorical([1, 2])), [("output-0", "INT64", [2], [1, 2])]),
        ([1, None], [("output-0", "INT64", [2], [1, None])]),
        ([True, pd.NA], [("output-0", "BOOL", [2], [True, None])]),
        ([None, 1.5], [("output-0", "FP64", [2], [None, 1.5])]),
        (["a", None], [("output-0", "BYTES", [2], ["a", None])]),
        ([b"\xff", None], [("output-0", "BYTES", [2], ["/w==", None])]),
        ([{"low": 1, "high": None}], [("low", "INT64", [1], [1]), ("high", "BYTES", [1], [None])]),
        ([None], [("output-0", "BYTES", [1], [None])]),
    ],
)
def test_every_kind_of_prediction_becomes_tensors(predictions: Any, outputs: list[Any]) -> None:
    found = answered(codec(COLUMNS, OUTPUTS), predictions)["outputs"]
    assert [(each["name"], each["datatype"], each["shape"], each["data"]) for each in found] == outputs


def test_bytes_that_are_no_text_go_out_as_base64() -> None:
    (found,) = answered(codec(COLUMNS), [b"\xff"])["outputs"]
    assert (found["data"], found["parameters"]) == (["/w=="], {"content_type": "base64"})


def test_the_answer_names_its_request_and_gives_the_outputs_asked_for() -> None:
    answer = answered(codec(COLUMNS, OUTPUTS), {"low": [1.0], "high": [2.0]}, id="seven", outputs=[{"name": "high"}])
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("seven", "m", "1")
    assert [each["name"] for each in answer["outputs"]] == ["high"]
    with pytest.raises(InvalidInput, match="no output 'middle'; it has 'low', 'high'"):
        answered(codec(COLUMNS, OUTPUTS), {"low": [1.0], "high": [2.0]}, outputs=[{"name": "middle"}])


def test_what_is_no_tensor_at_all_is_an_encoding_error() -> None:
    with pytest.raises(EncodingError):
        answered(codec(COLUMNS), object())


def test_binary_tensors_go_in_and_out() -> None:
    text = len("ÿ".encode()).to_bytes(4, "little") + "ÿ".encode()
    numbers = np.array([1.5], dtype="<f8").tobytes()
    head = json.dumps(
        {
            "inputs": [
                {"name": "a", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}},
                {"name": "b", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(text)}},
            ],
            "outputs": [{"name": "p", "parameters": {"binary_data": True}}, {"name": "q"}],
        }
    ).encode()
    model = codec(COLUMNS)
    asked = model.decode(head + numbers + text, str(Route("m", "1", len(head))))
    assert asked.data.to_dict("list") == {"a": [1.5], "b": ["ÿ"]}
    encoded = model.encode({"p": ["é", "z"], "q": [2]}, asked)
    length = int.from_bytes(encoded[:4], "big")
    answer = json.loads(encoded[4 : 4 + length])
    assert answer["outputs"][0] == {"name": "p", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 11}}
    assert answer["outputs"][1]["data"] == [2]
    assert encoded[4 + length :] == b"\x02\0\0\0\xc3\xa9\x01\0\0\0z"


@pytest.mark.parametrize(
    ("size", "length", "raw", "said"),
    [
        (8, 10_000, b"x" * 8, "the body has"),
        (9, None, b"x" * 8, "8 bytes are left"),
        (7, None, b"x" * 7, "can't be read as FP64"),
        (8, None, b"x" * 9, "1 bytes after the last tensor"),
        (-1, None, b"x" * 8, "binary_data_size -1"),
    ],
)
def test_binary_data_of_a_wrong_length_is_refused(size: int, length: int | None, raw: bytes, said: str) -> None:
    head = json.dumps({"inputs": [{"name": "a", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": size}}]}).encode()
    with pytest.raises(InvalidInput) as raised:
        codec().decode(head + raw, str(Route("m", "1", len(head) if length is None else length)))
    assert said in str(raised.value)


def test_a_binary_string_that_ends_past_its_data_is_refused() -> None:
    raw = b"\xff\xff\xff\xff"
    head = json.dumps({"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 4}}]}).encode()
    with pytest.raises(InvalidInput, match="ends past the data"):
        codec().decode(head + raw, str(Route("m", "1", len(head))))
