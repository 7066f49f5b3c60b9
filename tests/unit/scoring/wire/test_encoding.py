"""Predictions to JSON."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import uuid
from typing import Any, Optional, Set

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import v1

from deployer_scoring.errors import EncodingError
from deployer_scoring.wire import encoding
from deployer_scoring.wire.encoding import encode


@pytest.mark.parametrize("with_orjson", [True, False])
@pytest.mark.parametrize(
    ("predictions", "text"),
    [
        (np.array([0.1, 1e300]), "[0.1, 1e300]"),
        (np.array([1.0, np.nan, np.inf]), "[1.0, NaN, Infinity]"),
        (np.array([0.1], dtype="float32"), "[0.10000000149011612]"),
        (np.array([1, 2**62]), f"[1, {2**62}]"),
        (np.array([True]), "[true]"),
        (np.arange(4.0).reshape(2, 2).T, "[[0.0, 2.0], [1.0, 3.0]]"),
        (np.array(1.5), "1.5"),
        (np.array(["ÿ"]), '["ÿ"]'),
        (np.array([b"ab"]), '["YWI=\\n"]'),
        (np.array(["2026-01-02"], dtype="datetime64[ns]"), "[1767312000000000000]"),
        (np.array(["2026-01-02"], dtype="datetime64[D]"), '["2026-01-02"]'),
        (pd.DataFrame({"a": [1.5, np.nan], "b": ["x", "y"]}), '[{"a": 1.5, "b": "x"}, {"a": NaN, "b": "y"}]'),
        (pd.DataFrame({0: [1]}), '[{"0": 1}]'),
        (pd.DataFrame({"t": pd.to_datetime(["2026-01-02"])}), '[{"t": "2026-01-02T00:00:00"}]'),
        (pd.DataFrame({"i": pd.array([2**53 + 1, None], dtype="Int64")}), '[{"i": 9007199254740993}, {"i": null}]'),
        (pd.DataFrame({"b": pd.array([True, None], dtype="boolean")}), '[{"b": true}, {"b": null}]'),
        (pd.DataFrame({"f": pd.array([1.5, None], dtype="Float64")}), '[{"f": 1.5}, {"f": null}]'),
        (pd.DataFrame({"s": pd.array(["a", None], dtype="string")}), '[{"s": "a"}, {"s": null}]'),
        (pd.DataFrame({"c": pd.Categorical(["a", "b"]), "n": pd.Categorical([1, 2])}), '[{"c": "a", "n": 1}, {"c": "b", "n": 2}]'),
        (pd.Series([1, None], dtype="Int64", name="s"), '[{"s": 1}, {"s": null}]'),
        (pd.array([1, None], dtype="Int64"), "[1, null]"),
        (pd.array(["a", None], dtype="string"), '["a", null]'),
        (pd.Index([1, 2]), "[1, 2]"),
        ([pd.NA, 1], "[null, 1]"),
        ({"a": pd.NA, "b": [True, pd.NA]}, '{"a": null, "b": [true, null]}'),
        (np.array([1, pd.NA], dtype=object), "[1, null]"),
        (pd.Series([1.5], name="s"), '[{"s": 1.5}]'),
        (pd.Series([1.5]), '[{"0": 1.5}]'),
        ([np.float32(0.1), np.int64(1), None, "x"], '[0.10000000149011612, 1, null, "x"]'),
        ({"a": np.array([1.5]), "b": b"ab"}, '{"a": [1.5], "b": "YWI=\\n"}'),
        (datetime.date(2026, 1, 2), '"2026-01-02"'),
        (pd.Timestamp("2026-01-02T03:04:05"), '"2026-01-02T03:04:05"'),
        ([pd.NaT], '["NaT"]'),
        ((1, 2), "[1, 2]"),
        (None, "null"),
        ("text", '"text"'),
    ],
)
def test_predictions_are_written_with_the_values_of_mlflow(monkeypatch: pytest.MonkeyPatch, predictions: Any, text: str, with_orjson: bool) -> None:
    if not with_orjson:
        monkeypatch.setattr(encoding, "orjson", None)
    expected = repr(json.loads(text))
    assert repr(json.loads(encode(predictions, wrapped=False))) == expected
    assert repr(json.loads(encode(predictions, wrapped=True))["predictions"]) == expected


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "object is not a type of JSON"),
        (1 + 2j, "complex numbers are not a type of JSON"),
        (np.array([1 + 2j]), "complex numbers are not a type of JSON"),
        ([np.clongdouble(1)], "complex numbers are not a type of JSON"),
        (pd.DataFrame({"a": [1j]}), "complex numbers are not a type of JSON"),
        ({(1, 2): 3}, "a key of an object is a tuple; keys are strings"),
        ([pd.Series([1])], "Series is not a type of JSON"),
    ],
)
def test_what_has_no_json_form_is_refused(value: Any, said: str) -> None:
    with pytest.raises(EncodingError, match=f"can't be written as JSON: {said}$"):
        encode(value, wrapped=True)


def test_a_list_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(EncodingError, match="nested too deeply, or holds itself"):
        encode(value, wrapped=True)


class Colour(enum.Enum):
    red = "red"


class Item(pydantic.BaseModel):
    id: uuid.UUID = uuid.UUID(int=1)
    at: datetime.datetime = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    price: decimal.Decimal = decimal.Decimal("1.10")
    colour: Colour = Colour.red
    tags: Set[str] = {"a"}
    after: Optional[datetime.timedelta] = None


class OldItem(v1.BaseModel):
    at: datetime.date = datetime.date(2026, 1, 2)


ITEM = {"id": str(uuid.UUID(int=1)), "at": "2026-01-02T00:00:00+00:00", "price": "1.10", "colour": "red", "tags": ["a"], "after": None}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ([Item()], [ITEM]),
        ({"items": [Item()]}, {"items": [ITEM]}),
        (pd.DataFrame({"item": [Item()], "n": [1]}), [{"item": ITEM, "n": 1}]),
        ([OldItem()], [{"at": "2026-01-02"}]),
        ([uuid.UUID(int=1), decimal.Decimal("0.1"), Colour.red], [ITEM["id"], "0.1", "red"]),
        (pd.Series([decimal.Decimal("0.1")], name="s"), [{"s": "0.1"}]),
        (np.array([uuid.UUID(int=1)], object), [ITEM["id"]]),
        ([datetime.timedelta(minutes=5)], ["P0DT0H5M0S"]),
        ([datetime.time(3, 4)], ["03:04:00"]),
        ([np.longdouble("0.1")], [0.1]),
        (np.array([0.1], np.longdouble), [0.1]),
        (np.longdouble(2), 2.0),
        ({"a": np.longdouble(2)}, {"a": 2.0}),
        (pd.DataFrame({"a": np.array([0.5], np.longdouble)}), [{"a": 0.5}]),
        ([[np.longdouble(2)]], [[2.0]]),
    ],
)
def test_what_type_hints_may_name_is_written_in_the_form_in_which_it_is_taken(value: Any, written: Any) -> None:
    assert json.loads(encode(value, wrapped=False)) == written


def test_a_pydantic_model_is_written_as_its_dump() -> None:
    class Looks:
        """As pydantic's models look, which the runtime must not import."""

        model_fields: dict[str, Any] = {}  # noqa: RUF012  pydantic's is one too

        def model_dump(self) -> dict[str, Any]:
            return {"a": np.float64(1.5)}

    assert encode([Looks()], wrapped=False) == b'[{"a": 1.5}]'


