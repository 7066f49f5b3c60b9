"""The Open Inference Protocol's first version: what KServe's servers take as rows; paths and KServe itself: tests/e2e/test_scoring_protocols.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.errors import InvalidInput
from deployer_scoring.model.mlmodel import MLModel, PythonFunction
from deployer_scoring.schema.datatypes import Array, DataType
from deployer_scoring.schema.signature import ColSpec, ModelSignature, Schema, TensorSpec
from deployer_scoring.wire.table import Table
from deployer_scoring.wire.v1_codec import FirstVersionCodec

NUMBERS = Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.long, "n")))
MIXED = Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.string, "s")))
OPTIONAL = Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.string, "s", required=False)))
ONE = Schema((ColSpec(DataType.double, "a"),))
UNNAMED = Schema((ColSpec(DataType.double), ColSpec(DataType.long)))
LISTS = Schema((ColSpec(Array(DataType.double), "v"),))


def codec(inputs: Optional[Schema], *, hinted: bool = False) -> FirstVersionCodec:
    signature = ModelSignature(inputs, None, None) if inputs else None
    return FirstVersionCodec(MLModel(Path(), PythonFunction("a"), {}, signature=signature, is_signature_from_type_hint=hinted))


def data(inputs: Optional[Schema], rows: Any, name: str = "instances") -> Any:
    found = codec(inputs).decode(json.dumps({name: rows}).encode(), "").data
    return found.frame() if isinstance(found, Table) else enforce(found, inputs)


@pytest.mark.parametrize("name", ["instances", "inputs"])
@pytest.mark.parametrize(
    ("inputs", "rows", "columns"),
    [
        (NUMBERS, [[1.5, 2], [3, 4]], {"a": [1.5, 3.0], "n": [2, 4]}),
        (NUMBERS, [{"n": 2, "a": 1.5}, {"a": 3, "n": 4}], {"a": [1.5, 3.0], "n": [2, 4]}),
        (NUMBERS, [{"a": [1.5, 3], "n": [2, 4]}, {"a": [5], "n": [6]}], {"a": [1.5, 3.0, 5.0], "n": [2, 4, 6]}),
        (NUMBERS, [[{"a": 1.5, "n": 2}, {"a": 3, "n": 4}]], {"a": [1.5, 3.0], "n": [2, 4]}),
        (MIXED, [[1, "x"], [2, "y"]], {"a": [1.0, 2.0], "s": ["x", "y"]}),
        (MIXED, [{"a": [1], "s": ["x"]}], {"a": [1.0], "s": ["x"]}),
        (OPTIONAL, [[1, None], [2, "y"]], {"a": [1.0, 2.0], "s": [None, "y"]}),
        (ONE, [1, 2.5], {"a": [1.0, 2.5]}),
        (ONE, [[1], [2.5]], {"a": [1.0, 2.5]}),
        (ONE, [], {"a": []}),
        (UNNAMED, [[1.5, 2]], {0: [1.5], 1: [2]}),
    ],
)
def test_rows_become_the_signatures_columns(name: str, inputs: Schema, rows: Any, columns: Any) -> None:
    frame = data(inputs, rows, name)
    assert frame.astype(object).where(frame.notna(), None).to_dict("list") == columns
    kinds = {DataType.double: "f", DataType.long: "i"}
    assert [kinds.get(each.type, frame.dtypes.iloc[at].kind) for at, each in enumerate(inputs.columns)] == [each.kind for each in frame.dtypes]


def test_a_column_of_lists_takes_its_values_as_they_are_or_in_a_row_of_one() -> None:
    for rows in ([[1, 2], [3.5]], [[[1, 2]], [[3.5]]], [{"v": [1, 2]}, {"v": [3.5]}]):
        assert [list(each) for each in data(LISTS, rows)["v"]] == [[1.0, 2.0], [3.5]]


def test_a_tensor_is_the_rows_as_one_array() -> None:
    found = data(Schema((TensorSpec(np.dtype("float32"), (-1, 2)),)), [[1, 2], [3, 4]])
    assert (found.dtype, found.tolist()) == (np.float32, [[1, 2], [3, 4]])


def test_without_a_signature_rows_are_an_array_texts_a_list_and_objects_a_frame() -> None:
    assert data(None, [[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert data(None, ["x", "y"]) == ["x", "y"]
    assert data(None, [{"a": 1}, {"a": 2}]).to_dict("list") == data(None, [{"a": [1, 2]}]).to_dict("list") == {"a": [1, 2]}


def test_a_model_with_type_hints_gets_the_list() -> None:
    assert codec(Schema((ColSpec(DataType.string),)), hinted=True).decode(b'{"instances": ["a"], "params": {"k": 1}}', "").data == ["a"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "an object with instances"),
        (b"{}", "an object with instances"),
        (b'{"instances": 1}', "an object with instances"),
        (b"{", "not valid JSON"),
        (b'{"instances": [[1]]}', "row 1 of instances must be a list of 2, a, n, or an object"),
        (b'{"instances": [[1, 2], 3]}', "row 2 of instances"),
        (b'{"instances": [{"a": 1, "n": 2}, 3]}', "all objects, or none"),
        (b'{"instances": [["x", 2]]}', "'x'"),
        (b'{"instances": [[1, 2.5]]}', "2.5"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(body: bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        enforce(codec(NUMBERS).decode(body, "").data, NUMBERS)
    assert said.replace("an object with", "a JSON object with") in str(raised.value)


def test_answers_are_strict_json() -> None:
    model = codec(None)
    asked = model.decode(b'{"instances": [[1]]}', "")
    answers: List[Any] = [np.array([1.5, np.nan]), np.array([[np.inf, 2]]), pd.DataFrame({"a": [1.0, np.nan], "s": ["NaN", "b"]}), ["Infinity"]]
    found = [json.loads(model.encode(each, asked), parse_constant=pytest.fail)["predictions"] for each in answers]
    assert found == [[1.5, None], [[None, 2.0]], [{"a": 1.0, "s": "NaN"}, {"a": None, "s": "b"}], ["Infinity"]]
