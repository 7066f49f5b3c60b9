"""Run by the interpreter that has the real MLflow, with our runtime on its path: asks both what they make of the same requests.

Reads cases (tests/e2e/scoring_cases.py) as a JSON list on stdin and writes a JSON list of what MLflow's scoring server and our scorer did.
The model behind both describes what reached it: types, dtypes, shapes and values.
"""

from __future__ import annotations

import copy
import datetime
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import numpy as np  # noqa: E402  warnings are silenced first
import pandas as pd  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import Model, ModelSignature  # noqa: E402
from mlflow.models.utils import _enforce_params_schema, _enforce_schema  # noqa: E402
from mlflow.pyfunc import PyFuncModel  # noqa: E402
from mlflow.pyfunc.scoring_server import invocations, predictions_to_json  # noqa: E402
from mlflow.types import ParamSchema, Schema  # noqa: E402

from deployer_scoring.enforcement.enforce import enforce  # noqa: E402
from deployer_scoring.enforcement.params import enforce_params  # noqa: E402
from deployer_scoring.errors import EncodingError, InvalidInput  # noqa: E402
from deployer_scoring.loaders.loaded import Loaded  # noqa: E402
from deployer_scoring.model.mlmodel import MLModel, PythonFunction  # noqa: E402
from deployer_scoring.schema.signature import ModelSignature as OurSignature  # noqa: E402
from deployer_scoring.schema.signature import ParamSchema as OurParamSchema  # noqa: E402
from deployer_scoring.schema.signature import Schema as OurSchema  # noqa: E402
from deployer_scoring.scorer import Scorer  # noqa: E402
from deployer_scoring.wire.encoding import encode  # noqa: E402
from tests.e2e.enforcement_cases import HELD, HELD_PARAMS, Held, HeldParams  # noqa: E402


