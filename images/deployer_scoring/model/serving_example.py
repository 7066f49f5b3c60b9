"""A request that a model takes: from the example saved with it, or else made up from its signature."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from deployer_scoring.documents import load_json
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.model.text import read_text
from deployer_scoring.schema.datatypes import AnyType, Array, ColumnType, DataType, Map, Object
from deployer_scoring.schema.signature import Schema, TensorSpec

_SERVING_FILE = "serving_input_example.json"
_MOST_VALUES = 1_000_000
_SCALARS: Mapping[DataType, Any] = {
    DataType.boolean: True,
    DataType.integer: 1,
    DataType.long: 1,
    DataType.float: 1.5,
    DataType.double: 1.5,
    DataType.string: "text",
    DataType.binary: "AAEC",  # base64
    DataType.datetime: "2026-01-31T12:00:00",
}


@dataclass(frozen=True)
class Example:
    """The body of a request to /invocations. `saved` is false where it is made up: the model takes it, and what it answers means nothing."""

    body: bytes
    content_type: str = "application/json"
    saved: bool = True


def serving_example(model: MLModel, rows: int = 3) -> Optional[Example]:
    """A request for this model of at most so many rows; None where it has neither an example nor a signature."""
    document = _saved(model)
    if document is not None:
        return Example(_json(_shortened(document, rows)))
    if model.signature and model.signature.inputs and not _is_large(model.signature.inputs):
        return Example(_json(_made_up(model.signature.inputs)), saved=False)
    return None


def _saved(model: MLModel) -> Any:
    """The saved example as a request; None where there is none, or one that has no JSON form."""
    info = model.saved_input_example_info or {}
    serving = _read(model.directory / str(info.get("serving_input_path") or _SERVING_FILE))
    if serving is not None:
        return serving
    example = _read(model.directory / str(info.get("artifact_path") or "input_example.json")) if info else None
    kind = info.get("type")
    if example is None or (isinstance(kind, str) and "sparse" in kind):
        return None
    if kind == "dataframe":
        return {"dataframe_split" if info.get("pandas_orient", "split") == "split" else "dataframe_records": example}
    return example if isinstance(example, dict) and example.keys() & {"inputs", "instances"} else {"inputs": example}


def _read(file: Path) -> Any:
    """A JSON file with NaN as null, as the standard has it; None where it isn't there or is none."""
    try:
        return load_json(read_text(file), parse_constant=lambda _: None)
    except (OSError, ValueError):
        return None


def _shortened(document: Any, rows: int) -> Any:
    """The same request with fewer rows, where its form shows what a row is."""
    if not isinstance(document, dict):
        return document
    split, records = document.get("dataframe_split"), document.get("dataframe_records")
    if isinstance(split, dict):
        return {**document, "dataframe_split": {**split, **_first(split, ("index", "data"), rows)}}
    if isinstance(records, list):
        return {**document, "dataframe_records": records[:rows]}
    return {**document, **_first(document, ("inputs", "instances"), rows)}


def _first(document: Mapping[str, Any], keys: Sequence[str], rows: int) -> Mapping[str, Any]:
    """The first rows of what has any."""
    return {key: document[key][:rows] for key in keys if isinstance(document.get(key), list)}


def _is_large(schema: Schema) -> bool:
    """Whether a request made up for it would be no example, but a burden: a tensor of an image is one."""
    return sum(math.prod(max(1, length) for length in each.shape) for each in schema.tensors) > _MOST_VALUES


def _made_up(schema: Schema) -> Any:
    if schema.is_tensor_spec():
        tensors = {each.name: _tensor(each) for each in schema.tensors}
        return {"inputs": tensors if schema.has_input_names() else tensors[None]}
    row = [_value(each.type) for each in schema.columns]
    if not schema.has_input_names():
        return {"inputs": [row]}
    return {"dataframe_split": {"columns": [each.name for each in schema.columns], "data": [row]}}


def _value(kind: ColumnType) -> Any:
    if isinstance(kind, DataType):
        return _SCALARS[kind]
    if isinstance(kind, Array):
        return [_value(kind.dtype)]
    if isinstance(kind, Object):
        return {each.name: _value(each.dtype) for each in kind.properties}
    if isinstance(kind, Map):
        return {"key": _value(kind.value_type)}
    return "text" if isinstance(kind, AnyType) else None


def _tensor(spec: TensorSpec) -> Any:
    """Nested lists of the shape, one where any length will do."""
    value: Any = True if spec.type == "bool" else "text" if spec.type.startswith(("str", "object", "<U", "|S")) else 1
    if spec.type.startswith("float"):
        value = 1.5
    for length in reversed(spec.shape):
        value = [value] * (1 if length < 0 else length)
    return value


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(", ", ": ")).encode()
