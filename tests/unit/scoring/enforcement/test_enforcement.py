"""Data held against signatures. What MLflow says of hundreds more is compared in tests/e2e."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.signature import AnyType, Array, ColSpec, DataType, Map, Object, Property, Schema, TensorSpec

ABC = Schema((ColSpec(DataType.double, "a"), ColSpec(DataType.long, "b"), ColSpec(DataType.string, "c", required=False)))


def frame(values: Any, dtype: Any = None) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype)})


def schema(kind: Any, name: Any = "x", required: bool = True) -> Schema:
    return Schema((ColSpec(kind, name, required),))


@pytest.mark.parametrize(
    ("values", "have", "kind", "want"),
    [
        ([1, 2], "int64", DataType.long, "int64"),
        ([1, 2], "int32", DataType.long, "int64"),
        ([1, 2], "int8", DataType.integer, "int32"),
        ([1, 2], "uint16", DataType.integer, "int32"),
        ([1, 2], "uint32", DataType.long, "int64"),
        ([1, 2], "int32", DataType.double, "float64"),
        ([1, 2], "uint16", DataType.double, "float64"),
        ([1, 0], "int64", DataType.double, "float64"),
        ([1, 0], "int64", DataType.float, "float32"),
        ([1.5], "float32", DataType.double, "float64"),
        ([1.5], "float64", DataType.double, "float64"),
        ([True], "bool", DataType.boolean, "bool"),
        ([True, False], "object", DataType.boolean, "bool"),
        ([1.0, -2.0], "float64", DataType.long, "int64"),
        ([1, 2], "object", DataType.integer, "int32"),
        ([1, 2], "Int64", DataType.long, "int64"),
        ([1, 2], "Int8", DataType.double, "float64"),
        ([1.5, None], "Float64", DataType.double, "float64"),
        ([True, False], "boolean", DataType.boolean, "bool"),
        ([1, 2], "category", DataType.long, "int64"),
        ([1, 2], "object", DataType.long, "int64"),
        (["2026-01-02"], "datetime64[ns]", DataType.datetime, "datetime64[ns]"),
        ([b"a"], "object", DataType.binary, "object"),
        (["a", None], "object", DataType.string, "object"),
    ],
)
def test_a_column_is_cast_where_no_value_can_change(values: Any, have: str, kind: DataType, want: str) -> None:
    found = enforce(frame(values, have), schema(kind))
    assert str(found["x"].dtype) == want
    known, expected = ([None if pd.isna(each) else each for each in column] for column in (found["x"], frame(values, have)["x"]))
    assert known == expected


@pytest.mark.parametrize(
    ("values", "have", "kind"),
    [
        ([1.5], "float64", DataType.long),
        ([2.0**63], "float64", DataType.long),
        ([2.0**31], "float64", DataType.integer),
        ([np.inf], "float64", DataType.long),
        ([True, None], "object", DataType.boolean),
        ([None, 1], "Int64", DataType.long),
        ([1, 2], "Int64", DataType.double),
        ([1.5, None], "Float64", DataType.long),
        (["a", 1], "object", DataType.string),
        (["a"], "object", DataType.binary),
        (["true"], "object", DataType.boolean),
        ([7], "object", DataType.boolean),
        (["1.5"], "object", DataType.double),
        (["a"], "category", DataType.long),
        ([1, 2], "int64", DataType.integer),
        ([1, 2], "int64", DataType.double),
        ([1, 2], "uint64", DataType.long),
        ([1.5], "float64", DataType.float),
        ([True], "bool", DataType.long),
        ([1], "int64", DataType.boolean),
        ([1], "int64", DataType.string),
        (["a"], "object", DataType.double),
        (["a"], "object", DataType.long),
        (["no date"], "object", DataType.datetime),
        ([1], "int64", DataType.datetime),
        ([1], "int64", DataType.binary),
    ],
)
def test_a_column_that_a_cast_could_change_is_refused_by_name(values: Any, have: str, kind: DataType) -> None:
    with pytest.raises(InvalidInput, match="'x'") as caught:
        enforce(frame(values, have), schema(kind))
    assert (caught.value.error_code, caught.value.status) == ("INVALID_PARAMETER_VALUE", 400)


def test_integers_with_missing_values_are_refused_with_the_advice_to_use_double() -> None:
    with pytest.raises(InvalidInput, match=r"missing values.*declare the column as double"):
        enforce(frame([1.0, np.nan]), schema(DataType.long))
    with pytest.raises(InvalidInput) as caught:
        enforce(frame([1.5, np.nan]), schema(DataType.long))
    assert "declare" not in str(caught.value)


@pytest.mark.parametrize(
    ("have", "kind", "values", "want"),
    [
        ("object", DataType.long, [1, None], "Int64"),
        ("object", DataType.long, [2**53 + 1, None], "Int64"),
        ("float64", DataType.long, [1.0, np.nan], "Int64"),
        ("Int64", DataType.long, [2**53 + 1, None], "Int64"),
        ("Int8", DataType.long, [1, None], "Int64"),
        ("Int8", DataType.integer, [1, None], "Int32"),
        ("object", DataType.boolean, [True, None], "boolean"),
        ("boolean", DataType.boolean, [False, None], "boolean"),
        ("category", DataType.long, [1, None], "Int64"),
        ("category", DataType.string, ["a", None], None),
        ("object", DataType.binary, [b"a", None], "object"),
    ],
)
def test_an_optional_column_may_have_missing_values_of_any_type(have: Any, kind: DataType, values: list[Any], want: str | None) -> None:
    found = enforce(pd.DataFrame({"x": pd.Series(values, dtype=have)}), Schema([ColSpec(kind, "x", required=False)]))["x"]
    assert want is None or str(found.dtype) == want
    assert found[0] == values[0]
    assert found.isna().tolist() == [False, True]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_datetimes_of_any_zone_become_utc_s_without_one(unit: str) -> None:
    zoned = pd.Series(pd.to_datetime(["2026-01-02T00:00:00", None]).tz_localize("Europe/Paris"))
    if hasattr(zoned.dt, "as_unit"):
        zoned = zoned.dt.as_unit(unit)
    found = enforce(pd.DataFrame({"x": zoned}), schema(DataType.datetime))["x"]
    assert str(found.dtype) == "datetime64[ns]"
    assert found[0] == pd.Timestamp("2026-01-01T23:00:00")
    assert found.isna().tolist() == [False, True]


def test_columns_come_out_in_the_signature_s_order_without_the_extra_ones() -> None:
    found = enforce(pd.DataFrame({"z": [0], "c": ["t"], "b": [2], "a": [1.5]}), ABC)
    assert list(found.columns) == ["a", "b", "c"]
    assert found.iloc[0].tolist() == [1.5, 2, "t"]


def test_a_missing_column_is_refused_by_name_and_the_extra_ones_are_told() -> None:
    with pytest.raises(InvalidInput, match="lacks 'b', which the model needs; it has 'z'"):
        enforce(pd.DataFrame({"a": [1.5], "z": [1]}), ABC)


def test_an_optional_column_may_be_absent_but_not_of_another_type() -> None:
    assert list(enforce(pd.DataFrame({"a": [1.5], "b": [2]}), ABC).columns) == ["a", "b"]
    with pytest.raises(InvalidInput, match="'c'"):
        enforce(pd.DataFrame({"a": [1.5], "b": [2], "c": [5]}), ABC)


def test_the_index_of_a_frame_is_kept() -> None:
    assert enforce(pd.DataFrame({"a": [1.5, 2.5], "b": [2, 3]}, index=[7, 3]), ABC).index.tolist() == [7, 3]


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="more than once"):
        enforce(pd.DataFrame([[1.5, 2.5, 2]], columns=["a", "a", "b"]), ABC)


def test_columns_without_names_are_taken_by_position() -> None:
    unnamed = Schema((ColSpec(DataType.double), ColSpec(DataType.string)))
    assert list(enforce(pd.DataFrame({"p": [1.5], "q": ["t"], "r": [0]}), unnamed).columns) == ["p", "q"]
    with pytest.raises(InvalidInput, match="has 1 columns, but the model needs 2"):
        enforce(pd.DataFrame({"p": [1.5]}), unnamed)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"a": 1.5, "b": 1}, {"a": [1.5], "b": [1]}),
        ({"a": np.array([1.5, 2.5]), "b": np.array([1, 2])}, {"a": [1.5, 2.5], "b": [1, 2]}),
        ([{"a": 1.5, "b": 1}], {"a": [1.5], "b": [1]}),
        (pd.DataFrame({"a": [1.5], "b": [1]}), {"a": [1.5], "b": [1]}),
    ],
)
def test_rows_and_columns_in_any_container_become_a_frame(data: Any, expected: Any) -> None:
    assert enforce(data, ABC).to_dict("list") == expected


def test_a_scalar_a_list_and_a_series_become_a_frame_of_one_column() -> None:
    unnamed = schema(DataType.double, None)
    for data in (1.5, [1.5], np.array([1.5]), pd.Series([1.5])):
        assert enforce(data, unnamed).iloc[:, 0].tolist() == [1.5]


def test_what_is_no_data_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="set"):
        enforce({1, 2}, ABC)


def test_without_a_signature_the_data_is_left_alone() -> None:
    data = object()
    assert enforce(data, None) is data


POINT = Object((Property("x", DataType.double), Property("label", DataType.string, required=False)))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Array(DataType.double), [1, 0], [1.0, 0.0]),
        (Array(DataType.long), [1, 2], [1, 2]),
        (Array(Array(DataType.long)), [[1], [2, 3]], [[1], [2, 3]]),
        (POINT, {"x": 1.5, "label": "a"}, {"x": 1.5, "label": "a"}),
        (POINT, {"x": 1.5}, {"x": 1.5}),
        (POINT, {"x": 1.5, "label": None}, {"x": 1.5, "label": None}),
        (Map(DataType.long), {"a": 1}, {"a": 1}),
        (AnyType(), {"a": [None]}, {"a": [None]}),
        (Array(AnyType()), None, None),
    ],
)
def test_nested_values_that_fit_are_given_as_their_types_say(kind: Any, value: Any, expected: Any) -> None:
    assert enforce(pd.DataFrame({"x": [value]}), schema(kind))["x"].tolist() == [expected]


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (Array(DataType.long), [1, 1.5], "in item 2 of a list, 1.5 is no whole number"),
        (Array(DataType.long), 5, "a list was expected, not int"),
        (POINT, {"label": "a"}, "lacks 'x'"),
        (POINT, {"x": 1.5, "y": 2}, "doesn't know: 'y'"),
        (POINT, {"x": "a"}, "under 'x'"),
        (POINT, [1], "an object was expected"),
        (Map(DataType.long), {"a": 1.5}, "under 'a'"),
        (Map(DataType.long), {1: 1}, "must be strings"),
        (Map(DataType.long), None, "an object was expected, not NoneType"),
    ],
)
def test_nested_values_that_do_not_fit_are_refused_with_their_place(kind: Any, value: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        enforce(pd.DataFrame({"x": pd.Series([value], dtype=object)}), schema(kind))
    assert "'x'" in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "data", "shape"),
    [
        (TensorSpec("float32", (-1, 2)), np.zeros((3, 2), "float32"), (3, 2)),
        (TensorSpec("float64", (-1, 2)), pd.DataFrame({"a": [1.5], "b": [2.5]}), (1, 2)),
        (TensorSpec("float32", (-1, 2, 2)), pd.DataFrame({"a": [[1, 2, 3, 4]]}), (1, 2, 2)),
        (TensorSpec("float64", (-1, 1)), pd.DataFrame({"a": [1, 2]}), (2, 1)),
        (TensorSpec("str", (-1,)), np.array(["a", "bcd"]), (2,)),
        (TensorSpec("object", (-1,)), np.array([[1]]), (1, 1)),
    ],
)
def test_a_tensor_that_fits_passes(spec: TensorSpec, data: Any, shape: tuple[int, ...]) -> None:
    assert enforce(data, Schema((spec,))).shape == shape


@pytest.mark.parametrize(
    ("spec", "data", "said"),
    [
        (TensorSpec("float32", (-1, 2)), np.zeros((3, 2)), "dtype is float64"),
        (TensorSpec("float32", (-1, 2)), np.zeros((3, 3), "float32"), r"shape is \[3, 3\]"),
        (TensorSpec("float32", (-1, 2)), np.zeros(2, "float32"), r"shape is \[2\]"),
        (TensorSpec("float32", (-1, 2)), [[1, 2]], "one tensor"),
        (TensorSpec("float64", (-1, 2)), pd.DataFrame({"a": [1.5], "b": [2.5], "c": [0.5]}), r"shape \[-1, 3\]"),
        (TensorSpec("float64", (-1, 2)), pd.DataFrame({"a": []}), "empty"),
        (TensorSpec("float64", (2,)), pd.DataFrame({"a": [1.5, 2.5]}), "only the first dimension"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(spec: TensorSpec, data: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        enforce(data, Schema((spec,)))


def test_named_tensors_are_taken_by_name() -> None:
    named = Schema((TensorSpec("float64", (-1, 2), "a"), TensorSpec("int64", (-1,), "b")))
    found = enforce({"b": np.array([1]), "a": np.zeros((1, 2)), "c": np.zeros(1)}, named)
    assert list(found) == ["a", "b"]
    with pytest.raises(InvalidInput, match="lacks 'b'"):
        enforce({"a": np.zeros((1, 2))}, named)
    with pytest.raises(InvalidInput, match="'b' must be an array, not list"):
        enforce({"a": np.zeros((1, 2)), "b": [1]}, named)
