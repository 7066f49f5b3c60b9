"""Data held against signatures, for the comparison with MLflow's own enforcement: every type of column against every kind of column, and more.

Frames, arrays and dates have no JSON form, so both sides make the same cases by importing this; only names and verdicts travel.
"""

from __future__ import annotations

import datetime
import decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix

from tests.e2e.scoring_cases import ABC, NESTED, OPTIONAL, PARAMS, POINT, UNNAMED, VALUES, array, column, mapping, tensor


class Held(NamedTuple):
    """Data, and the JSON of the signature's inputs that it is held against."""

    name: str
    inputs: list[dict[str, Any]]
    data: Any


class HeldParams(NamedTuple):
    """Params, and the JSON of the signature's params."""

    name: str
    schema: list[dict[str, Any]] | None
    params: Any


def _series(values: Any, dtype: Any = None) -> Any:
    return pd.Series(values, dtype=dtype)


_INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
# One column of every kind that pandas has, by what it is.
COLUMNS: dict[str, Any] = {
    **{kind: _series([1, 2], kind) for kind in _INTEGERS},
    **{f"{kind} of 0 and 1": _series([1, 0], kind) for kind in _INTEGERS},
    "large int64": _series([2**53 + 1, -(2**62)], "int64"),
    "large uint64": _series([2**64 - 1, 1], "uint64"),
    "float16": _series([1.5, 2], "float16"),
    "float32": _series([1.5, 2], "float32"),
    "float64": _series([1.5, 1e300], "float64"),
    "whole float64": _series([1.0, 2.0]),
    "float64 of 0 and 1": _series([1.0, 0.0]),
    "float64 with a gap": _series([1.5, np.nan]),
    "whole float64 with a gap": _series([1.0, np.nan]),
    "float32 with a gap": _series([1.0, np.nan], "float32"),
    "float64 with infinity": _series([1.0, np.inf]),
    "float64 of gaps": _series([np.nan, np.nan]),
    "bool": _series([True, False]),
    "bool with None": _series([True, None], "object"),
    "objects of bool": _series([True, False], "object"),
    "text": _series(["a", "ÿ"]),
    "text with None": _series(["a", None]),
    "objects of text": _series(["a", "b"], "object"),
    "text of numbers": _series(["1", "2"]),
    "text of dates": _series(["2026-01-02", "1999-12-31T23:59:59"]),
    "objects of text of dates": _series(["2026-01-02", "1999-12-31T23:59:59"], "object"),
    "text that is no date": _series(["no", "date"], "object"),
    "pandas' string": _series(["a", None], "string"),
    "bytes": _series([b"a", b"b"]),
    "bytes with None": _series([b"a", None]),
    "objects of int": _series([1, 2], "object"),
    "objects of int and None": _series([1, None], "object"),
    "objects of large int": _series([2**64, 1], "object"),
    "objects of float": _series([1.5, 2.5], "object"),
    "objects of float and None": _series([1.5, None], "object"),
    "objects of int and float": _series([1, 2.5], "object"),
    "objects of int and text": _series([1, "a"], "object"),
    "objects of None": _series([None, None], "object"),
    "decimals": _series([decimal.Decimal("1.5"), decimal.Decimal(2)]),
    "dates": _series([datetime.date(2026, 1, 2), datetime.date(1999, 12, 31)]),
    "datetimes": _series([datetime.datetime(2026, 1, 2, 3, 4, 5), datetime.datetime(1999, 12, 31)]),  # noqa: DTZ001  MLflow's have no zone
    "objects of datetimes": _series([datetime.datetime(2026, 1, 2), datetime.datetime(1999, 12, 31)], "object"),  # noqa: DTZ001
    "datetime64[ns]": _series(["2026-01-02", "1999-12-31"], "datetime64[ns]"),
    "datetime64[us]": _series(["2026-01-02", "1999-12-31"], "datetime64[us]"),
    "datetime64[s]": _series(["2026-01-02", "1999-12-31"], "datetime64[s]"),
    "datetime64 with a gap": _series(["2026-01-02", None], "datetime64[ns]"),
    "datetimes with a zone": _series(pd.to_datetime(["2026-01-02", "1999-12-31"]).tz_localize("Europe/Paris")),
    "timedelta": _series(pd.to_timedelta([1, 2])),
    "complex": _series([1 + 2j, 3]),
    "categories of text": _series(pd.Categorical(["a", "b"])),
    "categories of numbers": _series(pd.Categorical([1, 2])),
    "nullable Int64": _series([1, 2], "Int64"),
    "nullable Int64 with a gap": _series([1, None], "Int64"),
    "nullable Float64": _series([1.5, 2.5], "Float64"),
    "nullable Float64 with a gap": _series([1.5, None], "Float64"),
    "nullable boolean": _series([True, False], "boolean"),
    "nullable boolean with a gap": _series([True, None], "boolean"),
    "lists": _series([[1.0], [2.0, 3.0]]),
    "arrays": _series([np.array([1.0]), np.array([2.0, 3.0])]),
    "objects": _series([{"x": 1.0}, {"x": 2.0, "label": "a"}]),
    "no rows": _series([], "float64"),
    "no rows of objects": _series([], "object"),
}


