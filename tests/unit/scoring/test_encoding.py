"""Predictions to JSON."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.wire import encoding
from deployer_scoring.errors import EncodingError
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


@pytest.mark.parametrize("value", [{1}, object(), 1 + 2j, datetime.timedelta(1), {(1, 2): 3}, [pd.Series([1])]])
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(EncodingError, match="can't be written as JSON"):
        encode(value, wrapped=True)


def test_a_list_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(EncodingError):
        encode(value, wrapped=True)


def test_a_pydantic_model_is_written_as_its_dump() -> None:
    class Looks:
        """As pydantic's models look, which the runtime must not import."""

        model_fields: dict[str, Any] = {}  # noqa: RUF012  pydantic's is one too

        def model_dump(self) -> dict[str, Any]:
            return {"a": np.float64(1.5)}

    assert encode([Looks()], wrapped=False) == b'[{"a": 1.5}]'
