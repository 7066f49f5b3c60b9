"""Requests made of a model's own example or signature."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployer.artifacts import input_example


def written(directory: Path, signature: str = "", info: str = "", **documents: Any) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "MLmodel").write_text(f"flavors:\n  python_function:\n    loader_module: a\n{signature}{info}")
    for name, document in documents.items():
        (directory / f"{name}.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return directory


def inputs(*specs: dict[str, Any]) -> str:
    return f"signature:\n  inputs: '{json.dumps(specs)}'\n"


def body(directory: Path) -> Any:
    example = input_example(directory)
    assert example is not None
    assert example.content_type == "application/json"
    return json.loads(example.body)


def test_the_request_that_mlflow_saved_is_taken_with_a_few_rows(tmp_path: Path) -> None:
    saved = {"dataframe_split": {"columns": ["x"], "data": [[n] for n in range(10)]}, "params": {"top": 3}}
    found = body(written(tmp_path / "m", serving_input_example=saved))
    assert found == {"dataframe_split": {"columns": ["x"], "data": [[0], [1], [2]]}, "params": {"top": 3}}


def test_a_missing_value_is_null_as_json_has_it(tmp_path: Path) -> None:
    text = '{"dataframe_split": {"columns": ["x"], "data": [[NaN]]}}'
    assert body(written(tmp_path / "m", serving_input_example=text))["dataframe_split"]["data"] == [[None]]


@pytest.mark.parametrize(
    ("info", "example", "request_body"),
    [
        (
            "{artifact_path: e.json, type: dataframe, pandas_orient: split}",
            {"columns": ["x"], "data": [[1]]},
            {"dataframe_split": {"columns": ["x"], "data": [[1]]}},
        ),
        ("{artifact_path: e.json, type: dataframe, pandas_orient: records}", [{"x": 1}], {"dataframe_records": [{"x": 1}]}),
        ("{artifact_path: e.json, type: ndarray, format: tf-serving}", {"inputs": [[1, 2]]}, {"inputs": [[1, 2]]}),
        ("{artifact_path: e.json, type: json_object}", {"question": "why"}, {"inputs": {"question": "why"}}),
    ],
)
def test_older_examples_are_put_in_the_form_of_a_request(tmp_path: Path, info: str, example: Any, request_body: Any) -> None:
    assert body(written(tmp_path / "m", info=f"saved_input_example_info: {info}\n", e=example)) == request_body


ODD = [None, 5, "abc", [], {}, {"a": 1}, [1], [[1]], [None], True]


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "inputs", "instances"])
def test_a_saved_request_of_any_shape_is_taken_as_it_is_but_for_rows(tmp_path: Path, form: str) -> None:
    split = [{"columns": one, "data": other, "index": other, "more": one} for one in ODD for other in ODD]
    for value in [*ODD, *split]:
        saved = {form: value, "params": value}
        assert body(written(tmp_path / "m", serving_input_example=saved)) == saved
        for info in ("dataframe, pandas_orient: split", "dataframe, pandas_orient: records", "ndarray", "[a]"):
            where = f"saved_input_example_info: {{artifact_path: e.json, type: {info}, serving_input_path: none.json}}\n"
            input_example(written(tmp_path / "n", info=where, e=value))


def test_a_sparse_example_has_no_json_form_so_the_signature_is_used(tmp_path: Path) -> None:
    info = "saved_input_example_info: {artifact_path: e.json, type: sparse_matrix_csr}\n"
    model = written(tmp_path / "m", inputs({"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}), info, e={"data": []})
    assert body(model) == {"inputs": [[1.5, 1.5]]}


def test_a_request_is_made_up_of_named_columns_of_every_type(tmp_path: Path) -> None:
    scalars = ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"]
    nested: dict[str, Any] = {"type": "object", "properties": {"k": {"type": "long"}}, "name": "object"}
    columns: list[dict[str, Any]] = [{"type": each, "name": each} for each in scalars]
    columns += [{"type": "array", "items": {"type": "string"}, "name": "array"}, nested, {"type": "map", "values": {"type": "long"}, "name": "map"}]
    model = written(tmp_path / "m", inputs(*columns))
    found = body(model)["dataframe_split"]
    assert found["columns"] == [*scalars, "array", "object", "map"]
    assert found["data"] == [[True, 1, 1, 1.5, 1.5, "text", "AAEC", "2026-01-31T12:00:00", ["text"], {"k": 1}, {"key": 1}]]
    example = input_example(model)
    assert example is not None
    assert not example.saved


def test_named_tensors_and_unnamed_columns_have_their_own_form(tmp_path: Path) -> None:
    tensor = {"type": "tensor", "name": "image", "tensor-spec": {"dtype": "uint8", "shape": [-1, 2, 2]}}
    assert body(written(tmp_path / "t", inputs(tensor))) == {"inputs": {"image": [[[1, 1], [1, 1]]]}}
    assert body(written(tmp_path / "c", inputs({"type": "double"}, {"type": "string"}))) == {"inputs": [[1.5, "text"]]}


def test_a_model_that_says_nothing_has_no_example(tmp_path: Path) -> None:
    assert input_example(written(tmp_path / "m")) is None
