# ruff: noqa: UP007, UP045  the runtime's tests run on Python 3.9, too, where pydantic evaluates annotations
"""Type hints of predict: the schema that they make, and data held against them."""

from __future__ import annotations

import datetime as dt
from typing import Any, Optional, Union

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
    places: list[Place]
    extra: dict[str, float] = pydantic.Field(default_factory=dict)
    anything: Any = None


class Careless(pydantic.BaseModel):
    note: Optional[str]


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (list[int], "[long]"),
        (list[str], "[string]"),
        (list[bool], "[boolean]"),
        (list[float], "[double]"),
        (list[bytes], "[binary]"),
        (list[dt.datetime], "[datetime]"),
        (list[Any], "[any]"),
        (list[list[str]], "[Array(string)]"),
        (list[dict[str, int]], "[Map(string -> long)]"),
        (list[dict[str, list[float]]], "[Map(string -> Array(double))]"),
        (list[Union[int, str]], "[any]"),
        (
            list[Sensor],
            "[{anything: any, extra: Map(string -> double), name: string, places: Array({note: string (optional), x: long})}]",
        ),
    ],
)
def test_a_hint_makes_a_schema_of_one_column(hint: Any, schema: str) -> None:
    assert str(input_schema(hint)) == schema


def test_an_output_s_hint_need_not_be_a_list() -> None:
    assert str(output_schema(str)) == "[string]"
    assert str(output_schema(list[float])) == "[double]"


@pytest.mark.parametrize("hint", [list, list[list], list[dict], list[dict[int, str]], list[Optional[str]], list[Careless]])  # type: ignore[type-arg]
def test_a_hint_that_breaks_the_rules_is_invalid(hint: Any) -> None:
    with pytest.raises(InvalidHint):
        input_schema(hint)


@pytest.mark.parametrize("hint", [str, dict[str, int], list[object], list[np.ndarray], Optional[list[str]], list[dt.date]])  # type: ignore[type-arg]
def test_a_hint_without_a_column_type_is_unsupported(hint: Any) -> None:
    with pytest.raises(UnsupportedHint):
        input_schema(hint)


def test_frames_and_arrays_as_hints_say_nothing_of_columns() -> None:
    assert all(map(says_nothing_of_columns, (pd.DataFrame, pd.Series, np.ndarray)))
    assert not any(map(says_nothing_of_columns, (list[str], str, object)))


SENSOR = {"name": "s", "places": [{"x": 1}]}


@pytest.mark.parametrize(
    ("data", "hint", "held"),
    [
        ([1, 2], list[int], [1, 2]),
        ([True], list[int], [True]),
        ([{"a": [1.5]}], list[dict[str, list[float]]], [{"a": [1.5]}]),
        ([None, "a"], list[Optional[str]], [None, "a"]),
        ([1, "a"], list[Union[int, str]], [1, "a"]),
        ([object], list[Any], [object]),
        ([SENSOR], list[Sensor], [Sensor(**SENSOR)]),
        ([Sensor(**SENSOR)], list[Sensor], [Sensor(**SENSOR)]),
        (pd.DataFrame({"x": ["a", "b"]}), list[str], ["a", "b"]),
        (pd.DataFrame([SENSOR]), list[Sensor], [Sensor(**SENSOR)]),
        (pd.DataFrame({0: [SENSOR]}), list[Sensor], [Sensor(**SENSOR)]),
        (pd.DataFrame({"x": [np.array([1.0, np.nan])]}), list[list[Optional[float]]], [[1.0, None]]),
    ],
)
def test_data_that_fits_its_hint_passes(data: Any, hint: Any, held: Any) -> None:
    assert held_against(data, hint) == held


@pytest.mark.parametrize(
    ("data", "hint", "said"),
    [
        ("a", list[str], "a list was expected, not str"),
        (["a", 1], list[str], "at 1: str was expected, not int"),
        ([1] * 9, list[str], "at 4: str was expected, not int; and more"),
        ([[1, "a"]], list[list[int]], "at 0: at 1: int was expected, not str"),
        ([{1: 2}], list[dict[str, int]], "keys of a dictionary must be strings"),
        ([{"a": "b"}], list[dict[str, int]], "at 0: at 'a': int was expected"),
        ([{"name": "s", "places": [{"x": "1"}]}], list[Sensor], r"doesn't fit Sensor: places\.0\.x"),
        ([5], list[Sensor], "a dictionary with the fields of Sensor"),
        (["2026-01-02T00:00:00"], list[dt.datetime], "datetime was expected, not str"),
        (pd.DataFrame({"a": [1]}), dict[str, int], "a DataFrame fits only a hint that is a list"),
    ],
)
def test_data_that_does_not_fit_is_refused_with_its_place(data: Any, hint: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        held_against(data, hint)


def test_where_models_are_served_bytes_and_times_come_as_json_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
    assert held_against(["AP8="], list[bytes]) == [b"\x00\xff"]
    assert held_against(["2026-01-02T03:04:05"], list[dt.datetime]) == [dt.datetime(2026, 1, 2, 3, 4, 5)]  # noqa: DTZ001
    with pytest.raises(InvalidInput, match="'soon' is no ISO 8601 datetime"):
        held_against(["soon"], list[dt.datetime])


class Hinted(PythonModel):
    def predict(self, context: Any, model_input: list[int], params: Any = None) -> list[int]:
        return [sum(model_input), (params or {}).get("more", 0)]


def test_a_hinted_predict_holds_its_input_against_the_hint_however_it_is_called() -> None:
    model = Hinted()
    assert model.predict(None, [1, 2], params={"more": 5}) == model.predict(None, model_input=[1, 2], params={"more": 5}) == [3, 5]
    for call in (lambda: model.predict(None, ["a"]), lambda: model.predict(context=None, model_input=["a"])):
        with pytest.raises(InvalidInput):
            call()
    assert model.predict_type_hints.input == list[int]


def test_a_function_with_the_decorator_is_checked_once() -> None:
    @pyfunc
    def first(model_input: list[str]) -> str:
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
