"""Params: defaults, types, unknown ones."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from deployer_scoring.enforcement.params import enforce_params
from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.signature import DataType, Object, ParamSchema, ParamSpec, Property

SCHEMA = ParamSchema(
    (
        ParamSpec("top", DataType.long, 3),
        ParamSpec("threshold", DataType.double, 0.5),
        ParamSpec("labels", DataType.string, ["a"], (-1,)),
    )
)


def one(kind: Any, default: Any = None, shape: Any = None) -> ParamSchema:
    return ParamSchema((ParamSpec("p", kind, default, shape),))


def test_what_is_not_given_has_its_default() -> None:
    assert enforce_params(None, SCHEMA) == {"top": 3, "threshold": 0.5, "labels": ["a"]}
    assert enforce_params({"top": 5}, SCHEMA) == {"top": 5, "threshold": 0.5, "labels": ["a"]}


def test_unknown_params_are_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert "other" not in (enforce_params({"other": 1}, SCHEMA) or {})
    assert "other" in caplog.text


@pytest.mark.parametrize(("params", "expected"), [(None, None), ({}, {}), ({"a": 1}, {}), ([1], {})])
def test_without_a_schema_params_are_ignored(params: Any, expected: Any) -> None:
    assert enforce_params(params, None) == expected


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (DataType.long, 5, 5),
        (DataType.long, np.int64(5), 5),
        (DataType.integer, np.int32(5), 5),
        (DataType.double, 5, 5.0),
        (DataType.double, np.float32(0.5), 0.5),
        (DataType.float, 0.5, 0.5),
        (DataType.string, "a", "a"),
        (DataType.boolean, True, True),
        (DataType.boolean, np.bool_(False), False),
        (DataType.datetime, "2026-01-02", datetime.date(2026, 1, 2)),
        (DataType.datetime, "2026-01-02T03:04:05", datetime.datetime(2026, 1, 2, 3, 4, 5)),  # noqa: DTZ001  MLflow's have no zone
        (DataType.long, 5.0, 5),
        (DataType.datetime, "2026-01-02T03:04:05Z", datetime.datetime(2026, 1, 2, 3, 4, 5)),  # noqa: DTZ001
        (DataType.datetime, "2026-01-02T03:04:05+02:00", datetime.datetime(2026, 1, 2, 1, 4, 5)),  # noqa: DTZ001
        (DataType.datetime, "2026-01-02T03:04:05-03:30", datetime.datetime(2026, 1, 2, 6, 34, 5)),  # noqa: DTZ001
        (DataType.long, None, None),
    ],
)
def test_a_value_of_the_right_kind_becomes_python_s_own(kind: DataType, value: Any, expected: Any) -> None:
    found = (enforce_params({"p": value}, one(kind)) or {})["p"]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (DataType.long, 1.5),
        (DataType.long, "5"),
        (DataType.long, True),
        (DataType.long, [1]),
        (DataType.integer, 1.5),
        (DataType.integer, 2**31),
        (DataType.long, 2**63),
        (DataType.long, True),
        (DataType.float, 1e300),
        (DataType.double, "0.5"),
        (DataType.double, False),
        (DataType.float, np.float64(0.5)),
        (DataType.string, 5),
        (DataType.boolean, 1),
        (DataType.boolean, "true"),
        (DataType.datetime, "no date"),
        (DataType.datetime, 5),
        (DataType.datetime, ["2026-01-02"]),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(kind: DataType, value: Any) -> None:
    with pytest.raises(InvalidInput, match="params: p: ") as caught:
        enforce_params({"p": value}, one(kind))
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("value", ["a", 5, [["a"]], [1], {"a": 1}])
def test_a_list_must_be_a_flat_list_of_its_kind(value: Any) -> None:
    with pytest.raises(InvalidInput):
        enforce_params({"labels": value}, SCHEMA)


def test_an_object_is_checked_and_given_as_it_came() -> None:
    kind = Object((Property("x", DataType.double),))
    assert enforce_params({"p": {"x": 1.5}}, one(kind)) == {"p": {"x": 1.5}}
    with pytest.raises(InvalidInput, match="lacks 'x'"):
        enforce_params({"p": {}}, one(kind))


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(InvalidInput, match=r"top: .*threshold: "):
        enforce_params({"top": "x", "threshold": "y"}, SCHEMA)


def test_params_that_are_no_object_are_refused() -> None:
    with pytest.raises(InvalidInput, match="must be an object, not list"):
        enforce_params([1], SCHEMA)
