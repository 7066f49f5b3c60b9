"""Requests for the comparison with MLflow's own server: signatures, bodies, content types.

A case is plain JSON, because it travels to another interpreter. A signature is written as MLflow's JSON; a body that is a string is
sent as it stands, anything else as JSON.
"""

from __future__ import annotations

from typing import Any, NamedTuple

JSON, CSV = "application/json", "text/csv"


class Case(NamedTuple):
    """One request to a model that has this signature."""

    name: str
    inputs: list[dict[str, Any]] | None
    body: Any
    content_type: str = JSON
    params: list[dict[str, Any]] | None = None
    type_hints: bool = False


def column(kind: Any, name: str | None = "x", required: bool = True) -> dict[str, Any]:
    spec = {"type": kind} if isinstance(kind, str) else dict(kind)
    return {**spec, **({} if name is None else {"name": name}), "required": required}


def tensor(dtype: str, shape: list[int], name: str | None = None) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}, **({} if name is None else {"name": name})}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": items} if isinstance(items, str) else items}


def mapping(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": {"type": values} if isinstance(values, str) else values}


POINT = {"type": "object", "properties": {"x": {"type": "double", "required": True}, "label": {"type": "string", "required": False}}}
ABC = [column("double", "a"), column("long", "b"), column("string", "c")]
OPTIONAL = [column("double", "a"), column("long", "b", required=False), column("string", "c", required=False)]
UNNAMED = [column("double", None), column("long", None)]
OPTIONAL_VALUES = [column("long", "l", required=False), column("boolean", "b", required=False), column("datetime", "t", required=False)]

# For each type, values of one column that a JSON request may hold, right and wrong.
VALUES: dict[str, list[list[Any]]] = {
    "boolean": [[True, False], [1, 0], [True, None], ["true", "false"], [0.0, 1.0], [None, None]],
    "integer": [[1, -2], [1.0, 2.0], [1.5, 2.0], [1, None], [2**31, 1], [True, False], ["1", "2"], [2**63, 1], []],
    "long": [[1, -2], [1.0, 2.0], [1.5, 2.0], [1, None], [2**62, 1], [2**64, 1], [True, False], ["1", "x"], [None, None]],
    "float": [[0.1, 1e30], [1, 2], [1, 0], [0.5, None], [1e300, 1.0], ["0.5", "1"], [True, False]],
    "double": [[0.1, 1e300], [1, 2], [2**60, 1], [2**64, 1], [1, None], ["0.5", "x"], ["0.5", "1"], [True, False], [None, None], [[1.0], [2.0]]],
    "string": [["a", "ÿ"], ["a", None], [1, 2], [1.5, None], [True, False], [None, None], [["a"], ["b"]], ["", " "]],
    "binary": [["AAH/", "YWI="], ["!!", "a"], [1, 2], ["ÿ", ""], [None, "YQ=="]],
    "datetime": [
        ["2026-01-02", "1999-12-31T23:59:59"],
        ["2026-01-02T03:04:05.123456789", None],
        ["2026-01-02T00:00:00+02:00", "2026-01-02T00:00:00+02:00"],
        ["no date", "2026-01-02"],
        [1, 2],
        ["2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"],
        [None, None],
    ],
}
NESTED: list[tuple[str, dict[str, Any], list[Any]]] = [
    ("list of doubles", array("double"), [[1.0, 2.0], [3.5]]),
    ("list of doubles from integers", array("double"), [[1, 2], [3]]),
    ("list of longs from floats", array("long"), [[1.0, 2.5]]),
    ("list of longs", array("long"), [[1, 2], []]),
    ("list of strings with null", array("string"), [["a", None]]),
    ("list of booleans", array("boolean"), [[True, False]]),
    ("list of datetimes", array("datetime"), [["2026-01-02"]]),
    ("list of lists", array(array("long")), [[[1], [2, 3]]]),
    ("list that is a scalar", array("double"), [1.0]),
    ("list that is null", array("double"), [None]),
    ("list of any", array("any"), [[1, "a", None], [], None]),
    ("object", POINT, [{"x": 1.0, "label": "a"}, {"x": 2.5}]),
    ("object with integer for double", POINT, [{"x": 1}]),
    ("object without its key", POINT, [{"label": "a"}]),
    ("object with another key", POINT, [{"x": 1.0, "y": 2}]),
    ("object that is a list", POINT, [[1.0]]),
    ("object that is null", POINT, [None]),
    ("object with null in optional", POINT, [{"x": 1.0, "label": None}]),
    ("list of objects", array(POINT), [[{"x": 1.0}], [{"x": 2.0, "label": "b"}]]),
    ("map", mapping("long"), [{"a": 1, "b": 2}, {}]),
    ("map with float for long", mapping("long"), [{"a": 1.5}]),
    ("map of lists", mapping(array("double")), [{"a": [1.0, 2.0]}]),
    ("map that is a list", mapping("long"), [[1]]),
    ("map that is null", mapping("long"), [None]),
    ("map of any", mapping("any"), [{"a": None, "b": [1]}]),
    ("any", {"type": "any"}, [1, "a", None, {"b": [1]}]),
    ("vector", {"type": "sparkml_vector"}, [[1.0, 2.0]]),
]
PARAMS: list[dict[str, Any]] = [
    {"name": "top", "type": "long", "default": 3, "shape": None},
    {"name": "threshold", "type": "double", "default": 0.5, "shape": None},
    {"name": "single", "type": "float", "default": 0.25, "shape": None},
    {"name": "small", "type": "integer", "default": 1, "shape": None},
    {"name": "name", "type": "string", "default": "n", "shape": None},
    {"name": "on", "type": "boolean", "default": False, "shape": None},
    {"name": "since", "type": "datetime", "default": "2026-01-02T00:00:00", "shape": None},
    {"name": "labels", "type": "string", "default": ["a"], "shape": [-1]},
    {"name": "weights", "type": "double", "default": [0.5, 1.0], "shape": [-1]},
    {"name": "point", "default": {"x": 1.0}, "shape": None, **POINT},
]
PARAM_VALUES: list[dict[str, Any]] = [
    {},
    {"top": 5, "threshold": 1, "labels": ["b", "c"]},
    {"threshold": 1.5, "unknown": 1},
    {"top": 1.5},
    {"top": True},
    {"top": "5"},
    {"top": None},
    {"small": 7, "single": 2, "name": "ÿ", "on": True},
    {"name": 5},
    {"on": 1},
    {"on": "true"},
    {"since": "2020-02-02"},
    {"since": "no date"},
    {"since": 5},
    {"labels": "b"},
    {"labels": []},
    {"labels": [["b"]]},
    {"labels": [1]},
    {"weights": [1, 2.5]},
    {"weights": [None]},
    {"point": {"x": 1, "label": "a"}},
    {"point": {"label": "a"}},
    {"point": 5},
    {"top": [1]},
    {"threshold": {"a": 1}},
]


def split(columns: Any, *rows: list[Any], **more: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": columns, "data": list(rows), **more}}


def _of_types() -> list[Case]:
    cases = []
    for kind, columns in VALUES.items():
        for values in columns:
            said = f"{kind} from {values}"[:60]
            inputs = [column(kind)]
            cases += [
                Case(f"split, {said}", inputs, split(["x"], *([value] for value in values))),
                Case(f"records, {said}", inputs, {"dataframe_records": [{"x": value} for value in values]}),
                Case(f"inputs, {said}", inputs, {"inputs": {"x": values}}),
                Case(f"instances, {said}", inputs, {"instances": [{"x": value} for value in values]}),
                Case(f"unnamed inputs, {said}", [column(kind, None)], {"inputs": values}),
                Case(
                    f"optional, {said}",
                    [column("long", "y"), column(kind, required=False)],
                    {"dataframe_records": [{"x": value, "y": 1} for value in values]},
                ),
            ]
    return cases


def _of_nested() -> list[Case]:
    cases = []
    for said, kind, values in NESTED:
        for required in (True, False):
            mark = "" if required else "optional "
            inputs = [column(kind, required=required), column("long", "y")]
            cases += [
                Case(f"split, {mark}{said}", inputs, split(["x", "y"], *([value, 1] for value in values))),
                Case(f"inputs, {mark}{said}", inputs, {"inputs": [{"x": value, "y": 1} for value in values]}),
                Case(f"inputs of one row, {mark}{said}", inputs, {"inputs": {"x": values[0], "y": 1}}),
                Case(f"instances, {mark}{said}", inputs, {"instances": [{"x": value, "y": 1} for value in values]}),
            ]
    return cases


def _of_tensors() -> list[Case]:
    square = [tensor("float32", [-1, 2, 2])]
    named = [tensor("float64", [-1, 2], "a"), tensor("int64", [-1], "b")]
    rows = [[[1, 2], [3, 4]]]
    return [
        Case("tensor from inputs", square, {"inputs": rows}),
        Case("tensor from instances", square, {"instances": rows}),
        Case("tensor of another shape", square, {"inputs": [[1, 2]]}),
        Case("tensor from ragged lists", square, {"inputs": [[[1, 2], [3]]]}),
        Case("tensor from text", square, {"inputs": [[["a", "b"], ["c", "d"]]]}),
        Case("tensor from a scalar", [tensor("float64", [-1])], {"inputs": 5}),
        Case("tensor from a dictionary", square, {"inputs": {"a": rows}}),
        Case("tensor from a frame of lists", [tensor("float64", [-1, 2])], split(["x"], [[1, 2]], [[3, 4]])),
        Case("tensor from a frame of flat lists", square, split(["x"], [[1, 2, 3, 4]], [[5, 6, 7, 8]])),
        Case("tensor from a frame of scalars", [tensor("float64", [-1, 2])], split(["a", "b"], [1.0, 2.0], [3.0, 4.0])),
        Case("tensor from a frame of integers", [tensor("float64", [-1, 2])], split(["a", "b"], [1, 2], [3, 4])),
        Case("tensor from a frame too wide", [tensor("float64", [-1, 2])], split(["a", "b", "c"], [1.0, 2.0, 3.0])),
        Case("tensor from an empty frame", [tensor("float64", [-1, 2])], split(["a", "b"])),
        Case("tensor from one column", [tensor("float64", [-1, 1])], split(["a"], [1.0], [2.0])),
        Case("fixed first dimension", [tensor("float64", [2])], split(["a"], [1.0], [2.0])),
        Case("fixed first dimension from inputs", [tensor("float64", [2])], {"inputs": [1.0, 2.0]}),
        Case("tensor of strings", [tensor("str", [-1])], {"inputs": ["a", "bc"]}),
        Case("tensor of objects", [tensor("object", [-1])], {"inputs": ["a", 1]}),
        Case("tensor of bytes from a frame", [tensor("bytes", [-1])], split(["x"], ["ab"], ["c"])),
        Case("ragged tensor", [tensor("object", [-1, -1])], {"inputs": [[1], [2, 3]]}),
        Case("named tensors", named, {"inputs": {"a": [[1, 2]], "b": [3]}}),
        Case("named tensors, one missing", named, {"inputs": {"a": [[1, 2]]}}),
        Case("named tensors, one too many", named, {"inputs": {"a": [[1, 2]], "b": [3], "c": [4]}}),
        Case("named tensors from instances", named, {"instances": [{"a": [1, 2], "b": 3}, {"a": [4, 5], "b": 6}]}),
        Case("named tensors from rows that differ", named, {"instances": [{"a": [1, 2], "b": 3}, {"a": [4, 5]}]}),
        Case("named tensors from a frame", named, split(["b", "a"], [3, [1, 2]], [4, [5, 6]])),
        Case("named tensors from a list", named, {"inputs": [[1, 2]]}),
        Case("one named tensor from a list", [tensor("float64", [-1, 2], "a")], {"inputs": [[1, 2]]}),
        Case("one named tensor from instances", [tensor("float64", [-1, 2], "a")], {"instances": [[1, 2]]}),
    ]


def _of_frames() -> list[Case]:
    row = [1.5, 2, "t"]
    return [
        Case("columns in order", ABC, split(["a", "b", "c"], row)),
        Case("columns in another order", ABC, split(["c", "a", "b"], ["t", 1.5, 2])),
        Case("an extra column", ABC, split(["z", "a", "b", "c"], [0, *row])),
        Case("a missing column", ABC, split(["a", "c"], [1.5, "t"])),
        Case("two missing columns", ABC, split(["a", "z"], [1.5, "t"])),
        Case("a column twice", ABC, split(["a", "a", "b", "c"], [1.5, *row])),
        Case("no columns named", ABC, {"dataframe_split": {"data": [row]}}),
        Case("no data", ABC, {"dataframe_split": {"columns": ["a", "b", "c"]}}),
        Case("no rows", ABC, split(["a", "b", "c"])),
        Case("rows too short", ABC, split(["a", "b", "c"], [1.5])),
        Case("rows too long", ABC, split(["a", "b", "c"], [*row, 5])),
        Case("an index", ABC, split(["a", "b", "c"], row, row, index=[7, 3])),
        Case("an index of the wrong length", ABC, split(["a", "b", "c"], row, index=[7, 3])),
        Case("another key in split", ABC, split(["a", "b", "c"], row, dtypes=[])),
        Case("split that is a list", ABC, {"dataframe_split": [row]}),
        Case("split that is null", ABC, {"dataframe_split": None}),
        Case("records that are an object", ABC, {"dataframe_records": {"a": 1}}),
        Case("records that are scalars", ABC, {"dataframe_records": [1, 2]}),
        Case("records that differ", ABC, {"dataframe_records": [{"a": 1.0, "b": 1, "c": "x"}, {"a": 1.0, "c": "x"}]}),
        Case("no records", ABC, {"dataframe_records": []}),
        Case("optional columns there", OPTIONAL, split(["c", "b", "a"], ["t", 2, 1.5])),
        Case("optional columns not there", OPTIONAL, split(["a"], [1.5])),
        Case("optional column of the wrong type", OPTIONAL, split(["a", "b"], [1.5, "x"])),
        Case("optional from inputs", OPTIONAL, {"inputs": {"a": [1.5, 2.5], "c": ["x", "y"]}}),
        Case("optional from rows that differ", OPTIONAL, {"instances": [{"a": 1.5, "c": "x"}, {"a": 2.5}]}),
        Case("unnamed columns", UNNAMED, {"dataframe_split": {"data": [[1.5, 2]]}}),
        Case("unnamed columns that have names", UNNAMED, split(["p", "q"], [1.5, 2])),
        Case("unnamed columns, one too many", UNNAMED, split(["p", "q", "r"], [1.5, 2, 3])),
        Case("unnamed columns, one missing", UNNAMED, split(["p"], [1.5])),
        Case("unnamed columns from records", UNNAMED, {"dataframe_records": [{"p": 1, "q": 2}]}),
        Case("unnamed columns from inputs", UNNAMED, {"inputs": [[1.5, 2], [2.5, 3]]}),
        Case("one row as a dictionary", ABC, {"inputs": {"a": 1.5, "b": 2, "c": "t"}}),
        Case("rows as dictionaries", ABC, {"inputs": [{"a": 1.5, "b": 2, "c": "t"}, {"a": 2.5, "b": 3, "c": "u"}]}),
        Case("one unnamed string", [column("string", None)], {"inputs": "text"}),
        Case("one named string column from a list", [column("string")], {"inputs": ["a", "b"]}),
        Case("a matrix for one named column", [column("double")], {"inputs": [[1.0, 2.0]]}),
        Case("columns that differ in length", ABC, {"inputs": {"a": [1.5, 2.5], "b": [2], "c": ["t"]}}),
        Case("instances that differ in keys", ABC, {"instances": [{"a": 1.5, "b": 2, "c": "t"}, {"a": 1.5, "b": 2}]}),
        Case("instances of columns that differ in length", ABC, {"instances": {"a": [1.5, 2.5], "b": [2], "c": ["t"]}}),
        Case("instances first object then list", ABC, {"instances": [{"a": 1.5}, [1]]}),
    ]


def _without_signature() -> list[Case]:
    return [
        Case("split without a signature", None, split(["a", "b"], [1, "x"], [2.5, None])),
        Case("records without a signature", None, {"dataframe_records": [{"a": 1, "b": [1, 2]}]}),
        Case("inputs without a signature", None, {"inputs": [[1, 2], [3, 4]]}),
        Case("inputs by name without a signature", None, {"inputs": {"a": [1, 2], "b": "x"}}),
        Case("inputs as rows without a signature", None, {"inputs": [{"a": 1}, {"a": 2}]}),
        Case("instances without a signature", None, {"instances": [1, 2.5]}),
        Case("instances as rows without a signature", None, {"instances": [{"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4]}]}),
        Case("a scalar without a signature", None, {"inputs": 5}),
        Case("null without a signature", None, {"inputs": None}),
        Case("no instances", None, {"instances": []}),
        Case("csv without a signature", None, "a,b\n1,x\n2.5,\n", CSV),
        Case("params without a schema", None, {"inputs": [1], "params": {"a": 1}}),
        Case("params that are a list without a schema", None, {"inputs": [1], "params": [1]}),
        Case("NaN and Infinity", None, '{"inputs": [NaN, Infinity, -Infinity]}'),
        Case("a number past a double", None, '{"inputs": [1e400]}'),
        Case("large integers", None, '{"inputs": [9223372036854775807, 9223372036854775808]}'),
        Case("larger integers", None, '{"inputs": [18446744073709551616]}'),
        Case("duplicate keys", None, '{"inputs": [1], "inputs": [2]}'),
        Case("numbers at the edge", None, '{"inputs": [0.1, 1e-320, 123456789.123456789, -0.0, 5e-324, 1.7976931348623157e308]}'),
    ]


def _of_bodies() -> list[Case]:
    return [
        Case("an empty body", ABC, ""),
        Case("not JSON", ABC, "{"),
        Case("a list", ABC, [1, 2]),
        Case("a number", ABC, 5),
        Case("null", ABC, None),
        Case("an empty object", ABC, {}),
        Case("no format", ABC, {"rows": [[1]]}),
        Case("two formats", ABC, {"inputs": [1], "instances": [1]}),
        Case("a format and an unknown key", [column("double")], {"inputs": [1.5], "comment": "x"}),
        Case("TensorFlow's signature_name", [column("double")], {"inputs": [1.5], "signature_name": "x"}),
        Case("a charset", [column("double")], {"inputs": [1.5]}, "application/json; charset=UTF-8"),
        Case("another charset", [column("double")], {"inputs": [1.5]}, "application/json; charset=latin-1"),
        Case("another parameter", [column("double")], {"inputs": [1.5]}, "application/json; version=2"),
        Case("another content type", [column("double")], {"inputs": [1.5]}, "text/plain"),
        Case("csv", ABC, "c,a,b\nt,1.5,2\nu,2.5,3\n", CSV),
        Case("csv without a column", ABC, "a,b\n1.5,2\n", CSV),
        Case("csv with an integer for a double", ABC, "a,b,c\n1,2,t\n", CSV),
        Case("csv with a gap in integers", ABC, "a,b,c\n1,,t\n", CSV),
        Case("csv with a gap in strings", ABC, "a,b,c\n1,2,\n", CSV),
        Case("csv with text for a number", ABC, "a,b,c\nx,2,t\n", CSV),
        Case("csv with quotes", ABC, 'a,b,c\n1,2,"t, ""u""\nv"\n', CSV),
        Case("csv with a header alone", ABC, "a,b,c\n", CSV),
        Case("csv with nothing", ABC, "", CSV),
        Case("csv with rows that differ", ABC, "a,b,c\n1,2,t\n1,2,t,5\n", CSV),
        Case("csv with all rows longer", ABC, "a,b,c\n1,2,t,5\n", CSV),
        Case("csv with rows that are shorter", ABC, "a,b,c\n1,2,t\n1,2\n", CSV),
        Case("csv with commas at the ends", ABC, "a,b,c\n1,2,t,\n1,2,u,\n", CSV),
        Case("csv with a name twice", ABC, "a,b,c,c\n1,2,t,u\n", CSV),
        Case("csv with a column without a name", ABC, ",a,b,c\n0,1,2,t\n", CSV),
        Case("csv with booleans for a double", ABC, "a,b,c\nTrue,2,t\n", CSV),
        Case("csv with a mark and other ends of lines", ABC, "\ufeffa,b,c\r\n1,2,t\r\n\r\n2,3,u\r\n", CSV),
        Case("csv for binary", [column("binary")], "x\naGk=\n", CSV),
        Case("csv for optional values", OPTIONAL_VALUES, "l,b,t\n1,True,2026-01-02\n,,\n", CSV),
        Case("csv for booleans", [column("boolean")], "x\nTrue\nFalse\n", CSV),
        Case("csv for datetimes", [column("datetime")], "x\n2026-01-02\n", CSV),
        Case("csv for tensors", [tensor("float64", [-1])], "x\n1.5\n", CSV),
        Case("csv for lists", [column(array("double"))], "x\n[1.5]\n", CSV),
        Case("csv for unnamed columns", UNNAMED, "p,q\n1.5,2\n", CSV),
        Case("csv for optional columns", OPTIONAL, "a\n1.5\n", CSV),
    ]


def _of_params() -> list[Case]:
    cases = [Case(f"params {values}", [column("double")], {"inputs": [1.5], "params": values}, JSON, PARAMS) for values in PARAM_VALUES]
    return [
        *cases,
        Case("params that are a list", [column("double")], {"inputs": [1.5], "params": [1]}, JSON, PARAMS),
        Case("params that are null", [column("double")], {"inputs": [1.5], "params": None}, JSON, PARAMS),
        Case("no params", [column("double")], {"inputs": [1.5]}, JSON, PARAMS),
        Case("csv, so no params", [column("double")], "x\n1.5\n", CSV, PARAMS),
    ]


def _of_language_models() -> list[Case]:
    message = {"type": "object", "properties": {"role": {"type": "string"}, "content": {"type": "string"}}}
    messages = [column(array(message), "messages")]
    body = {"messages": [{"role": "user", "content": "hello"}]}
    temperature = [{"name": "temperature", "type": "double", "default": 1.0, "shape": None}]
    return [
        Case("messages", messages, body),
        Case("messages and a param", messages, {**body, "temperature": 0.5}, JSON, temperature),
        Case("messages and an unknown key", messages, {**body, "stream": True}, JSON, temperature),
        Case("messages of the wrong type", messages, {"messages": "hello"}),
        Case("messages to a model of columns", ABC, body),
        Case("prompt", [column("string", "prompt")], {"prompt": "hello"}),
        Case("prompts", [column("string", "prompt")], {"prompt": ["hello", "you"]}),
        Case("input", [column("string", "input")], {"input": "hello"}),
        Case("messages without a signature", None, body),
        Case("type hints", [column("string", None)], {"inputs": ["a", 1]}, type_hints=True),
        Case("type hints without inputs", [column("string", None)], {"instances": ["a"]}, type_hints=True),
        Case("type hints and messages", [column(array(message), "messages")], body, type_hints=True),
    ]


CASES = [
    *_of_types(),
    *_of_nested(),
    *_of_tensors(),
    *_of_frames(),
    *_without_signature(),
    *_of_bodies(),
    *_of_params(),
    *_of_language_models(),
]
