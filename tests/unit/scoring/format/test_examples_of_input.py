"""Input examples: saved, read back, and as a request."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.errors import MLModelError, SchemaError
from deployer_scoring.format.examples import convert_input_example_to_serving_input, example_of, read_example, read_example_params, read_serving_input
from deployer_scoring.format.inference import infer_schema
from deployer_scoring.schema.signature import Schema

FRAME = pd.DataFrame({"a": [1, 2], "b": [1.5, None], "c": ["x", None], "d": np.array(["2026-01-02", "2026-01-03"], dtype="datetime64[ns]")})


def read_back(given: Any, directory: Path, schema: Schema | None) -> Any:
    example = example_of(given)
    example.save(directory)
    assert read_serving_input(directory, example.info) == example.request
    return read_example(directory, example.info, schema)


@pytest.mark.filterwarnings("ignore:the schema has integer columns")
def test_a_frame_comes_back_with_its_types_and_gaps(tmp_path: Path) -> None:
    back = read_back(FRAME, tmp_path, infer_schema(FRAME))
    pd.testing.assert_frame_equal(back, FRAME, check_dtype=True)
    assert json.loads((tmp_path / "input_example.json").read_text())["data"][1] == [2, None, None, "2026-01-03T00:00:00"]


def test_a_frame_without_names_and_a_series_are_frames(tmp_path: Path) -> None:
    assert read_back(pd.DataFrame([[1, 2]]), tmp_path, None).equals(pd.DataFrame([[1, 2]]))
    assert example_of(pd.DataFrame([[1, 2]])).info["pandas_orient"] == "values"
    assert read_back(pd.Series([1.0], name="x"), tmp_path, None).equals(pd.DataFrame({"x": [1.0]}))


@pytest.mark.filterwarnings("ignore:the schema has integer columns")
@pytest.mark.parametrize(
    "given", [np.array([[1.0, np.nan]]), np.array(["a"]), {"a": np.array([[1, 2]]), "b": np.array([1.5])}, np.zeros((1, 2, 2), dtype="uint8")]
)
def test_arrays_come_back_as_arrays(tmp_path: Path, given: Any) -> None:
    back = read_back(given, tmp_path, infer_schema(given))
    np.testing.assert_equal(back, given)


@pytest.mark.parametrize("given", [5, "text", [1, 2], ["a", None], {"a": 1, "b": [1.5]}, [{"a": 1}, {"b": "x"}], {"messages": [{"role": "user"}]}])
def test_json_values_come_back_as_they_were(tmp_path: Path, given: Any) -> None:
    assert read_back(given, tmp_path, None) == given


def test_bytes_are_kept_as_base64_and_times_as_iso() -> None:
    example = example_of({"blob": b"\x00\xff", "at": dt.datetime(2026, 1, 2), "one": np.int64(1), "day": np.datetime64("2026-01-02")})  # noqa: DTZ001
    assert json.loads(example.text) == {"blob": "AP8=\n", "at": "2026-01-02T00:00:00", "one": 1, "day": "2026-01-02"}


def test_params_stand_beside_the_data(tmp_path: Path) -> None:
    example = example_of((["a"], {"times": 2}))
    example.save(tmp_path)
    assert json.loads(example.request) == {"inputs": ["a"], "params": {"times": 2}}
    assert (read_example(tmp_path, example.info, None), read_example_params(tmp_path, example.info)) == (["a"], {"times": 2})
    assert json.loads(example_of(({"messages": []}, {"top": 1})).request) == {"messages": [], "top": 1}


@pytest.mark.parametrize(
    ("given", "request_body"),
    [
        (pd.DataFrame({"a": [1]}), {"dataframe_split": {"columns": ["a"], "data": [[1]]}}),
        (np.array([[1, 2]]), {"inputs": [[1, 2]]}),
        ([1, 2], {"inputs": [1, 2]}),
        ({"prompt": "x"}, {"prompt": "x"}),
    ],
)
def test_the_request_is_what_a_server_takes(given: Any, request_body: Any) -> None:
    assert json.loads(convert_input_example_to_serving_input(given) or "") == request_body


def test_no_example_is_none_everywhere(tmp_path: Path) -> None:
    assert convert_input_example_to_serving_input(None) is None
    assert (read_example(tmp_path, None, None), read_example_params(tmp_path, None), read_serving_input(tmp_path, None)) == (None, None, None)


@pytest.mark.parametrize("given", [object(), [np.array([1])], {"a": np.array([1]), "b": [1]}, ("a", {"b": None})])
def test_what_is_no_example_is_refused(given: Any) -> None:
    with pytest.raises(SchemaError):
        example_of(given)


def test_an_example_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "input_example.json").write_text("1")
    with pytest.raises(MLModelError, match="is not a kind of example: 'video'"):
        read_example(tmp_path, {"artifact_path": "input_example.json", "type": "video"}, None)
