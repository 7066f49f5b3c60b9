"""The values under `instances` (rows) and `inputs` (columns), as arrays or whatever the signature says (MLflow's `parse_tf_serving_input`)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Optional, Union

import numpy as np

from deployer_scoring.enforcement.nested import enforce_value
from deployer_scoring.errors import InvalidInput
from deployer_scoring.schema.datatypes import Array, DataType, Map, Object
from deployer_scoring.schema.signature import ColSpec, Schema, TensorSpec
from deployer_scoring.wire.bounds import check_columns_of, check_rows, check_text, is_wasteful_text

Spec = Union[ColSpec, TensorSpec, None]


def from_instances(value: Any, schema: Optional[Schema]) -> Any:
    """Rows: objects become columns (a dictionary of arrays), anything else is one array.

    Raises:
        InvalidInput: The rows don't agree in length, or can't be what the signature says.
    """
    if isinstance(value, list) and value and isinstance(value[0], dict):
        check_rows(value)
        data: Any = _columns_of_rows(value, schema)
    else:
        data = from_inputs(value, schema)
    if isinstance(data, dict):
        _check_lengths(data, schema)
    return data


def from_inputs(value: Any, schema: Optional[Schema]) -> Any:
    """Columns by name, or one array without names; each converted to what the signature says.

    Raises:
        InvalidInput: A value can't be what the signature says.
    """
    specs = {} if schema is None else schema.input_dict()
    if schema is not None:
        if len(specs) == 1 and isinstance(value, list) and not any(isinstance(item, dict) for item in value):
            value = {next(iter(specs)): value}  # the only column needs no name
        elif not schema.has_input_names() and not (isinstance(value, list) or np.isscalar(value)):
            raise InvalidInput(f"the model's inputs have no names, so a list or a single value was expected, not {type(value).__name__}")
    if isinstance(value, dict):
        check_columns_of(value)
        return {name: _converted(item, specs.get(name)) for name, item in value.items()}
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        check_rows(value)
        return [{name: _converted(item, specs.get(name)) for name, item in row.items()} for row in value]
    return _converted(value, schema.inputs[0] if schema is not None else None)


def _columns_of_rows(rows: list[Any], schema: Optional[Schema]) -> dict[str, Any]:
    specs = {} if schema is None else schema.input_dict()
    columns: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        if not isinstance(row, dict):
            raise InvalidInput("instances must be all objects, or none of them")
        for name, item in row.items():
            columns[name].append(_converted(item, specs.get(name)))
    try:
        return {name: _stacked(items) for name, items in columns.items()}
    except ValueError as error:
        raise InvalidInput(f"instances make no array: {error}") from error


def _check_lengths(data: dict[str, Any], schema: Optional[Schema]) -> None:
    counted = {name for name, values in data.items() if isinstance(values, (list, np.ndarray))}
    if schema is not None and schema.has_input_names():
        specs = schema.input_dict()
        # A list under one name may be one value of a column of lists.
        counted &= {name for name, spec in specs.items() if spec.required and not isinstance(spec.type, Array)}
    lengths = {name: len(data[name]) for name in sorted(counted)}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"the columns differ in length: {', '.join(f'{name} has {length}' for name, length in lengths.items())}")


def _stacked(items: list[Any]) -> Any:
    """One array of the values of a column, each converted by itself."""
    texts = [item.item() for item in items if isinstance(item, (np.ndarray, np.generic)) and item.dtype.kind == "U" and item.ndim == 0]
    return _text_array(texts) if len(texts) == len(items) else np.array(items)


def _text_array(texts: list[str]) -> Any:
    """An array of text; of objects where one of numpy's own kind would be far larger than the texts."""
    if is_wasteful_text(texts):
        return np.array([text.rstrip("\0") for text in texts], object)  # numpy's drop these, too
    return np.array(texts, str)


def _converted(value: Any, spec: Spec) -> Any:
    try:
        if spec is None or isinstance(spec, TensorSpec):
            check_text(value)
            return np.array(value, None if spec is None else spec.to_numpy())
        if isinstance(spec.type, DataType):
            return _scalars(value, spec.type)
        if isinstance(spec.type, Array):
            return np.array(enforce_value(value, spec.type, spec.required))
        if isinstance(spec.type, (Object, Map)):
            return enforce_value(value, spec.type, spec.required)
        return value
    except InvalidInput as error:
        place = "" if spec is None or spec.name is None else f"in {spec.name!r}, "
        raise InvalidInput(f"{place}{error}") from error  # BAD_REQUEST, as for every body that can't be read
    except Exception as error:
        place = "" if spec is None or spec.name is None else f" of {spec.name!r}"
        raise InvalidInput(f"the values{place} can't be read as {'an array' if spec is None else spec}: {error}") from error


def _scalars(value: Any, kind: DataType) -> Any:
    if not isinstance(value, list):
        return np.array([value], kind.to_numpy())[0]
    if kind is DataType.string and all(isinstance(item, str) for item in value):
        return _text_array(value)
    check_text(value)
    return np.array(value, kind.to_numpy())