FLOATS = st.floats() | st.sampled_from([-0.0, 5e-324, 1e300, 1e16, 123456789.123456789])
SCALARS = st.none() | st.booleans() | st.integers() | st.integers(0, 9) | FLOATS | st.text() | st.sampled_from(["null", "\ud800", "ÿ", "NaN"])
# What fits nanoseconds: frames of old pandas hold no other times.
TIMES = st.datetimes(datetime.datetime(1678, 1, 1), datetime.datetime(2262, 1, 1))  # noqa: DTZ001
NUMPY = st.sampled_from(["f8", "f4", "f2", ">f8", "i8", "u8", "i4", "u1", "?", "U3", "O", "M8[ns]", "M8[D]", "S2"])


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    dtype, shape = np.dtype(draw(NUMPY)), draw(st.sampled_from([(), (0,), (1,), (3,), (40,), (2, 3), (2, 1, 2)]))
    number = int(np.prod(shape))
    if dtype.kind == "O":
        values = np.empty(number, object)
        values[:] = draw(st.lists(SCALARS | st.sampled_from([np.int64(1), np.float32(0.1), b"ab"]), min_size=number, max_size=number))
    else:
        pool: Any = {"f": FLOATS, "U": st.text(max_size=3).filter(lambda text: text.isprintable())}.get(dtype.kind, st.integers(0, 100))
        with np.errstate(all="ignore"):
            made = draw(st.lists(pool, min_size=number, max_size=number))
            values = np.array([str(each) for each in made] if dtype.kind in "SU" else made).astype(dtype)
    found = values.reshape(shape)
    return draw(st.sampled_from([found, found.T, found[::-1] if shape else found]))


@st.composite
def frames(draw: st.DrawFn) -> Any:
    rows = draw(st.sampled_from([0, 1, 3]))
    names = draw(st.lists(st.sampled_from(["a", "b", "ÿ", 0, 1, "0", 1.5, ("a", 1)]), max_size=4, unique_by=lambda name: (type(name), name)))
    kinds: list[Any] = [FLOATS, st.integers(0, 9), st.booleans(), st.text(max_size=3), SCALARS, TIMES]
    columns = {name: pd.Series(draw(st.lists(draw(st.sampled_from(kinds)), min_size=rows, max_size=rows))) for name in names}
    if columns and draw(st.booleans()):
        return columns[names[0]]
    return pd.DataFrame(columns)


ANSWERS = st.recursive(
    SCALARS | arrays(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2) | st.integers(0, 1), inner, max_size=3) | st.tuples(inner),
    max_leaves=8,
)


def as_mlflow_writes(predictions: Any) -> Any:
    """MLflow's own two steps: out of pandas and numpy by their own methods, then the standard library."""
    value = pd.DataFrame(predictions) if isinstance(predictions, pd.Series) else predictions
    value = value.to_dict(orient="records") if isinstance(value, pd.DataFrame) else value.tolist() if isinstance(value, np.ndarray) else value
    try:
        return json.dumps(value, default=encoding._default)
    except (TypeError, ValueError):
        return None


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANSWERS | arrays() | frames())
def test_whatever_a_model_returns_is_written_with_the_values_of_the_standard_library(predictions: Any) -> None:
    expected = as_mlflow_writes(predictions)
    if expected is None:
        with pytest.raises(EncodingError):
            encode(predictions, wrapped=True)
    else:
        assert repr(json.loads(encode(predictions, wrapped=False))) == repr(json.loads(expected))
        assert repr(json.loads(encode(predictions, wrapped=True))) == repr({"predictions": json.loads(expected)})


def test_a_slice_of_a_joined_prediction_is_written_as_if_it_stood_alone() -> None:
    for joined in (np.arange(12.0), np.arange(12.0).reshape(6, 2), np.asfortranarray(np.arange(12.0).reshape(6, 2)), np.arange(12).astype("float32")):
        assert json.loads(encode(joined[2:4], wrapped=False)) == joined[2:4].tolist()
