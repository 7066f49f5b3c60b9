"""A signature as JSON Schema (2020-12, which OpenAPI 3.1 uses): what requests hold in each format, and what answers hold.

Requests are described in the signature's own order and with its own columns; that more is taken (columns in another order, columns beside
them) is left out, because it would leave nothing to say. Answers are described loosely: MLflow holds no model to its output signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, Optional, Union

from deployer_scoring.schema.datatypes import Array, ColumnType, DataType, Map, Object
from deployer_scoring.schema.signature import ColSpec, ModelSignature, ParamSchema, ParamSpec, Schema, TensorSpec

Json = Dict[str, Any]

_NO_NUMBER: Json = {
    "description": "NaN, Infinity or -Infinity, as Python's json writes them: none of JSON's own types.",
    "not": {"type": ["null", "boolean", "number", "string", "array", "object"]},
}

_SCALARS: Mapping[DataType, Json] = {
    DataType.boolean: {"type": "boolean"},
    DataType.integer: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    DataType.long: {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
    DataType.float: {"type": "number", "format": "float"},
    DataType.double: {"type": "number", "format": "double"},
    DataType.string: {"type": "string"},
    DataType.binary: {"type": "string", "contentEncoding": "base64"},
    DataType.datetime: {"type": "string", "format": "date-time"},
}


def requests(signature: Optional[ModelSignature], *, hinted: bool = False) -> dict[str, Json]:
    """The schema of a JSON request's body in each of its formats, by the format's name.

    Args:
        signature: Of the model; None where it has none.
        hinted: Whether the signature comes from type hints; such models take `inputs` alone.
    """
    inputs = signature.inputs if signature else None
    if hinted:
        forms = {"inputs": {} if inputs is None else _list(_column(inputs.columns[0]))}
    elif inputs is None:
        forms = {"dataframe_split": _any_split(), "dataframe_records": _list({"type": "object"}), "inputs": {}, "instances": {}}
    elif inputs.is_tensor_spec():
        forms = {"inputs": _tensor_inputs(inputs), "instances": _tensor_instances(inputs)}
    else:
        frames = {"dataframe_split": _split(inputs), "dataframe_records": _list(_record(inputs))}
        forms = {**frames, "inputs": _inputs(inputs), "instances": _instances(inputs)}
    params = signature.params if signature else None
    more = {} if params is None else {"params": parameters(params)}
    return {name: {"type": "object", "required": [name], "properties": {name: form, **more}} for name, form in forms.items()}


def parameters(params: ParamSchema) -> Json:
    """The schema of `params`: each has a default, so none must be there."""
    return {"type": "object", "properties": {each.name: _parameter(each) for each in params.params}}


def predictions(outputs: Optional[Schema]) -> Json:
    """The schema of a prediction; anything where the signature says nothing."""
    if outputs is None:
        return {"description": "Whatever the model returns."}
    said = f"The signature says: {outputs}."
    if outputs.is_tensor_spec():
        tensors = {each.name: _tensor(each, answered=True) for each in outputs.tensors}
        return {"description": said, **(_object(tensors) if outputs.has_input_names() else tensors[None])}
    items = [_answered(_column(each)) for each in outputs.columns]
    anything = items[0] if len(items) == 1 else {"anyOf": items}
    return {"description": said, "anyOf": [_list(anything), _list({"type": "object"}), _list({"type": "array"}), {"type": "object"}, anything]}


def takes_csv(signature: Optional[ModelSignature], *, hinted: bool = False) -> bool:
    """Whether CSV can say what the model takes; `hinted` as for `requests`."""
    inputs = signature.inputs if signature and not hinted else None
    return not hinted if inputs is None else (not inputs.is_tensor_spec() and all(isinstance(each.type, DataType) for each in inputs.columns))


def _split(inputs: Schema) -> Json:
    names, cells = [str(name) for name in inputs.input_names()], [_column(each) for each in inputs.columns]
    row: Json = {"type": "array", "items": {"anyOf": cells} if len(cells) > 1 else cells[0]}
    columns: Json = {"type": "array", "items": {"type": "string"}}
    if not inputs.optional_input_names():
        row = {"type": "array", "prefixItems": cells, "items": False, "minItems": len(cells)}
        columns = {"type": "array", "prefixItems": [{"const": name} for name in names], "items": False, "minItems": len(names)}
    properties = {**({"columns": columns} if inputs.has_input_names() else {}), "data": _list(row)}
    return {"type": "object", "required": list(properties), "properties": {**properties, "index": {"type": "array"}}}


def _any_split() -> Json:
    properties = {"columns": _list({"type": "string"}), "data": _list({"type": "array"}), "index": {"type": "array"}}
    return {"type": "object", "required": ["data"], "properties": properties}


def _record(inputs: Schema) -> Json:
    names = [str(name) for name in inputs.input_names()]
    return _object(dict(zip(names, map(_column, inputs.columns))), [str(name) for name in inputs.required_input_names()])


def _inputs(inputs: Schema) -> Json:
    """Columns by name, each a list; a list alone where there is one column."""
    columns = {str(name): _list(_column(each)) for name, each in zip(inputs.input_names(), inputs.columns)}
    return _named_or_not(inputs, _object(columns, inputs.required_input_names()))


def _instances(inputs: Schema) -> Json:
    """Rows: objects, or lists of values where the columns have no names, or single values where there is one column."""
    return _named_or_not(inputs, _list(_record(inputs)))


def _named_or_not(inputs: Schema, named: Json) -> Json:
    if len(inputs) > 1:
        return named if inputs.has_input_names() else _rows(inputs)
    alone = _list(_column(inputs.columns[0]))
    return {"anyOf": [named if inputs.has_input_names() else _rows(inputs), alone]}


def _rows(inputs: Schema) -> Json:
    cells = [_column(each) for each in inputs.columns]
    return _list({"type": "array", "prefixItems": cells, "items": False, "minItems": len(cells)})


def _tensor_inputs(inputs: Schema) -> Json:
    tensors = {each.name: _tensor(each) for each in inputs.tensors}
    return _object(tensors) if inputs.has_input_names() else tensors[None]


def _tensor_instances(inputs: Schema) -> Json:
    """Rows of tensors: the first dimension is the list of the rows."""
    if not inputs.has_input_names():
        return _tensor(inputs.tensors[0])
    return _list(_object({each.name: _tensor(TensorSpec(each.type, each.shape[1:])) for each in inputs.tensors}))


def _tensor(spec: TensorSpec, *, answered: bool = False) -> Json:
    found = _answered(_tensor_item(spec.type)) if answered else _tensor_item(spec.type)
    for length in reversed(spec.shape):
        found = {"type": "array", "items": found, **({} if length < 0 else {"minItems": length, "maxItems": length})}
    return {**found, "description": str(TensorSpec(spec.type, spec.shape))}


def _tensor_item(dtype: str) -> Json:
    if dtype == "bool":
        return {"type": "boolean"}
    if dtype.startswith("float"):
        return {"type": ["number", "null"]}
    if dtype.startswith(("int", "uint")):
        bits = int(dtype.lstrip("uint") or 64)
        lowest, highest = (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return {"type": "integer", "minimum": lowest, "maximum": highest}
    return {"type": "string"} if dtype.startswith(("str", "bytes", "<U", "|S", "datetime")) else {}


def _answered(item: Json) -> Json:
    """A value as a model may answer with it: where numbers are expected, what is no number is written as MLflow writes it."""
    return {"anyOf": [item, _NO_NUMBER]} if "number" in item.get("type", ()) else item


def _column(spec: ColSpec) -> Json:
    """A value of a column: null is a missing one, where the column may miss values."""
    found = _value(spec.type)
    if spec.required and spec.type not in {DataType.float, DataType.double}:
        return found
    return {**found, "type": [found["type"], "null"]} if isinstance(found.get("type"), str) else found


def _value(kind: ColumnType) -> Json:
    if isinstance(kind, DataType):
        return dict(_SCALARS[kind])
    if isinstance(kind, Array):
        return _list(_value(kind.dtype))
    if isinstance(kind, Object):
        return _object({each.name: _value(each.dtype) for each in kind.properties}, [each.name for each in kind.properties if each.required])
    if isinstance(kind, Map):
        return {"type": "object", "additionalProperties": _value(kind.value_type)}
    return {}  # AnyType


def _parameter(spec: ParamSpec) -> Json:
    found = _value(spec.dtype)
    default = spec.default if isinstance(spec.default, (str, int, float, bool, list, dict, type(None))) else str(spec.default)
    found = {"type": "array", "items": found} if spec.shape is not None else found
    if default is None and isinstance(found.get("type"), str):
        found = {**found, "type": [found["type"], "null"]}
    return {**found, "default": default}


def _object(properties: Mapping[Any, Json], required: Union[list[Any], None] = None) -> Json:
    return {"type": "object", "required": list(map(str, properties if required is None else required)), "properties": dict(properties)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}
