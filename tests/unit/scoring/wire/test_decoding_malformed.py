"""Bodies that are wrong, or made to hurt: always a sentence that says what is wrong, and never far more memory than the body's own size."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.enforcement.params import enforce_params
from deployer_scoring.errors import InvalidInput
from deployer_scoring.model.mlmodel import MLModel, PythonFunction
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
    TensorSpec,
)
from deployer_scoring.wire import jsonbytes
from deployer_scoring.wire.bounds import MOST_COLUMNS
from deployer_scoring.wire.decoding import Decoder
from deployer_scoring.wire.table import Table

JSON, CSV = "application/json", "text/csv"
SIZE = 200_000
SCHEMAS: dict[str, Schema | None] = {
    "columns": Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.string, "s", False))),
    "numbers": Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.long, "b"))),
    "one": Schema((ColSpec(DataType.double, "a"),)),
    "unnamed": Schema((ColSpec(DataType.double), ColSpec(DataType.long))),
    "tensor": Schema((TensorSpec("float64", (-1, 2)),)),
    "tensors": Schema((TensorSpec("float64", (-1, 2), "a"), TensorSpec("str", (-1,), "s"))),
    "nested": Schema((ColSpec(Array(DataType.double), "a"), ColSpec(Object((Property("x", DataType.long),)), "o"), ColSpec(Map(AnyType()), "m"))),
    "dates": Schema((ColSpec(DataType.datetime, "a"), ColSpec(DataType.binary, "s"))),
    "nothing": None,
}
PARAMS = ParamSchema(
    (ParamSpec("top", DataType.long, 1), ParamSpec("since", DataType.datetime, None), ParamSpec("many", DataType.double, [1.0], (-1,)))
)


def outcome(body: bytes, content_type: str, schema: Schema | None) -> Any:
    """What a scorer would do with the request, short of asking the model: the error, or what was decoded."""
    model = MLModel(Path(), PythonFunction("a"), {}, ModelSignature(schema, None, PARAMS))
    try:
        decoded = Decoder(model).decode(body, content_type)
        enforce_params(decoded.params, PARAMS)
        return decoded.data if isinstance(decoded.data, Table) else enforce(decoded.data, schema)
    except InvalidInput as error:
        return error


def numbered(template: str, size: int) -> str:
    return ",".join(template.replace("#", str(number)) for number in range(SIZE // size))


WIDE = ",".join(f'"{number}"' for number in range(20_000))
HURTING = {
    "brackets": ("[" * SIZE, JSON),
    "braces": ('{"a":' * (SIZE // 5), JSON),
    "brackets in params": ('{"inputs": {"a": [1]}, "params": {"top": ' + "[" * 900 + "]" * 900 + "}}", JSON),
    "brackets in UTF-16": (("[" * SIZE).encode("utf-16"), JSON),
    "one number": ("1" * SIZE, JSON),
    "one number in a column": ('{"inputs": {"a": [' + "1" * SIZE + "]}}", JSON),
    "one fraction in a column": ('{"inputs": {"a": [0.' + "1" * SIZE + "]}}", JSON),
    "one exponent in a column": ('{"inputs": {"a": [1e' + "1" * SIZE + "]}}", JSON),
    "long numbers": ('{"inputs": {"a": [' + ",".join(["9" * 4000] * (SIZE // 4000)) + "]}}", JSON),
    "empty lists": ('{"inputs": {"a": [' + "[]," * (SIZE // 3) + "[]]}}", JSON),
    "empty records": ('{"dataframe_records": [' + "{}," * (SIZE // 3) + "{}]}", JSON),
    "a new column in each record": ('{"dataframe_records": [' + numbered('{"k#":1}', 14) + "]}", JSON),
    "a new column in each row": ('{"inputs": [' + numbered('{"k#":1}', 14) + "]}", JSON),
    "a new column in each instance": ('{"instances": [' + numbered('{"k#":1}', 14) + "]}", JSON),
    "one wide row": ('{"dataframe_split": {"data": [' + "[]," * (SIZE // 6) + "[" + "0," * (SIZE // 4) + "0]]}}", JSON),
    "columns of different rows": ('{"dataframe_split": {"data": {' + numbered('"a#":{"k#":1}', 20) + "}}}", JSON),
    "rows of different columns": ('{"dataframe_split": {"data": [' + numbered('{"k#":1}', 14) + "]}}", JSON),
    "an index and columns for nothing": (f'{{"dataframe_split": {{"data": {{}}, "index": [{"1," * SIZE}1], "columns": [{WIDE}]}}}}', JSON),
    "an index and columns for one number": (f'{{"dataframe_split": {{"data": 0, "index": [{"1," * SIZE}1], "columns": [{WIDE}]}}}}', JSON),
    "columns for empty rows": (f'{{"dataframe_split": {{"data": [{"{}," * (SIZE // 3)}{{}}], "columns": [{WIDE}]}}}}', JSON),
    "columns without end": ('{"dataframe_split": {"columns": [' + '"x",' * (SIZE // 4) + '"a"], "data": []}}', JSON),
    "one long text among many": ('{"inputs": {"s": [' + '"",' * (SIZE // 3) + '"' + "x" * SIZE + '"]}}', JSON),
    "one long text among many rows": ('{"instances": [' + '{"s":""},' * (SIZE // 9) + '{"s":"' + "x" * SIZE + '"}]}', JSON),
    "one long text in lists": ('{"inputs": [' + '["",""],' * (SIZE // 8) + '["' + "x" * SIZE + '",""]]}', JSON),
    "csv of commas": ("," * SIZE, CSV),
    "csv of lines": ("a\n" + "\n" * SIZE, CSV),
    "csv of spaces and lines": ("a\n" + " \n" * SIZE, CSV),
    "csv of carriage returns": ("a\r" * SIZE, CSV),
    "csv of an open quote": ('a\n"' + "x" * SIZE, CSV),
    "csv of digits": ("a\n" + "1" * SIZE, CSV),
    "csv of NULs": (b"\0" * SIZE, CSV),
    "csv with a wide header": (WIDE + "\n" + "1\n" * SIZE, CSV),
    "csv with a wide first row": ("a\n  \n" + "1," * 20_000 + "1\n" + "1\n" * SIZE, CSV),
    "csv with quotes in the middle": ('a\n1"' + ",1" * 20_000 + '"\n' + "1\n" * SIZE, CSV),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("schema", ["columns", "nothing", "unnamed", "tensors"])
@pytest.mark.parametrize("what", HURTING)
def test_a_body_made_to_hurt_costs_no_more_memory_than_any_of_its_size(what: str, schema: str) -> None:
    body, content_type = HURTING[what]
    body = body.encode() if isinstance(body, str) else body
    tracemalloc.start()
    try:
        found = outcome(body, content_type, SCHEMAS[schema])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20 + 100 * len(body), found
    assert len(str(found)) < 2100 or not isinstance(found, InvalidInput)


@pytest.mark.parametrize("content_type", [JSON, CSV])
def test_more_columns_than_any_model_has_are_refused_by_their_number(content_type: str) -> None:
    names = [f"c{number}" for number in range(MOST_COLUMNS + 1)]
    body = json.dumps({"dataframe_split": {"columns": names, "data": []}}) if content_type == JSON else ",".join(names) + "\n"
    found = outcome(body.encode(), content_type, SCHEMAS["one"])
    assert isinstance(found, InvalidInput)
    assert f"{MOST_COLUMNS} are not taken" in str(found)


def test_wide_data_that_fills_its_cells_is_taken() -> None:
    names = ["a", *(f"c{number}" for number in range(20_000))]
    quoted = "a\n" + '"' + "1," * 40_000 + '"\n' + "1\n" * 100
    assert outcome(json.dumps({"dataframe_split": {"columns": names, "data": [[1.5] * len(names)]}}).encode(), JSON, SCHEMAS["one"]).rows == 1
    assert len(outcome(",".join(names).encode() + b"\n" + b"0.25," * 20_000 + b"1\n", CSV, SCHEMAS["one"]).frame()) == 1
    assert len(outcome(quoted.encode(), CSV, Schema((ColSpec(DataType.string, "a"),)))) == 101


def test_text_that_numpy_has_no_room_for_is_given_all_the_same() -> None:
    texts = ["", "a\0", "x" * 70_000, *[""] * 2000]
    for body in ({"inputs": {"s": texts}}, {"instances": [{"s": text} for text in texts]}):
        found = outcome(json.dumps(body).encode(), JSON, Schema((ColSpec(DataType.string, "s"),)))
        assert found["s"].tolist() == texts


@pytest.mark.parametrize("with_orjson", [True, False])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_body_cut_off_anywhere_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch, schema: str, with_orjson: bool) -> None:
    if not with_orjson:
        monkeypatch.setattr(jsonbytes, "orjson", None)
    whole = json.dumps(
        {"dataframe_split": {"columns": ["a", "s"], "data": [[1.5, "ÿ"], [2, None]]}, "params": {"top": 3}}, ensure_ascii=False
    ).encode()
    for length in range(len(whole)):
        found = outcome(whole[:length], JSON, SCHEMAS[schema])
        assert isinstance(found, InvalidInput)
        assert "JSON" in str(found) or "UTF-8" in str(found)


ATOMS = st.sampled_from(
    [
        *(
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            '"',
            "\\",
            "0",
            "-",
            "1e999",
            "NaN",
            "-Infinity",
            "null",
            "true",
            '"a"',
            '"s"',
            "1.5",
            "\n",
            "\r",
            "\x00",
            "ÿ",
        ),
        *(
            '"inputs"',
            '"instances"',
            '"dataframe_split"',
            '"dataframe_records"',
            '"columns"',
            '"data"',
            '"index"',
            '"params"',
            '"messages"',
            "\ufeff",
        ),
        *("[[1, 2]]", '{"a": [1]}', '{"a": 1, "s": "x"}', "123456789012345678901234567890", '"\\ud800"', '"2026-01-02"', '"AAH/"'),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["2026-01-02", "AAH/", 10**30, 2**63]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "s", "o", "m", "x", "columns", "data", "index"]), inner, max_size=3)
    ),
    max_leaves=10,
)
BODIES = st.one_of(
    st.lists(ATOMS, max_size=12).map("".join).map(str.encode),
    st.binary(max_size=30),
    st.tuples(st.sampled_from(["inputs", "instances", "dataframe_split", "dataframe_records", "columns", "messages"]), VALUES, VALUES).map(
        lambda parts: json.dumps({parts[0]: parts[1], "params": parts[2]}).encode()
    ),
    st.tuples(VALUES, VALUES, VALUES).map(
        lambda parts: json.dumps({"dataframe_split": {"columns": parts[0], "data": parts[1], "index": parts[2]}}).encode()
    ),
)
TYPES = st.sampled_from([JSON, JSON, JSON, CSV, "application/json; format=pandas-split", "application/json; format=pandas-records"])


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(BODIES, TYPES | st.text(max_size=10), st.sampled_from(list(SCHEMAS)))
def test_whatever_is_sent_is_decoded_or_refused_with_a_sentence(body: bytes, content_type: str, schema: str) -> None:
    found = outcome(body, content_type, SCHEMAS[schema])  # any other exception than InvalidInput fails here
    if isinstance(found, InvalidInput):
        assert found.status in {400, 415}
        assert str(found)
