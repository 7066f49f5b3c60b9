"""The rule that turns values into columns and arrays: what is taken, as what; what is refused, with which words."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.enforcement.lists import array_of
from deployer_scoring.enforcement.values import Misfit, column_of
from deployer_scoring.schema.datatypes import DataType

NAN = float("nan")
PARIS = datetime.timezone(datetime.timedelta(hours=1))


@pytest.mark.parametrize(
    ("kind", "values", "dtype", "expected"),
    [
        ("boolean", [True, False], "bool", [True, False]),
        ("boolean", [1, 0, 0.0, np.bool_(True), np.int8(1)], "bool", [True, False, False, True, True]),
        ("integer", [1, -(2**31), 2**31 - 1, 5.0, -0.0], "int32", [1, -(2**31), 2**31 - 1, 5, 0]),
        ("long", [2**63 - 1, -(2**63), 1e18, np.int8(3), np.float32(2), decimal.Decimal(7)], "int64", [2**63 - 1, -(2**63), 10**18, 3, 2, 7]),
        ("float", [0.5, 1, 1e-60, NAN, None], "float32", [0.5, 1.0, 0.0, NAN, NAN]),
        ("float", [float("inf"), 3.4e38], "float32", [np.inf, float(np.float32(3.4e38))]),
        ("double", [0.1, 2**53 + 1, 1e308, None, pd.NA, decimal.Decimal("1.5")], "float64", [0.1, 2.0**53, 1e308, NAN, NAN, 1.5]),
        ("string", ["a", "", "ÿ\0"], "object", ["a", "", "ÿ\0"]),
        ("string", ["a", None, NAN], "object", ["a", None, None]),
        ("binary", [b"a", bytearray(b"b")], "object", [b"a", b"b"]),
    ],
)
def test_values_that_a_type_holds_become_its_own(kind: str, values: list[Any], dtype: str, expected: list[Any]) -> None:
    found = column_of(values, DataType[kind])
    assert (str(found.dtype), list(map(repr, found.tolist()))) == (dtype, list(map(repr, expected)))


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        *(("boolean", [True, wrong], "is no boolean") for wrong in ("true", "", 7, 2, -1, 0.5, NAN and "x", [], {}, b"1")),
        *(("integer", [1, wrong], "out of the range of int32") for wrong in (2**31, -(2**31) - 1, 2**70, 1e300)),
        *(("long", [1, wrong], "out of the range of int64") for wrong in (2**63, -(2**63) - 1, 1e19, 10**400)),
        *((kind, [1, wrong], "no whole number") for kind in ("integer", "long") for wrong in (0.5, 5.000001, -1e-300, decimal.Decimal("0.5"))),
        *((kind, [1, wrong], "no integer") for kind in ("integer", "long") for wrong in ("1", True, float("inf"), [1], {"a": 1}, b"1")),
        *((kind, [1, wrong], "no number") for kind in ("float", "double") for wrong in ("1", "", False, [1.0], {"a": 1}, b"1")),
        *(("float", [1, wrong], "out of the range of float32") for wrong in (1e39, -1e300, 10**400)),
        ("double", [1, 10**400], "out of the range of float64"),
        *(("string", ["a", wrong], "no string") for wrong in (1, 1.5, True, ["a"], {"a": 1}, b"a")),
        *(("binary", [b"a", wrong], "not binary") for wrong in ("a", 1, [b"a"])),
        *((kind, [None], "missing: a required") for kind in ("boolean", "integer", "long", "binary")),
    ],
)
def test_values_that_a_type_does_not_hold_are_refused_with_their_place(kind: str, values: list[Any], said: str) -> None:
    with pytest.raises(Misfit, match=said) as caught:
        column_of(values, DataType[kind])
    assert caught.value.position == len(values) - 1
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("kind", "value", "dtype"), [("boolean", False, "boolean"), ("integer", 1.0, "Int32"), ("long", 2**53 + 1, "Int64"), ("binary", b"a", "object")]
)
@pytest.mark.parametrize("missing", [None, NAN, pd.NA, pd.NaT, np.float32("nan")])
def test_what_may_be_missing_is_so_in_pandas_nullable_types(kind: str, value: Any, dtype: str, missing: Any) -> None:
    found = column_of([value, missing], DataType[kind], required=False)
    assert str(found.dtype) == dtype
    assert found[0] == value
    assert pd.isna(found).tolist() == [False, True]
    assert pd.isna(column_of([missing], DataType[kind], required=False)).tolist() == [True]


@pytest.mark.parametrize("text", ["aGk=", "aGk=\n", "aG\nk=", "aG\r\nk=\r\n"])
def test_binary_comes_as_base64_in_lines_or_not(text: str) -> None:
    assert column_of([text, ""], DataType.binary, encoded=True).tolist() == [b"hi", b""]


@pytest.mark.parametrize("wrong", ["!!!!", "!!!", "aGk", "aGk==", "aGk=aGk=", "a", "a Gk", "aGk= ", "-_-_", "====", "ÿÿÿÿ", 5, True, ["aGk="], b"hi"])
def test_what_is_no_base64_is_refused(wrong: Any) -> None:
    with pytest.raises(Misfit, match="base64") as caught:
        column_of(["aGk=", wrong], DataType.binary, encoded=True)
    assert caught.value.position == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T03:04", "2026-01-02T03:04:00"),
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05.5", "2026-01-02T03:04:05.5"),
        ("2026-01-02T03:04:05.123456789", "2026-01-02T03:04:05.123456789"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05.5"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05"),
        ("2026-01-02 03:04:05-0330", "2026-01-02T06:34:05"),
        ("20260102", "2026-01-02"),
        ("20260102T030405Z", "2026-01-02T03:04:05"),
        ("1677-09-22", "1677-09-22"),
        ("2262-04-11", "2262-04-11"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),  # noqa: DTZ001
        (datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=PARIS), "2026-01-02T02:04:05.000006"),
        (pd.Timestamp("2026-01-02T03:04:05.000000007", tz="UTC"), "2026-01-02T03:04:05.000000007"),
        (np.datetime64("2026-01-02T03", "h"), "2026-01-02T03"),
    ],
)
def test_datetimes_are_read_alike_among_all_others(value: Any, expected: str) -> None:
    others = ["2026-01-02T03:04:05.5", None, "1999-12-31", "2026-01-02T03:04:05-08:00"]
    for values in ([value], [value, *others], [*others, value]):
        found = column_of(values, DataType.datetime)
        assert str(found.dtype) == "datetime64[ns]"
        assert found[values.index(value)] == np.datetime64(expected, "ns")
    assert pd.isna(column_of([None, value], DataType.datetime)).tolist() == [True, False]


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "no date", "now", "today", "NaT", "nan", "01/02/2026", "2026-13-01", "2026-02-30", "2026-01-02T25:00", "2026-01-02T03:04:05+", "3:04"),
        *("0001-01-01", "9999-12-31", datetime.datetime(1, 1, 1), 5, 1.5, True, ["2026-01-02"], {}, b"2026-01-02", "２０２６-01-02"),  # noqa: DTZ001
    ],
)
def test_what_is_no_datetime_is_refused(wrong: Any) -> None:
    with pytest.raises(Misfit, match="is no datetime") as caught:
        column_of(["2026-01-02", None, wrong], DataType.datetime)
    assert caught.value.position == 2


def test_a_long_value_is_quoted_in_part() -> None:
    with pytest.raises(Misfit) as caught:
        column_of(["x" * 100_000], DataType.double)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("float64", [[1, 2.5], [None, 1e308]], [[1.0, 2.5], [NAN, 1e308]]),
        ("float32", 1e30, float(np.float32(1e30))),
        ("float16", [65504, 1e-20], [65504.0, 0.0]),
        ("uint8", [[0, 255.0]], [[0, 255]]),
        ("uint64", [2**64 - 1, 0], [2**64 - 1, 0]),
        ("int64", [-(2**63)], [-(2**63)]),
        ("bool", [True, 0, 1.0], [True, False, True]),
        ("str", [["a"], ["ÿb"]], [["a"], ["ÿb"]]),
        ("bytes", ["aGk=", "aGk=\n"], [b"hi", b"hi"]),
        ("datetime64[ns]", ["2026-01-02T03:04:05Z", None], [1767323045000000000, None]),
        ("datetime64[ns]", [5], [5]),
        ("datetime64[D]", ["2026-01-02"], [datetime.date(2026, 1, 2)]),
        ("object", ["a", None, [1]], ["a", None, [1]]),
        ("int64", [], []),
        ("float32", [[], []], [[], []]),
    ],
)
def test_lists_become_arrays_of_a_dtype(dtype: str, value: Any, expected: Any) -> None:
    found = array_of(value, np.dtype(dtype))
    assert found.dtype.kind == np.dtype(dtype).kind
    assert repr(found.tolist()) == repr(expected)


@pytest.mark.parametrize(
    ("dtype", "wrong", "said"),
    [
        *(("float64", wrong, "no number") for wrong in (True, "1", {}, b"1")),
        ("float64", 10**400, "out of the range"),
        ("float32", 1e39, "out of the range of float32"),
        ("float16", 65520, "out of the range of float16"),
        *(("uint8", wrong, "out of the range of uint8") for wrong in (-1, 256, 2**70)),
        ("int32", 2**31, "out of the range of int32"),
        *(("int64", wrong, "out of the range of int64") for wrong in (2**63, 1e19)),
        ("int64", 1.5, "no whole number"),
        *(("int64", wrong, "no integer") for wrong in ("1", False)),
        ("int64", None, "missing"),
        *(("bool", wrong, "no boolean") for wrong in ("x", 2, 0.5)),
        *(("str", wrong, "no string") for wrong in (1, True, 1.5)),
        ("str", None, "missing"),
        *(("bytes", wrong, "base64") for wrong in ("!", 5)),
        *(("datetime64[ns]", wrong, "no datetime") for wrong in ("x", 1.5, True)),
    ],
)
def test_lists_with_another_value_make_no_array(dtype: str, wrong: Any, said: str) -> None:
    plain = {"f": 1, "u": 1, "i": 1, "b": True, "U": "a", "S": "", "M": "2026-01-02"}[np.dtype(dtype).kind]
    with pytest.raises(Misfit, match=said):
        array_of([[plain, wrong]], np.dtype(dtype))


@pytest.mark.parametrize("ragged", [[[1], [1, 2]], [1, [2]], [[[1]], [1]], [[1], []]])
@pytest.mark.parametrize("dtype", ["float64", "int64", "bool", "str"])
def test_ragged_lists_make_no_array(dtype: str, ragged: Any) -> None:
    with pytest.raises(ValueError, match="differ in length"):
        array_of(ragged, np.dtype(dtype))