def described(value: Any) -> Any:
    """What a value is, to the last bit, as JSON."""
    if isinstance(value, pd.DataFrame):
        columns = [[described(name), str(value[name].dtype), [described(item) for item in value[name]]] for name in value.columns]
        return {"frame": columns, "index": [described(item) for item in value.index]}
    if isinstance(value, np.ndarray):
        return {"array": str(value.dtype), "shape": list(value.shape), "values": [described(item) for item in value.ravel().tolist()]}
    if hasattr(value, "toarray"):
        return {type(value).__name__: described(value.toarray())}
    if isinstance(value, dict):
        return {"dict": [[described(key), described(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [described(item) for item in value]}
    return f"{type(value).__name__}: {value!r}"


class Recorder:
    """A model that answers with what reached it."""

    def predict(self, model_input: Any, params: Any = None) -> Any:
        return {"data": described(model_input), "params": described(params)}


def ask_mlflow(case: dict[str, Any], body: bytes) -> dict[str, Any]:
    inputs = None if case["inputs"] is None else Schema.from_json(json.dumps(case["inputs"]))
    params = None if case["params"] is None else ParamSchema.from_json(json.dumps(case["params"]))
    signature = ModelSignature(inputs=inputs, params=params) if inputs or params else None
    if signature is not None:
        signature._is_signature_from_type_hint = case["type_hints"]
    meta = Model(flavors={"python_function": {"loader_module": "recorder"}}, signature=signature)
    try:
        done = invocations(body, case["content_type"], PyFuncModel(meta, Recorder()), inputs)
    except MlflowException as error:
        return {"status": error.get_http_status_code(), "error_code": error.error_code, "message": error.message}
    except Exception as error:
        return {"status": 500, "message": f"{type(error).__name__}: {error}"}
    return {"status": done.status, "answer": json.loads(done.response)} if done.status == 200 else {"status": done.status}


def ask_ours(case: dict[str, Any], body: bytes) -> dict[str, Any]:
    inputs = None if case["inputs"] is None else OurSchema.from_json(json.dumps(case["inputs"]))
    params = None if case["params"] is None else OurParamSchema.from_json(json.dumps(case["params"]))
    signature = OurSignature(inputs=inputs, params=params) if inputs or params else None
    model = MLModel(Path(), PythonFunction("recorder"), {}, signature, is_signature_from_type_hint=case["type_hints"])
    try:
        return {"status": 200, "answer": json.loads(Scorer(model, Loaded(Recorder())).answer(body, case["content_type"]))}
    except InvalidInput as error:
        return {"status": error.status, "error_code": error.error_code, "message": str(error)}
    except Exception as error:
        return {"status": 500, "message": f"{type(error).__name__}: {error}"}


# What models return. Written here, because none of it has a JSON form to travel in.
PREDICTIONS: dict[str, Any] = {
    "floats": np.array([0.1, 1e300, -0.0, 5e-324]),
    "floats with gaps": np.array([1.0, np.nan, np.inf, -np.inf]),
    "floats of 32 bits": np.array([0.1, 1e30], dtype="float32"),
    "floats of 16 bits": np.array([0.1], dtype="float16"),
    "big-endian floats": np.array([0.1], dtype=">f8"),
    "integers": np.array([1, -(2**63)]),
    "small integers": np.array([1, 255], dtype="uint8"),
    "unsigned integers": np.array([2**64 - 1], dtype="uint64"),
    "booleans": np.array([True, False]),
    "text": np.array(["a", "ÿ\n\u2028"]),
    "bytes": np.array([b"ab"]),
    "objects": np.array(["a", 1, None, b"ab"], dtype=object),
    "a matrix": np.arange(6.0).reshape(2, 3),
    "a transposed matrix": np.arange(6.0).reshape(2, 3).T,
    "every second": np.arange(6.0)[::2],
    "no dimension": np.array(1.5),
    "nothing": np.array([]),
    "no rows": np.empty((0, 3)),
    "nanoseconds": np.array(["2026-01-02"], dtype="datetime64[ns]"),
    "days": np.array(["2026-01-02"], dtype="datetime64[D]"),
    "complex": np.array([1 + 2j]),
    "a frame": pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None], "c": [True, False], "d": [1, 2]}),
    "a frame of times": pd.DataFrame({"t": pd.to_datetime(["2026-01-02T03:04:05.123", None])}),
    "a frame of times with zones": pd.DataFrame({"t": pd.to_datetime(["2026-01-02"]).tz_localize("Europe/Paris")}),
    "a frame with numbers for names": pd.DataFrame({0: [1.5], 1: [2]}),
    "a frame of categories": pd.DataFrame({"c": pd.Categorical(["a", "b"])}),
    "a frame of nullable integers": pd.DataFrame({"i": pd.array([1, None], dtype="Int64")}),
    "a frame of arrays": pd.DataFrame({"v": [np.array([1.5]), np.array([2, 3])]}),
    "a frame of timedeltas": pd.DataFrame({"t": pd.to_timedelta([1])}),
    "a frame without rows": pd.DataFrame({"a": []}),
    "a frame with an index": pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
    "a series": pd.Series([1.5, 2.5]),
    "a named series": pd.Series([1, 2], name="score"),
    "a list": [1, 2.5, "x", None, True],
    "a list of numpy scalars": [np.float32(0.1), np.int64(3), np.bool_(True), np.str_("x")],
    "a list of arrays": [np.array([1.5]), np.array([[1]])],
    "a list with a gap": [float("nan")],
    "a dictionary": {"a": np.array([1.5]), "b": [np.float64(2)], 3: 4, "d": {"e": b"ab"}},
    "a dictionary with a tuple for a key": {(1, 2): 3},
    "a date": datetime.date(2026, 1, 2),
    "a datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
    "a time": datetime.time(3, 4, 5),
    "a timestamp": pd.Timestamp("2026-01-02T03:04:05.123456789"),
    "a numpy date": [np.datetime64("2026-01-02")],
    "a numpy time": [np.datetime64("2026-01-02T00:00:00", "ns")],
    "not a time": [pd.NaT],
    "not available": [pd.NA],
    "a timedelta": datetime.timedelta(1),
    "bytes alone": b"x" * 100,
    "a set": {1},
    "a tuple": (1, 2),
    "text alone": 'say "ÿ"',
    "nothing at all": None,
    "a number": 5,
    "a large integer": 2**80,
    "an object": object(),
    "a series in a list": [pd.Series([1])],
}


def written(predictions: Any) -> list[Any]:
    """What MLflow writes, and what we write; None for what can't be written."""
    output = io.StringIO()
    try:
        predictions_to_json(predictions, output)
        theirs: Any = output.getvalue()
    except Exception:
        theirs = None
    try:
        ours: Any = encode(predictions, wrapped=True).decode()
    except EncodingError:
        ours = None
    return [theirs, ours]


