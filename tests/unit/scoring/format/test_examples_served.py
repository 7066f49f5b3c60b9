"""A model's own input example: what it makes of the frame in process, it makes of the saved request, in every form that a request has."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployer_scoring.enforcement.enforce import enforce
from deployer_scoring.errors import SchemaError
from deployer_scoring.format.examples import example_of
from deployer_scoring.format.inference import infer_signature
from deployer_scoring.model.mlmodel import MLModel, PythonFunction
from deployer_scoring.schema.signature import ModelSignature
from deployer_scoring.wire.decoding import Decoder
from deployer_scoring.wire.inference_codec import InferenceCodec, Route
from deployer_scoring.wire.table import Table


def objects(*values: Any) -> Any:
    return pd.Series(values, dtype=object)


UTC = dt.timezone.utc
DATETIMES = pd.to_datetime(pd.Series([pd.Timestamp("2026-01-02T03:04:05.5"), pd.Timestamp("2026-01-02")]))
# Two values of each kind of column, and its type.
WHOLE: dict[str, tuple[Any, str]] = {
    "booleans": ([True, False], "boolean"),
    "int8": (np.array([1, -2], "int8"), "integer"),
    "uint16": (np.array([1, 2], "uint16"), "integer"),
    "int32": (np.array([1, -(2**31)], "int32"), "integer"),
    "uint32": (np.array([1, 2**32 - 1], "uint32"), "long"),
    "int64": ([2**53 + 1, -(2**63)], "long"),
    "float32": (np.array([0.1, 1e30], "float32"), "float"),
    "float64": ([0.1, 1e300], "double"),
    "strings": (["a", "ÿ\n\0"], "string"),
    "bytes": ([b"x" * 100, b"\xff\0"], "binary"),
    "datetimes": (DATETIMES, "datetime"),
    "datetimes with a zone": (DATETIMES.dt.tz_localize("Europe/Paris"), "datetime"),
    "datetimes of two zones": (objects(pd.Timestamp("2026-01-02", tz="UTC"), pd.Timestamp("2026-01-02", tz="Europe/Paris")), "datetime"),
    "Python's datetimes": (objects(dt.datetime(2026, 1, 2), dt.datetime(2026, 1, 2, 3, 4, 5, 6)), "datetime"),  # noqa: DTZ001
    "Python's datetimes with a zone": (objects(dt.datetime(2026, 1, 2, tzinfo=UTC), dt.datetime(2026, 1, 2, 3, tzinfo=UTC)), "datetime"),
    "dates": (objects(dt.date(2026, 1, 2), dt.date(1999, 12, 31)), "datetime"),
    "categories": (pd.Categorical(["a", "b"]), "string"),
    "categories of integers": (pd.Categorical([1, 2]), "long"),
    "categories of booleans": (pd.Categorical([True, False]), "boolean"),
    "Int64": (pd.array([1, 2], dtype="Int64"), "long"),
    "boolean": (pd.array([True, False], dtype="boolean"), "boolean"),
    "Float64": (pd.array([1.5, 2], dtype="Float64"), "double"),
    "lists of integers": ([[1, 2], [3]], "Array(long)"),
    "lists of floats": ([[1.0, 2.5], []], "Array(double)"),
    "lists of strings": ([["a"], ["b", "c"]], "Array(string)"),
    "lists of bytes": ([[b"x\0"], [b"y"]], "Array(binary)"),
    "lists of datetimes": ([[dt.datetime(2026, 1, 2)], [dt.datetime(2026, 1, 2, 3, 4, 5, 6)]], "Array(datetime)"),  # noqa: DTZ001
    "lists of int32": ([np.array([1, 2], "int32"), np.array([3], "int32")], "Array(integer)"),
    "lists of float32": ([np.array([0.1], "float32"), np.array([3, 4], "float32")], "Array(float)"),
    "lists of lists": ([[[1], [2, 3]], [[4]]], "Array(Array(long))"),
    "objects": (
        [{"b": b"x", "d": dt.datetime(2026, 1, 2), "x": 1.0}, {"b": b"y", "d": dt.datetime(2026, 1, 2, 3, 4), "x": 2.5}],  # noqa: DTZ001
        "{b: binary, d: datetime, x: double}",
    ),
    "objects with gaps": ([{"n": 1, "s": None}, {"n": 2, "s": "a"}], "{n: long, s: string (optional)}"),
    "lists of objects": ([[{"n": 1}], [{"n": 2}, {"n": 3}]], "Array({n: long})"),
}
# The same, the second one missing.
GAPS: dict[str, tuple[Any, str]] = {
    "booleans": (objects(True, None), "boolean"),
    "boolean": (pd.array([False, None], dtype="boolean"), "boolean"),
    "Int8": (pd.array([1, None], dtype="Int8"), "integer"),
    "Int64": (pd.array([2**53 + 1, None], dtype="Int64"), "long"),
    "nothing in Int64": (pd.array([None, None], dtype="Int64"), "long"),
    "float64": ([0.1, None], "double"),
    "float32": (np.array([0.1, np.nan], "float32"), "float"),
    "Float64": (pd.array([0.1, None], dtype="Float64"), "double"),
    "strings": (["a", None], "string"),
    "bytes": ([b"\xff", None], "binary"),
    "datetimes": (pd.to_datetime(pd.Series(["2026-01-02", None])), "datetime"),
    "datetimes with a zone": (pd.to_datetime(pd.Series(["2026-01-02", None])).dt.tz_localize("UTC"), "datetime"),
    "dates": (objects(dt.date(2026, 1, 2), None), "datetime"),
    "categories": (pd.Categorical(["a", None]), "string"),
    "categories of integers": (pd.Categorical([1, None]), "long"),
    "nothing": ([None, None], "any"),
    "lists": ([[1], None], "Array(long)"),
    "objects": ([{"n": 1}, None], "{n: long (optional)}"),
}
FORMS = ["saved", "records", "instances", "rows", "columns"]


def requests(frame: pd.DataFrame) -> dict[str, str]:
    saved = example_of(frame).request
    content = json.loads(saved)["dataframe_split"]
    rows = [dict(zip(content["columns"], row)) for row in content["data"]]
    others = {
        "records": {"dataframe_records": rows},
        "instances": {"instances": rows},
        "rows": {"inputs": rows},
        "columns": {"inputs": {name: [row[name] for row in rows] for name in content["columns"]}},
    }
    return {"saved": saved, **{form: json.dumps(body) for form, body in others.items()}}


def served(body: str, signature: ModelSignature) -> Any:
    data = Decoder(MLModel(Path(), PythonFunction("a"), {}, signature)).decode(body.encode(), "application/json").data
    return data.frame() if isinstance(data, Table) else enforce(data, signature.inputs)


def plain(value: Any) -> Any:
    """A cell as Python has it, whatever holds it."""
    if isinstance(value, np.ndarray):
        value = list(pd.DatetimeIndex(value)) if value.dtype.kind == "M" else value.tolist()
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return None if pd.isna(value) else value.item() if isinstance(value, np.generic) else value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rows", [2, 1])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("values", "kind"), [*WHOLE.values(), *GAPS.values()], ids=[*WHOLE, *(f"{name} with a gap" for name in GAPS)])
def test_the_example_of_a_frame_is_served_with_its_own_values(values: Any, kind: str, form: str, rows: int) -> None:
    whole = pd.DataFrame({"x": values, "y": [1, 2]})
    signature = infer_signature(whole)
    assert signature.inputs is not None
    assert str(signature.inputs.columns[0].type) == kind
    frame = whole[:rows]
    wanted, found = enforce(frame, signature.inputs), served(requests(frame)[form], signature)
    assert [[plain(cell) for cell in found[name]] for name in found] == [[plain(cell) for cell in wanted[name]] for name in wanted]
    if "Array" not in kind:
        assert [str(each).replace("string", "object") for each in found.dtypes] == [str(each).replace("string", "object") for each in wanted.dtypes]


TENSORS = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
    "datetime": "BYTES",
}
PARAMETERS = {"binary": {"content_type": "base64"}}  # the protocol has bytes as text
SCALARS = {name: case for name, case in {**WHOLE, **{f"{name} with a gap": case for name, case in GAPS.items()}}.items() if case[1] in TENSORS}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("values", "kind"), SCALARS.values(), ids=SCALARS)
def test_the_example_of_a_frame_is_served_with_its_own_values_as_tensors(values: Any, kind: str) -> None:
    frame = pd.DataFrame({"x": values, "y": [1, 2]})
    signature = infer_signature(frame)
    content = json.loads(example_of(frame).request)["dataframe_split"]
    tensors = [
        {"name": name, "datatype": TENSORS[datatype], "shape": [2], "data": list(data), "parameters": PARAMETERS.get(datatype, {})}
        for name, datatype, data in zip(content["columns"], (kind, "long"), zip(*content["data"]))
    ]
    codec = InferenceCodec(MLModel(Path(), PythonFunction("a"), {}, signature))
    data = codec.decode(json.dumps({"inputs": tensors}).encode(), str(Route("m", "1"))).data
    found = data.frame() if isinstance(data, Table) else enforce(data, signature.inputs)
    wanted = enforce(frame, signature.inputs)
    assert [[plain(cell) for cell in found[name]] for name in found] == [[plain(cell) for cell in wanted[name]] for name in wanted]


NUMBERS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", [(4,), (2, 2), (2, 1, 2)])
@pytest.mark.parametrize("dtype", [*NUMBERS, "str", "bytes", "datetime64[ns]", "datetime64[s]", "datetime64[D]"])
@pytest.mark.parametrize("named", [False, True])
def test_the_example_of_an_array_is_served_with_its_own_values(dtype: str, shape: tuple[int, ...], named: bool) -> None:
    flat: Any = {"str": ["a", "ÿ", "", "d"], "bytes": [b"a", b"\xff", b"", b"dd"]}.get(dtype, [0, 1, 1, 0])
    if dtype.startswith("datetime64"):
        flat = ["2026-01-02", "1999-12-31", "2026-01-02", "1970-01-01"]
    array = np.array(flat).astype(dtype).reshape(shape)
    data = {"a": array, "b": np.array([1.5])} if named else array
    signature = infer_signature(data)
    found = served(example_of(data).request, signature)
    tensor = found["a"] if named else found
    assert (tensor.dtype.kind, tensor.shape) == (array.dtype.kind, shape)
    assert tensor.tolist() == array.tolist()


@pytest.mark.parametrize("names", [pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]), pd.Index([("a", "x"), "b"], tupleize_cols=False)])
def test_names_with_levels_make_no_signature(names: Any) -> None:
    with pytest.raises(SchemaError, match="levels"):
        infer_signature(pd.DataFrame([[1.0, 2.0]], columns=names))
