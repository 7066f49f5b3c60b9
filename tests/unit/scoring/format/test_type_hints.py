"""Type hints of predict: the schema that they make, and data held against them."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from typing import Any, Dict, List, Literal, Optional, Set, Tuple, Union

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


class Colour(enum.Enum):
    red = "red"
    blue = "blue"


class Size(enum.IntEnum):
    small = 1


class Order(pydantic.BaseModel):
    """Of what JSON has no values for."""

    at: dt.datetime
    day: Optional[dt.date] = None
    until: Optional[dt.time] = None
    id: uuid.UUID = uuid.UUID(int=0)
    price: decimal.Decimal = decimal.Decimal(0)
    colour: Colour = Colour.red
    size: Size = Size.small
    kind: Literal["a", "b"] = "a"
    count: int = pydantic.Field(1, alias="howMany")
    either: Union[int, str] = 0
    pair: Tuple[int, str] = (0, "")
    numbers: Set[int] = set()
    raw: bytes = b""
    places: List[Place] = []
    by_name: Dict[str, Place] = {}
    after: Optional[dt.timedelta] = None


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
        (List[dt.date], "[string]"),
        (List[uuid.UUID], "[string]"),
        (List[decimal.Decimal], "[any]"),
        (List[Colour], "[string]"),
        (List[Size], "[long]"),
        (List[Literal["a", 1]], "[any]"),
        (List[Dict[str, dt.time]], "[Map(string -> string)]"),
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


@pytest.mark.parametrize("hint", [str, Dict[str, int], List[object], List[np.ndarray], Optional[List[str]], List[dt.timedelta]])  # type: ignore[type-arg]
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
        ("a", List[str], "^a list was expected, not a string"),
        (["a", 1], List[str], "^in row 2: a string was expected, not an integer$"),
        ([1] * 9, List[str], "in row 5: a string was expected, not an integer; and more"),
        ([[1, "a"]], List[List[int]], r"in row 1, \[1\]: an integer was expected, not a string"),
        ([{1: 2}], List[Dict[str, int]], "keys of an object must be strings"),
        ([{"a": "b"}], List[Dict[str, int]], "in row 1, a: an integer was expected"),
        ([{"name": "s", "places": [{"x": "1"}]}], List[Sensor], r"in row 1, places\[0\]\.x: Input should be a valid integer"),
        ([SENSOR, {}], List[Sensor], "^in row 2, name: Field required; in row 2, places: Field required$"),
        ([5], List[Sensor], "in row 1: an object was expected, not an integer"),
        (["2026-01-02T00:00:00"], List[dt.datetime], "a datetime was expected, not a string"),
        (["soon"], List[dt.date], "in row 1: 'soon' is no date"),
        (["x"], List[uuid.UUID], "in row 1: 'x' is no UUID"),
        (["x", [1]], List[decimal.Decimal], "in row 1: 'x' is no decimal number; in row 2: a decimal number was expected, not a list"),
        (["green"], List[Colour], "one of 'red', 'blue' was expected, not 'green'"),
        (["1", True], List[Literal["a", 1]], "row 1: one of 'a', 1 was expected, not '1'; in row 2: one of 'a', 1 was expected, not true"),
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
    for text in ("2026-01-02 03:04:05Z", "2026-01-02T04:04:05.0000001+01:00", "20260102T030405Z"):
        assert held_against([text], List[dt.datetime]) == [dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc)]
    assert held_against(["2026-01-02"], List[dt.datetime]) == [dt.datetime(2026, 1, 2)]  # noqa: DTZ001
    assert held_against([1, 2.5], List[float]) == [1.0, 2.5]
    assert repr(held_against([5.0, 3], List[int])) == "[5, 3]"
    for data, hint, said in (
        ("soon", dt.datetime, "'soon' is no ISO 8601 datetime"),
        ("2026-13-02", dt.datetime, "no ISO 8601 datetime"),
        ("???", bytes, "no base64"),
        (5.5, int, "an integer was expected, not a number"),
        (True, float, "a number was expected, not a boolean"),
        ("1", int, "an integer was expected, not a string"),
    ):
        with pytest.raises(InvalidInput, match=said):
            held_against([data], List[hint])  # type: ignore[valid-type]


def test_values_that_json_has_no_form_for_are_taken_as_text_and_as_they_are() -> None:
    identity, day, time = uuid.uuid4(), dt.date(2026, 1, 2), dt.time(3, 4)
    assert held_against([str(identity), identity], List[uuid.UUID]) == [identity, identity]
    assert held_against(["2026-01-02", day], List[dt.date]) == [day, day]
    assert held_against(["03:04", time], List[dt.time]) == [time, time]
    assert held_against(["1.10", 1.1, decimal.Decimal("1.1")], List[decimal.Decimal]) == [decimal.Decimal("1.1")] * 3
    assert held_against(["red", Colour.blue], List[Colour]) == [Colour.red, Colour.blue]
    assert held_against([1], List[Size]) == [Size.small]
    assert held_against(["a", 1], List[Literal["a", 1]]) == ["a", 1]
    assert held_against({"a": "03:04"}, Dict[str, dt.time]) == {"a": time}


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"at": "2026-01-02T03:04:05.5Z"}, "at", dt.datetime(2026, 1, 2, 3, 4, 5, 500_000, dt.timezone.utc)),
        ({"at": "2026-01-02"}, "at", dt.datetime(2026, 1, 2)),  # noqa: DTZ001
        ({"day": "2026-01-02"}, "day", dt.date(2026, 1, 2)),
        ({"until": "03:04:05"}, "until", dt.time(3, 4, 5)),
        ({"id": "6f1b2c9e-1f6e-4f0e-8d0c-2f3f5f6f7f8f"}, "id", uuid.UUID("6f1b2c9e-1f6e-4f0e-8d0c-2f3f5f6f7f8f")),
        ({"price": "1.10"}, "price", decimal.Decimal("1.10")),
        ({"price": 1.1}, "price", decimal.Decimal("1.1")),
        ({"colour": "blue"}, "colour", Colour.blue),
        ({"size": 1}, "size", Size.small),
        ({"kind": "b"}, "kind", "b"),
        ({"howMany": 3.0}, "count", 3),
        ({"either": "x"}, "either", "x"),
        ({"pair": [1, "x"]}, "pair", (1, "x")),
        ({"numbers": [1, 2]}, "numbers", {1, 2}),
        ({"raw": "AP8="}, "raw", b"\x00\xff"),
        ({"places": [{"x": 1}]}, "places", [Place(x=1)]),
        ({"by_name": {"a": {"x": 1.0}}}, "by_name", {"a": Place(x=1)}),
        ({"after": "PT5M"}, "after", dt.timedelta(minutes=5)),
        ({}, "colour", Colour.red),
    ],
)
def test_a_model_is_made_of_what_json_has_for_its_fields(given: Any, field: str, value: Any) -> None:
    data = {"at": "2026-01-02T03:04:05", **given}
    kept = repr(data)
    (held,) = held_against([data], List[Order])
    assert (type(held), getattr(held, field)) == (Order, value)
    assert repr(data) == kept
    assert held_against([held], List[Order]) == [held]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"at": 5}, "in row 2, at: Input should be a valid datetime"),
        ({"at": "soon"}, "in row 2, at: Input should be a valid datetime"),
        ({"id": "x"}, "in row 2, id: Input should be a valid UUID"),
        ({"price": "dear"}, "in row 2, price: Input should be a valid decimal"),
        ({"colour": "green"}, "in row 2, colour: Input should be 'red' or 'blue'"),
        ({"kind": "c"}, "in row 2, kind: Input should be 'a' or 'b'"),
        ({"howMany": "3"}, "in row 2, howMany: Input should be a valid integer"),
        ({"howMany": 3.5}, "in row 2, howMany: Input should be a valid integer"),
        ({"places": [{"x": 1}, {"x": "1"}]}, r"in row 2, places\[1\]\.x: Input should be a valid integer"),
        ({"by_name": {"a": 5}}, r"in row 2, by_name\.a: Input should be an object"),
        ({"raw": "?"}, "in row 2, raw: bytes come as base64"),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_its_row(given: Any, said: str) -> None:
    good = {"at": "2026-01-02T03:04:05"}
    with pytest.raises(InvalidInput, match=said) as refused:
        held_against([good, {**good, **given}], List[Order])
    assert refused.value.row == 1


def test_bytes_are_read_as_the_model_says_where_it_does() -> None:
    class Own(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(val_json_bytes="utf8")
        raw: bytes

    assert held_against([{"raw": "AP8="}], List[Own]) == [Own(raw=b"AP8=")]


def test_models_of_pydantic_1_are_read_too() -> None:
    from pydantic import v1

    class Old(v1.BaseModel):
        at: dt.datetime
        id: Optional[uuid.UUID] = None
        colour: Colour = Colour.red

    assert str(input_schema(List[Old])) == "[{at: datetime, colour: string, id: string (optional)}]"
    (held,) = held_against([{"at": "2026-01-02T03:04:05", "colour": "blue"}], List[Old])
    assert (type(held), held.at, held.colour) == (Old, dt.datetime(2026, 1, 2, 3, 4, 5), Colour.blue)  # noqa: DTZ001
    with pytest.raises(InvalidInput, match="in row 1, at: field required"):
        held_against([{}], List[Old])


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