def enforced(case: Held) -> list[Any]:
    """What MLflow's enforcement makes of the data, and what ours makes of it."""
    text = json.dumps(case.inputs)
    return [
        _verdict(lambda: _enforce_schema(copied(case.data), Schema.from_json(text))),
        _verdict(lambda: enforce(copied(case.data), OurSchema.from_json(text))),
    ]


def enforced_params(case: HeldParams) -> list[Any]:
    text = json.dumps(case.schema)
    return [
        _verdict(lambda: _enforce_params_schema(copy.copy(case.params), None if case.schema is None else ParamSchema.from_json(text))),
        _verdict(lambda: enforce_params(copy.copy(case.params), None if case.schema is None else OurParamSchema.from_json(text))),
    ]


# Columns in Parquet, and the type that takes them all the same as in process.
STORED: dict[str, tuple[Any, str]] = {
    "integers with a gap": (pd.array([2**53 + 1, None], dtype="Int64"), "long"),
    "integers with a gap, as other tools write them": (pd.Series([2**53 + 1, None], dtype=object), "long"),
    "small integers with a gap": (pd.array([1, None], dtype="Int8"), "integer"),
    "integers with a gap for doubles": (pd.Series([1, None], dtype=object), "double"),
    "whole floats": (pd.Series([1.0, 5.0]), "long"),
    "booleans with a gap": (pd.array([True, None], dtype="boolean"), "boolean"),
    "booleans with a gap, as other tools write them": (pd.Series([True, None], dtype=object), "boolean"),
    "categories": (pd.Series(pd.Categorical(["a", "b"])), "string"),
    "categories with a gap": (pd.Series(pd.Categorical(["a", None])), "string"),
    "strings with a gap": (pd.array(["a", None], dtype="string"), "string"),
    "bytes with a gap": (pd.Series([b"a", None], dtype=object), "binary"),
    "datetimes with a zone": (pd.Series(pd.to_datetime(["2026-01-02", None])).dt.tz_localize("Europe/Paris"), "datetime"),
    "dates": (pd.Series([datetime.date(2026, 1, 2), None], dtype=object), "datetime"),
}
REFUSED: dict[str, tuple[Any, str]] = {
    "fractions": (pd.Series([1.5, 2.0]), "long"),
    "large integers": (pd.Series([2**31, 1]), "integer"),
    "integers for booleans": (pd.Series([1, 7]), "boolean"),
    "text for booleans": (pd.Series(["true", "x"]), "boolean"),
    "text for doubles": (pd.Series(["1", "2"]), "double"),
    "integers for strings": (pd.Series([1, 2]), "string"),
    "text for binary": (pd.Series(["aGk=", "!!!"]), "binary"),
}


def stored(values: Any, kind: str) -> list[str]:
    """What reaches the model of a column in Parquet, and of the same in process."""
    schema = OurSchema.from_json(json.dumps([{"type": kind, "name": "x", "required": False}]))
    model = MLModel(Path(), PythonFunction("recorder"), {}, OurSignature(inputs=schema))
    frame, file = pd.DataFrame({"x": values}), io.BytesIO()
    frame.to_parquet(file)
    scorer = Scorer(model, Loaded(Recorder()))
    said = []
    for ask in (lambda: json.loads(scorer.answer(file.getvalue(), "application/vnd.apache.parquet"))["predictions"], lambda: scorer.predict(frame)):
        try:
            said.append(json.dumps(ask()["data"]))
        except InvalidInput as error:
            said.append(f"refused: {error}")
    return said


def copied(data: Any) -> Any:
    return data.copy() if hasattr(data, "copy") else data


def _verdict(enforcing: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"given": described(enforcing())}
    except (MlflowException, InvalidInput) as error:
        return {"refused": error.error_code, "message": str(error)}
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}"}


def main() -> None:
    results = []
    for case in json.load(sys.stdin):
        body = case["body"].encode() if isinstance(case["body"], str) else json.dumps(case["body"]).encode()
        results.append([ask_mlflow(case, body), ask_ours(case, body)])
    found = {
        "requests": results,
        "predictions": {name: written(value) for name, value in PREDICTIONS.items()},
        "stored": {name: stored(*case) for name, case in {**STORED, **REFUSED}.items()},
        "refused": [*REFUSED],
        "data": {case.name: enforced(case) for case in HELD},
        "params": {case.name: enforced_params(case) for case in HELD_PARAMS},
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