def _of_types() -> list[Held]:
    return [
        Held(f"{what} for {'' if required else 'optional '}{kind}", [column(kind, required=required)], pd.DataFrame({"x": values}))
        for kind in VALUES
        for what, values in COLUMNS.items()
        for required in (True, False)
    ]


def _of_other_containers() -> list[Held]:
    """The same columns by another way than a frame."""
    cases = []
    for kind in VALUES:
        inputs, unnamed = [column(kind)], [column(kind, None)]
        for what in ("int32", "int64", "int64 of 0 and 1", "float32", "float64", "bool", "text", "bytes", "objects of int", "datetime64[ns]"):
            values = COLUMNS[what]
            cases += [
                Held(f"{what} for {kind}, by position", unnamed, pd.DataFrame({"other": values, "more": values})),
                Held(f"{what} for {kind}, a series", inputs, values.rename("x")),
                Held(f"{what} for {kind}, an array", unnamed, values.to_numpy()),
                Held(f"{what} for {kind}, an array with a name", inputs, values.to_numpy()),
                Held(f"{what} for {kind}, a dictionary of arrays", inputs, {"x": values.to_numpy()}),
                Held(f"{what} for {kind}, a dictionary of lists", inputs, {"x": values.tolist()}),
                Held(f"{what} for {kind}, a list", unnamed, values.tolist()),
                Held(f"{what} for {kind}, a list of rows", inputs, [{"x": value} for value in values.tolist()]),
                Held(f"{what} for {kind}, one row", inputs, {"x": values.tolist()[0]}),
                Held(f"{what} for {kind}, a scalar", unnamed, values.tolist()[0]),
                Held(f"{what} for {kind}, a scalar of numpy", unnamed, values.to_numpy()[0]),
            ]
    return cases


