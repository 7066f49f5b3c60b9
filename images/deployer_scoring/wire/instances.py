"""The values under `instances` (rows) and `inputs` (columns), as arrays or whatever the signature says (MLflow's `parse_tf_serving_input`)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Optional, Union

import numpy as np
from pandas.api.extensions import ExtensionArray

from deployer_scoring.enforcement.lists import array_of
from deployer_scoring.enforcement.nested import enforce_value
from deployer_scoring.enforcement.values import Misfit, column_of, objects
from deployer_scoring.errors import BAD_REQUEST, InvalidInput
from deployer_scoring.schema.datatypes import AnyType, Array, DataType, Map, Object
from deployer_scoring.schema.signature import ColSpec, Schema, TensorSpec
from deployer_scoring.wire.bounds import check_columns_of, check_rows, check_text, is_wasteful_text
from deployer_scoring.wire.frames import from_split

Spec = Union[ColSpec, TensorSpec, None]


def from_instances(value: Any, schema: Optional[Schema]) -> Any:
    """Rows: objects become columns (a dictionary of arrays), anything else is one array.

    Raises:
        InvalidInput: The rows don't agree in length, or can't be what the signature says.
    """
    if isinstance(value, list) and value and isinstance(value[0], dict):
        check_rows(value)
        if not all(isinstance(row, dict) for row in value):
            raise InvalidInput("instances must be all objects, or none of them")
        if schema is not None and any(isinstance(each.type, (Array, Object, Map)) for each in schema.columns):
            return from_inputs(value, schema)  # nested values make no arrays
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
        elif schema.columns and not schema.has_input_names() and isinstance(value, list) and all(isinstance(row, list) for row in value):
            return from_split({"data": value}, schema)
    if isinstance(value, dict):
        check_columns_of(value)
        if schema is not None and _has_columns(value, specs):
            return from_inputs([dict(zip(value, cells)) for cells in zip(*value.values())], schema)
        return {name: _converted(item, specs.get(name)) for name, item in value.items()}
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        check_rows(value)
        return [{name: _converted(item, specs.get(name)) for name, item in row.items()} for row in value]
    return _converted(value, schema.inputs[0] if schema is not None else None)


def _has_columns(value: dict[str, Any], specs: dict[Any, Any]) -> bool:
    """Whether an object holds columns of a model that takes nested values, and not the one row that it would be for MLflow: lists of one
    length, one of them under a name that takes no list."""
    kinds = [specs[name].type for name in value if isinstance(specs.get(name), ColSpec)]
    if not any(isinstance(kind, (Array, Object, Map)) for kind in kinds) or all(isinstance(kind, (Array, AnyType)) for kind in kinds):
        return False
    return all(isinstance(each, list) for each in value.values()) and len(set(map(len, value.values()))) == 1


def _columns_of_rows(rows: list[Any], schema: Optional[Schema]) -> dict[str, Any]:
    specs = {} if schema is None else schema.input_dict()
    columns: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        for name, item in row.items():
            columns[name].append(item)
    try:
        return {name: _column(items, specs.get(name)) for name, items in columns.items()}
    except InvalidInput:
        raise
    except ValueError as error:
        raise InvalidInput(f"instances make no array: {error}") from error


def _check_lengths(data: dict[str, Any], schema: Optional[Schema]) -> None:
    counted = {name for name, values in data.items() if isinstance(values, (list, np.ndarray, ExtensionArray))}
    if schema is not None and schema.has_input_names():
        specs = schema.input_dict()
        # A list under one name may be one value of a column of lists.
        counted &= {name for name, spec in specs.items() if spec.required and not isinstance(spec.type, Array)}
    lengths = {name: len(data[name]) for name in sorted(counted)}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"the columns differ in length: {', '.join(f'{name} has {length}' for name, length in lengths.items())}")


def _column(items: list[Any], spec: Spec) -> Any:
    """One array of the values of a column."""
    if isinstance(spec, TensorSpec) or (isinstance(spec, ColSpec) and isinstance(spec.type, DataType)):
        return _converted(items, spec)
    found = [_converted(item, spec) for item in items]
    texts = [item.item() for item in found if isinstance(item, (np.ndarray, np.generic)) and item.dtype.kind == "U" and item.ndim == 0]
    return _text_array(texts) if len(texts) == len(found) else np.array(found)


def _text_array(texts: list[str]) -> Any:
    """An array of text; of objects where one of numpy's own kind would be far larger than the texts."""
    if is_wasteful_text(texts):
        return np.array([text.rstrip("\0") for text in texts], object)  # numpy's drop these, too
    return np.array(texts, str)


def _converted(value: Any, spec: Spec) -> Any:
    try:
        if spec is None:
            check_text(value)
            return np.array(value)
        if isinstance(spec, TensorSpec):
            check_text(value)
            return array_of(value, spec.to_numpy())
        if isinstance(spec.type, DataType):
            return _scalars(value, spec)
        if isinstance(spec.type, Array):
            return _array(enforce_value(value, spec.type, spec.required, encoded=True), spec.type)
        if isinstance(spec.type, (Object, Map)):
            return enforce_value(value, spec.type, spec.required, encoded=True)
        return value
    except InvalidInput as error:
        row = f"row {error.position + 1} of " if isinstance(error, Misfit) and isinstance(spec, ColSpec) and isinstance(value, list) else ""
        place = f"in {row}{'the input' if spec is None or spec.name is None else repr(spec.name)}, "
        # BAD_REQUEST, as for every body that can't be read; of a column's lists MLflow makes an array, which it then holds against the signature.
        column = isinstance(error, Misfit) and isinstance(spec, ColSpec) and isinstance(value, list)
        lists = column and any(isinstance(each, list) for each in value)
        raise InvalidInput(f"{place}{error}", error_code=error.error_code if lists else BAD_REQUEST) from error
    except Exception as error:
        place = "" if spec is None or spec.name is None else f" of {spec.name!r}"
        raise InvalidInput(f"the values{place} can't be read as {'an array' if spec is None else spec}: {error}") from error


def _array(value: Any, kind: Array) -> Any:
    """A list as an array, as MLflow has it, where it makes one."""
    if not isinstance(value, list):
        return value
    if kind.dtype is DataType.binary or (isinstance(kind.dtype, DataType) and None in value):
        return objects(value)
    try:
        return np.array(value, kind.dtype.to_numpy() if isinstance(kind.dtype, DataType) and value else None)
    except ValueError:  # lists that differ in length
        return value


def _scalars(value: Any, spec: ColSpec) -> Any:
    kind = spec.type
    assert isinstance(kind, DataType)
    if isinstance(value, list):
        return column_of(value, kind, required=spec.required, encoded=True)
    return enforce_value(value, kind, spec.required, encoded=True)
