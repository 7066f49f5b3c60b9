"""Type hints of predict: the schema that they make, and data held against them."""

from __future__ import annotations

import datetime as dt
from typing import Any, Dict, List, Optional, Union

import numpy as np
import pandas as pd
import pydantic
import pytest

from deployer_scoring.errors import InvalidInput
from deployer_scoring.python_model import FunctionPythonModel, PythonModel, pyfunc, takes_context
from deployer_scoring.schema.hinted import held_against
from deployer_scoring.schema.hints import InvalidHint, UnsupportedHint, input_schema, output_schema, says_nothing_of_columns


@pytest.fixture(autouse=True)
def not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a user's machine: loading a model to serve it sets this for the whole process."""
    monkeypatch.delenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", raising=False)


class Place(pydantic.BaseModel):
    x: int
    note: Optional[str] = None


class Sensor(pydantic.BaseModel):
    name: str
    places: List[Place]
    extra: Dict[str, float] = pydantic.Field(default_factory=dict)
    anything: Any = None


class Careless(pydantic.BaseModel):
    note: Optional[str]


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (List[int], "[long]"),
        (List[str], "[string]"),
        (List[bool], "[boolean]"),
        (List[float], "[double]"),
        (List[bytes], "[binary]"),
        (List[dt.datetime], "[datetime]"),
        (List[Any], "[any]"),
        (List[List[str]], "[Array(string)]"),
        (List[Dict[str, int]], "[Map(string -> long)]"),
        (List[Dict[str, List[float]]], "[Map(string -> Array(double))]"),
        (List[Union[int, str]], "[any]"),
        (
            List[Sensor],
            "[{anything: any, extra: Map(string -> double), name: string, places: Array({note: string (optional), x: long})}]",
        ),
    ],
)
def test_a_hint_makes_a_schema_of_one_column(hint: Any, schema: str) -> None:
    assert str(input_schema(hint)) == schema


def test_an_output_s_hint_need_not_be_a_list() -> None:
    assert str(output_schema(str)) == "[string]"
    assert str(output_schema(List[float])) == "[double]"


@pytest.mark.parametrize("hint", [list, List[list], List[dict], List[Dict[int, str]], List[Optional[str]], List[Careless]])  # type: ignore[type-arg]
def test_a_hint_that_breaks_the_rules_is_invalid(hint: Any) -> None:
    with pytest.raises(InvalidHint):
        input_schema(hint)


@pytest.mark.parametrize("hint", [str, Dict[str, int], List[object], List[np.ndarray], Optional[List[str]], List[dt.date]])  # type: ignore[type-arg]
def test_a_hint_without_a_column_type_is_unsupported(hint: Any) -> None:
    with pytest.raises(UnsupportedHint):
        input_schema(hint)


def test_frames_and_arrays_as_hints_say_nothing_of_columns() -> None:
    assert all(map(says_nothing_of_columns, (pd.DataFrame, pd.Series, np.ndarray)))
    assert not any(map(says_nothing_of_columns, (List[str], str, object)))


SENSOR = {"name": "s", "places": [{"x": 1}]}


@pytest.mark.parametrize(
    ("data", "hint", "held"),
    [
        ([1, 2], List[int], [1, 2]),
        ([True], List[int], [True]),
        ([{"a": [1.5]}], List[Dict[str, List[float]]], [{"a": [1.5]}]),
        ([None, "a"], List[Optional[str]], [None, "a"]),
        ([1, "a"], List[Union[int, str]], [1, "a"]),
        ([object], List[Any], [object]),
        ([SENSOR], List[Sensor], [Sensor(**SENSOR)]),
        ([Sensor(**SENSOR)], List[Sensor], [Sensor(**SENSOR)]),
        (pd.DataFrame({"x": ["a", "b"]}), List[str], ["a", "b"]),
        (pd.DataFrame([SENSOR]), List[Sensor], [Sensor(**SENSOR)]),
        (pd.DataFrame({0: [SENSOR]}), List[Sensor], [Sensor(**SENSOR)]),
        (pd.DataFrame({"x": [np.array([1.0, np.nan])]}), List[List[Optional[float]]], [[1.0, None]]),
    ],
)
def test_data_that_fits_its_hint_passes(data: Any, hint: Any, held: Any) -> None:
    assert held_against(data, hint) == held


@pytest.mark.parametrize(
    ("data", "hint", "said"),
    [
        ("a", List[str], "a list was expected, not str"),
        (["a", 1], List[str], "at 1: str was expected, not int"),
        ([1] * 9, List[str], "at 4: str was expected, not int; and more"),
        ([[1, "a"]], List[List[int]], "at 0: at 1: int was expected, not str"),
        ([{1: 2}], List[Dict[str, int]], "keys of a dictionary must be strings"),
        ([{"a": "b"}], List[Dict[str, int]], "at 0: at 'a': int was expected"),
        ([{"name": "s", "places": [{"x": "1"}]}], List[Sensor], r"doesn't fit Sensor: places\.0\.x"),
        ([5], List[Sensor], "a dictionary with the fields of Sensor"),
        (["2026-01-02T00:00:00"], List[dt.datetime], "datetime was expected, not str"),
        (pd.DataFrame({"a": [1]}), Dict[str, int], "a DataFrame fits only a hint that is a list"),
    ],
)
def test_data_that_does_not_fit_is_refused_with_its_place(data: Any, hint: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        held_against(data, hint)


def test_where_models_are_served_bytes_and_times_come_as_json_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
    assert held_against(["AP8="], List[bytes]) == [b"\x00\xff"]
    assert held_against(["2026-01-02T03:04:05"], List[dt.datetime]) == [dt.datetime(2026, 1, 2, 3, 4, 5)]  # noqa: DTZ001
    with pytest.raises(InvalidInput, match="'soon' is no ISO 8601 datetime"):
        held_against(["soon"], List[dt.datetime])


class Hinted(PythonModel):
    def predict(self, context: Any, model_input: List[int], params: Any = None) -> List[int]:
        return [sum(model_input), (params or {}).get("more", 0)]


def test_a_hinted_predict_holds_its_input_against_the_hint_however_it_is_called() -> None:
    model = Hinted()
    assert model.predict(None, [1, 2], params={"more": 5}) == model.predict(None, model_input=[1, 2], params={"more": 5}) == [3, 5]
    for call in (lambda: model.predict(None, ["a"]), lambda: model.predict(context=None, model_input=["a"])):
        with pytest.raises(InvalidInput):
            call()
    assert model.predict_type_hints.input == List[int]


def test_a_function_with_the_decorator_is_checked_once() -> None:
    @pyfunc
    def first(model_input: List[str]) -> str:
        return model_input[0]

    assert pyfunc(first) is first
    assert first(["a"]) == "a"
    with pytest.raises(InvalidInput):
        first([1])  # type: ignore[list-item]
    assert FunctionPythonModel(first).predict_type_hints.output is str


def test_a_hint_that_is_not_supported_is_told_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Loose(PythonModel):
        def predict(self, model_input: str) -> str:  # type: ignore[override]
            return model_input

    assert Loose().predict(5) == 5  # type: ignore[arg-type,comparison-overlap]
    assert "data is not held against the type hint of" in caplog.text


def test_whether_predict_takes_a_context() -> None:
    assert takes_context({"self": 0, "context": 0, "model_input": 0})
    assert takes_context({"ctx": 0, "data": 0, "params": 0})
    assert not takes_context({"self": 0, "model_input": 0, "params": 0})