def _of_nested() -> list[Held]:
    whole = pd.DataFrame({"x": [np.array([1, 2]), np.array([3.5])]})
    twice = {"x": [{"x": 1, "label": "a"}]}
    cases = [
        Held(
            f"{said}, {'required' if required else 'optional'}",
            [column(kind, required=required)],
            pd.DataFrame({"x": pd.Series(values, dtype=object)}),
        )
        for said, kind, values in NESTED
        for required in (True, False)
    ]
    for items in VALUES:
        for what in (
            "int32",
            "int64",
            "int64 of 0 and 1",
            "float32",
            "float64",
            "bool",
            "text",
            "bytes",
            "datetime64[ns]",
            "objects of int and None",
        ):
            values = COLUMNS[what]
            cases += [
                Held(f"an array of {what} for a list of {items}", [column(array(items))], pd.DataFrame({"x": [values.to_numpy()]})),
                Held(f"a list of {what} for a list of {items}", [column(array(items))], pd.DataFrame({"x": [values.tolist()]})),
                Held(
                    f"a map of {what} for a map of {items}",
                    [column(mapping(items))],
                    pd.DataFrame({"x": [dict(zip("ab", values.tolist(), strict=True))]}),
                ),
            ]
    return [
        *cases,
        Held("arrays of different types for a list of doubles", [column(array("double"))], whole),
        Held("arrays of arrays", [column(array(array("double")))], pd.DataFrame({"x": [[np.array([1.0]), np.array([2.0])]]})),
        Held("an array of two dimensions", [column(array(array("double")))], pd.DataFrame({"x": [np.ones((2, 2))]})),
        Held("a tuple for a list", [column(array("double"))], pd.DataFrame({"x": [(1.0, 2.0)]})),
        Held("a dictionary for an object", [column(POINT)], {"x": {"x": 1.0}}),
        Held("a dictionary of objects", [column(array(POINT))], twice),
        Held("an object by itself", [column(array(POINT))], {"x": [{"y": 1}]}),
        Held("an empty list for a list", [column(array("double"))], pd.DataFrame({"x": [[]]})),
        Held("an empty array for a list", [column(array("double"))], pd.DataFrame({"x": [np.array([])]})),
        Held("an empty object", [column(POINT)], pd.DataFrame({"x": [{}]})),
        Held("an empty map", [column(mapping("long"))], pd.DataFrame({"x": [{}]})),
        Held("a map with a number for a key", [column(mapping("long"))], pd.DataFrame({"x": [{1: 1}]})),
        Held(
            "an object in an object",
            [column({"type": "object", "properties": {"p": {**POINT, "required": True}}})],
            pd.DataFrame({"x": [{"p": {"x": 1.5}}]}),
        ),
        Held("any of everything", [column({"type": "any"})], pd.DataFrame({"x": pd.Series([1, "a", None, np.array([1])], dtype=object)})),
        Held("a list of any that is no list", [column(array("any"))], pd.DataFrame({"x": [1]})),
    ]


def _of_columns() -> list[Held]:
    whole = pd.DataFrame({"a": [1.5], "b": [2], "c": ["t"]})
    renamed = whole.rename(columns={"b": "z"})
    return [
        Held("in order", ABC, whole),
        Held("in another order", ABC, whole[["c", "a", "b"]]),
        Held("one too many", ABC, whole.assign(z=[{}])),
        Held("one missing", ABC, whole[["a", "c"]]),
        Held("one under another name", ABC, renamed),
        Held("one in capitals", ABC, whole.rename(columns={"a": "A"})),
        Held("one twice", ABC, whole[["a", "a", "b", "c"]]),
        Held("one too many twice", ABC, pd.concat([whole, whole[["a"]].rename(columns={"a": "z"}), whole[["a"]].rename(columns={"a": "z"})], axis=1)),
        Held("with an index", ABC, whole.set_axis(["row"])),
        Held("with a number for a name", ABC, whole.assign(**{"z": 1}).rename(columns={"z": 0})),
        Held("names that are numbers", ABC, whole.set_axis([0, 1, 2], axis=1)),
        Held("no columns", ABC, pd.DataFrame()),
        Held("no rows", ABC, whole[:0]),
        Held("optional there", OPTIONAL, whole[["c", "b", "a"]]),
        Held("optional missing", OPTIONAL, whole[["a"]]),
        Held("required missing", OPTIONAL, whole[["b", "c"]]),
        Held("optional of the wrong type", OPTIONAL, whole.assign(b=["x"])),
        Held("optional all None", OPTIONAL, whole.assign(b=[None], c=[None])),
        Held("by position", UNNAMED, whole[["a", "b"]]),
        Held("by position, one too many", UNNAMED, whole),
        Held("by position, one missing", UNNAMED, whole[["a"]]),
        Held("by position, the wrong way round", UNNAMED, whole[["b", "a"]]),
        Held("by position from an array", UNNAMED, np.array([[1.5, 2.0]])),
        Held("by position from an array of integers", UNNAMED, np.array([[1, 2]])),
        Held("by position from lists", UNNAMED, [[1.5, 2]]),
        Held("by position from a series", UNNAMED, pd.Series([1.5, 2])),
        Held("a list of dictionaries", ABC, [{"a": 1.5, "b": 2, "c": "t"}]),
        Held("a dictionary of scalars", ABC, {"a": 1.5, "b": 2, "c": "t"}),
        Held("a dictionary of lists", ABC, {"a": [1.5], "b": [2], "c": ["t"]}),
        Held("a dictionary of lists of different lengths", ABC, {"a": [1.5, 2], "b": [2], "c": ["t"]}),
        Held("a dictionary of arrays", ABC, {"a": np.array([1.5]), "b": np.array([2]), "c": np.array(["t"])}),
        Held("a dictionary of matrices", ABC, {"a": np.ones((1, 2)), "b": np.array([2]), "c": np.array(["t"])}),
        Held("a dictionary with one missing", ABC, {"a": [1.5], "b": [2]}),
        Held("a sparse matrix for columns", ABC, csr_matrix(np.eye(3))),
        Held("None", ABC, None),
        Held("a set", ABC, {1}),
        Held("text for columns", ABC, "text"),
        Held("an array of three dimensions", UNNAMED, np.ones((1, 2, 2))),
        Held("text of no dimension", [column("string")], {"x": np.array("text")}),
    ]


