"""The input example saved with a model: the request that it makes, and the shape that some models want their input in.

`example_request` needs neither numpy nor pandas, so that a deploying machine can print a ready-to-send request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from deployer_scoring.datatypes import AnyType, Array, ColumnType, DataType, Map, Object
from deployer_scoring.mlmodel import MLModel
from deployer_scoring.signature import Schema, TensorSpec

if TYPE_CHECKING:
    import pandas as pd

_SAMPLES = {
    DataType.boolean: True,
    DataType.integer: 1,
    DataType.long: 1,
    DataType.float: 0.5,
    DataType.double: 0.5,
    DataType.string: "text",
    DataType.binary: "Ynl0ZXM=",
    DataType.datetime: "2026-01-01T00:00:00",
}


def example_request(model: MLModel) -> Optional[str]:
    """A JSON body for /invocations: the model's own example, or one made up from its signature; None where it has neither."""
    info = model.saved_input_example_info or {}
    if (ready := _read(model, info.get("serving_input_path"))) is not None:
        return ready
    if (text := _read(model, info.get("artifact_path"))) is not None and (request := _request_of_example(json.loads(text), info)):
        return request
    return json.dumps(_made_up(model.signature.inputs)) if model.signature and model.signature.inputs else None


def _read(model: MLModel, name: Any) -> Optional[str]:
    file = model.directory / name if isinstance(name, str) and name else None
    return file.read_text(encoding="utf-8") if file is not None and file.is_file() else None


def _request_of_example(example: Any, info: Mapping[str, Any]) -> Optional[str]:
    """The request of an example alone, which is what MLflow before 2.14 saved; None for a sparse matrix."""
    data, params = _data_and_params(example, info)
    kind = info.get("type")
    if kind == "dataframe":
        body = {"dataframe_records" if info.get("pandas_orient") == "records" else "dataframe_split": data}
    elif kind == "json_object" and isinstance(data, dict) and data.keys() & {"messages", "prompt", "input"}:
        body = data  # a call of a language model stands without a wrapper
    elif kind in {"json_object", "ndarray"}:
        body = data if isinstance(data, dict) and data.keys() == {"inputs"} else {"inputs": data}
    else:
        return None
    return json.dumps({**body, **({"params": params} if params else {})})


def _data_and_params(example: Any, info: Mapping[str, Any]) -> tuple[Any, Any]:
    return (example["inputs"], example.get("params")) if info.get("params") and isinstance(example, dict) else (example, None)


def _made_up(schema: Schema) -> dict[str, Any]:
    if schema.is_tensor_spec():
        tensors = [(spec.name, _tensor(spec)) for spec in schema.tensors]
        return {"inputs": dict(tensors) if schema.has_input_names() else tensors[0][1]}
    row = [_value(spec.type) for spec in schema.columns]
    names = {"columns": schema.input_names()} if schema.has_input_names() else {}
    return {"dataframe_split": {**names, "data": [row]}}


def _tensor(spec: TensorSpec) -> Any:
    value: Any = "text" if spec.type.startswith(("str", "bytes", "object")) else True if spec.type == "bool" else 0
    for length in reversed(spec.shape):
        value = [value] * max(length, 1)
    return value


def _value(kind: ColumnType) -> Any:
    if isinstance(kind, DataType):
        return _SAMPLES[kind]
    if isinstance(kind, Array):
        return [_value(kind.dtype)]
    if isinstance(kind, Object):
        return {each.name: _value(each.dtype) for each in kind.properties}
    if isinstance(kind, Map):
        return {"key": _value(kind.value_type)}
    return None if isinstance(kind, AnyType) else kind


def shaped_as_example(frame: pd.DataFrame, model: MLModel) -> Any:
    """The frame in the form of the model's input example, for models whose `predict` is typed as whatever the example is
    (MLflow's TypeFromExample): a frame, a scalar, a list of scalars, one record or a list of them."""
    example = _json_example(model)
    if isinstance(example, dict):
        return frame.to_dict(orient="records")[0] if len(frame) == 1 else frame
    if isinstance(example, list):
        plain = len(frame.columns) == 1 and not any(isinstance(item, (list, dict)) or item is None for item in example)
        return frame.iloc[:, 0].tolist() if plain else frame.to_dict(orient="records")
    return frame if example is None else frame.iloc[0, 0]


def _json_example(model: MLModel) -> Any:
    """The example where it was saved as plain JSON; None for frames and arrays, whose input needs no other shape."""
    info = model.saved_input_example_info or {}
    text = _read(model, info.get("artifact_path")) if info.get("type") == "json_object" else None
    return None if text is None else _data_and_params(json.loads(text), info)[0]
