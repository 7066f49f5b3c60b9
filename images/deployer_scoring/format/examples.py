"""Input examples as MLflow saves and reads them: JSON of the data, JSON of a request made of it, and an entry in the MLmodel."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pandas as pd

from deployer_scoring.documents import load_json
from deployer_scoring.errors import MLModelError, SchemaError
from deployer_scoring.format.inference import infer_params, is_sparse
from deployer_scoring.model.text import read_text
from deployer_scoring.schema.signature import Schema
from deployer_scoring.wire.frames import from_split
from deployer_scoring.wire.instances import from_inputs

EXAMPLE, SERVING = "input_example.json", "serving_input_example.json"
# Keys of requests to language models, which come without a wrapper.
_BARE = frozenset({"messages", "prompt", "input"})
_SPARSE = {"sparse_matrix_csc": "csc_matrix", "sparse_matrix_csr": "csr_matrix"}


@dataclass(frozen=True)
class InputExample:
    """An example of what a model takes.

    Attributes:
        data: As given, without the params.
        params: What was given beside it; None for nothing.
        info: The MLmodel's `saved_input_example_info`.
        text: The JSON of input_example.json.
        request: The JSON of serving_input_example.json: a body for /invocations.
    """

    data: Any
    params: Optional[dict[str, Any]]
    info: dict[str, Any]
    text: str
    request: str

    def save(self, directory: Path) -> None:
        (directory / EXAMPLE).write_text(self.text, encoding="utf-8")
        (directory / SERVING).write_text(self.request, encoding="utf-8")


def example_of(given: Any) -> InputExample:
    """An example of data, or of (data, params).

    Args:
        given: A DataFrame, Series, array, dictionary of arrays, sparse matrix, pydantic model, scalar, or lists and dictionaries of scalars.
            Bytes are kept as base64, datetimes as ISO 8601.

    Raises:
        SchemaError: Anything else; arrays mixed with other values; params without a type.
    """
    data, params = split_params(copy.deepcopy(given))
    if params:
        infer_params(params)
    info, content, request = _parts(data)
    if params is not None:
        content = {"inputs": content, "params": params}
        request = {**request, **(params if _is_bare(data) else {"params": params})}
    return InputExample(
        data=data,
        params=params,
        info={"artifact_path": EXAMPLE, **({"params": "true"} if params else {}), **info, "serving_input_path": SERVING},
        text=json.dumps(content, default=_plain),
        request=json.dumps(request, default=_plain, indent=2),
    )


def convert_input_example_to_serving_input(input_example: Any) -> Optional[str]:
    """The body of a request to /invocations with this example; None for no example.

    Raises:
        SchemaError: As `example_of`.
    """
    return None if input_example is None else example_of(input_example).request


def split_params(given: Any) -> tuple[Any, Optional[dict[str, Any]]]:
    """(data, params) taken apart; anything else is data alone."""
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], dict):
        return given
    return given, None


def read_example(directory: Path, info: Optional[Mapping[str, Any]], schema: Optional[Schema]) -> Any:
    """The saved example as it was given: a DataFrame, array, sparse matrix or JSON value; None where none was saved.

    Raises:
        FileNotFoundError: It was saved, but the file is gone.
        MLModelError: Its kind isn't known.
    """
    if info is None:
        return None
    content = _content(directory, info)
    value, kind = content["inputs"] if info.get("params") else content, info.get("type")
    if kind == "json_object":
        return value
    if kind == "ndarray":
        return from_inputs(value, schema)
    if kind == "dataframe":
        return from_split(value, schema)
    if kind in _SPARSE:
        import scipy.sparse

        return getattr(scipy.sparse, _SPARSE[kind])((value["data"], value["indices"], value["indptr"]), shape=tuple(value["shape"]))
    raise MLModelError("MLmodel", "saved_input_example_info.type", f"is not a kind of example: {kind!r}", "Save the model again.")


def read_example_params(directory: Path, info: Optional[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    """The params of the saved example; None where it has none."""
    return dict(_content(directory, info)["params"]) if info is not None and info.get("params") else None


def read_serving_input(directory: Path, info: Optional[Mapping[str, Any]]) -> Optional[str]:
    """The saved request; None where none was saved."""
    name = info.get("serving_input_path") if info is not None else None
    return None if name is None else read_text(directory / str(name))


def _content(directory: Path, info: Mapping[str, Any]) -> Any:
    return load_json(read_text(directory / str(info["artifact_path"])))


def _parts(data: Any) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """The entry in the MLmodel, the content to save and the request, for one kind of data."""
    if isinstance(data, pd.Series):
        data = data.to_frame()
    if isinstance(data, pd.DataFrame):
        content = _split(data)
        return {"type": "dataframe", "pandas_orient": "split" if "columns" in content else "values"}, content, {"dataframe_split": content}
    if is_sparse(data):
        lists = {"data": _listed(data.data), "indices": data.indices.tolist(), "indptr": data.indptr.tolist(), "shape": list(data.shape)}
        return {"type": f"sparse_matrix_{data.format}"}, lists, {"inputs": data.toarray()}
    if isinstance(data, np.ndarray):
        return {"type": "ndarray"}, _listed(data), {"inputs": _listed(data)}
    if isinstance(data, dict) and any(isinstance(each, np.ndarray) for each in data.values()):
        if not all(isinstance(each, np.ndarray) for each in data.values()):
            raise SchemaError("an example of arrays by name has nothing but arrays: some values of the dictionary are none")
        arrays = {name: _listed(each) for name, each in data.items()}
        return {"type": "ndarray"}, arrays, {"inputs": arrays}
    value = _json_value(data)
    return {"type": "json_object"}, value, value if _is_bare(value) else {"inputs": value}


def _json_value(data: Any) -> Any:
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(data, pydantic.BaseModel):
        return data.model_dump()
    if isinstance(data, list) and _has_array(data):
        raise SchemaError("arrays within a list are no example: give one array, or lists")
    if isinstance(data, (dict, list, dt.datetime)) or np.isscalar(data):
        return data
    raise SchemaError(f"an example is a DataFrame, Series, array, sparse matrix, dictionary, list or scalar, not {type(data).__name__}")


def _is_bare(data: Any) -> bool:
    return isinstance(data, dict) and not _BARE.isdisjoint(data)


def _split(frame: pd.DataFrame) -> dict[str, Any]:
    """The frame without its index, missing values as null, and without names where they are mere positions."""
    objects = frame.astype(object)
    content: dict[str, Any] = objects.where(frame.notnull(), None).to_dict(orient="split")  # type: ignore[assignment,arg-type,unused-ignore]
    del content["index"]
    if [*frame.columns] == [*range(frame.shape[1])]:
        del content["columns"]
    return content


def _listed(array: Any) -> Any:
    """An array as lists, NaN as null."""
    if np.issubdtype(array.dtype, np.number):
        return np.asarray(np.where(np.isnan(array), None, array)).tolist()
    return np.asarray(array).tolist()


def _has_array(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, np.ndarray) or any(map(_has_array, items))


def _plain(value: Any) -> Any:
    """What json can't write by itself: numpy's values, bytes, times, pydantic models."""
    if isinstance(value, np.datetime64):
        return np.datetime_as_string(value)
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    raise TypeError(f"{type(value).__name__} has no JSON form")