def _of_tensors() -> list[Held]:
    dtypes = ["float32", "float64", "int32", "int64", "uint8", "bool", "str", "bytes", "object", "datetime64[ns]"]
    cases = []
    for want in dtypes:
        for have in dtypes:
            values = np.array([["2026-01-02"] * 2]).astype("datetime64[ns]") if have == "datetime64[ns]" else np.ones((1, 2), have)
            cases += [
                Held(f"a tensor of {have} for {want}", [tensor(want, [-1, 2])], values),
                Held(f"a frame of {have} for a tensor of {want}", [tensor(want, [-1, 2])], pd.DataFrame(values)),
                Held(f"a dictionary of {have} for a named tensor of {want}", [tensor(want, [-1, 2], "x")], {"x": values}),
                Held(f"a column of {have} for a tensor of {want}", [tensor(want, [-1])], pd.DataFrame({"x": values[0]})),
                Held(f"arrays of {have} in a column for a tensor of {want}", [tensor(want, [-1, 2])], pd.DataFrame({"x": list(values)})),
                Held(f"lists of {have} in a column for a tensor of {want}", [tensor(want, [-1, 2], "x")], pd.DataFrame({"x": values.tolist()})),
            ]
    shapes: list[list[int]] = [[-1], [-1, 2], [-1, 3], [2, 2], [-1, -1], [-1, 2, 1], [2, -1]]
    cases += [
        Held(f"shape {have} for {want}", [tensor("float64", want)], np.ones(have))
        for want in shapes
        for have in [(2,), (2, 2), (0, 2), (3, 2), (2, 2, 1), (2, 3), ()]
    ]
    two = [tensor("float64", [-1, 2], "a"), tensor("int64", [-1], "b")]
    return [
        *cases,
        *(
            Held(f"a {kind.__name__} for {want}", [tensor(want, [-1, 3])], kind(np.eye(3)))
            for kind in (csr_matrix, csc_matrix, coo_matrix)
            for want in ("float64", "float32")
        ),
        Held("a sparse matrix of another shape", [tensor("float64", [-1, 2])], csr_matrix(np.eye(3))),
        Held("a list for a tensor", [tensor("float64", [-1, 2])], [[1.0, 2.0]]),
        Held("a series for a tensor", [tensor("float64", [-1])], pd.Series([1.0, 2.0])),
        Held("a scalar for a tensor", [tensor("float64", [-1])], 1.0),
        Held("big-endian", [tensor("float64", [-1])], np.ones(2, ">f8")),
        Held("ragged for a free shape", [tensor("float64", [-1, -1])], np.array([[1.0], [1.0, 2.0], None], dtype=object)[:2]),
        Held("two tensors", two, {"a": np.ones((1, 2)), "b": np.array([1])}),
        Held("two tensors, one missing", two, {"a": np.ones((1, 2))}),
        Held("two tensors, one too many", two, {"a": np.ones((1, 2)), "b": np.array([1]), "c": np.array([1])}),
        Held("two tensors, a list", two, {"a": [[1.0, 2.0]], "b": np.array([1])}),
        Held("two tensors from an array", two, np.ones((1, 2))),
        Held("two tensors from a frame", two, pd.DataFrame({"b": [1, 2], "a": [[1, 2], [3, 4]]})),
        Held("one named tensor from an array", [tensor("float64", [-1, 2], "a")], np.ones((1, 2))),
        Held("one named tensor from a frame without it", [tensor("float64", [-1, 2], "a")], pd.DataFrame({"b": [[1.0, 2.0]]})),
        Held("a frame of two types", [tensor("float64", [-1, 2])], pd.DataFrame({"a": [1.5], "b": [1]})),
        Held("an empty frame", [tensor("float64", [-1, 2])], pd.DataFrame({"a": [], "b": []})),
    ]


HELD = [*_of_types(), *_of_other_containers(), *_of_nested(), *_of_columns(), *_of_tensors()]

# One value of everything that may be given for a parameter.
_GIVEN: dict[str, Any] = {
    **{f"{kind.__name__} 1": kind(1) for kind in (int, float, bool, str, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64)},
    **{f"{kind.__name__} 1": kind(1) for kind in (np.float16, np.float32, np.float64, np.bool_, np.str_, decimal.Decimal)},
    "2**31": 2**31,
    "2**70": 2**70,
    "1.5": 1.5,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "1e300": 1e300,
    "None": None,
    "text": "text",
    "bytes": b"a",
    "a date in text": "2026-01-02",
    "a time in text": "2026-01-02T03:04:05",
    "nanoseconds in text": "2026-01-02T03:04:05.123456789",
    "a date": datetime.date(2026, 1, 2),
    "a datetime": datetime.datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001  MLflow's have no zone
    "a timestamp": pd.Timestamp("2026-01-02T03:04:05"),
    "a datetime64": np.datetime64("2026-01-02T03:04:05"),
    "a datetime64 of nanoseconds": np.datetime64("2026-01-02T03:04:05", "ns"),
    "an empty list": [],
    "a list": [1],
    "a list of text": ["a", "b"],
    "a list of floats": [1.5, 2],
    "a list of booleans": [True],
    "a list with None": [None, 1],
    "a list of lists": [[1]],
    "a tuple": (1, 2),
    "an array": np.array([1, 2]),
    "an array of floats": np.array([1.5]),
    "an array of text": np.array(["a"]),
    "an array of two dimensions": np.array([[1]]),
    "a dictionary": {"x": 1.0},
    "a dictionary with another key": {"x": 1.0, "y": 1},
    "a dictionary of text": {"x": "a"},
    "an empty dictionary": {},
    "a set": {1},
}
_DEFAULTS = {"long": 3, "integer": 1, "double": 0.5, "float": 0.25, "string": "n", "boolean": False, "datetime": "2026-01-02T00:00:00"}


def _of_params() -> list[HeldParams]:
    cases = []
    for kind, default in _DEFAULTS.items():
        one = [{"name": "p", "type": kind, "default": default, "shape": None}]
        many = [{"name": "p", "type": kind, "default": [default], "shape": [-1]}]
        for what, value in _GIVEN.items():
            cases += [HeldParams(f"{what} for {kind}", one, {"p": value}), HeldParams(f"{what} for a list of {kind}", many, {"p": value})]
    point = [{"name": "p", "default": {"x": 1.0}, "shape": None, **POINT}]
    cases += [HeldParams(f"{what} for an object", point, {"p": value}) for what, value in _GIVEN.items()]
    whole: list[Any] = [None, {}, {"other": 1}, {"top": 1, "other": 2}, {1: 2}, [1], "text", 5, {"threshold": 1, "top": 2}, {"top": "x", "on": 1}]
    cases += [HeldParams(f"{value} for ten params", PARAMS, value) for value in whole]
    return [*cases, *(HeldParams(f"{value} for no params", None, value) for value in whole)]


HELD_PARAMS = _of_params()
