"""Model signatures: the columns or tensors that a model takes and gives, and its parameters, read from MLflow's JSON and written to it.

Nothing here needs numpy or pandas, so that a deploying machine reads models without them. The names are MLflow's
(`mlflow.types.schema`, `mlflow.models.ModelSignature`); the values are frozen and compare by content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Union

from deployer_scoring.errors import SchemaError
from deployer_scoring.schema.datatypes import (
    AnyType,
    Array,
    ColumnType,
    DataType,
    Map,
    Object,
    Property,
    SparkMLVector,
    column_type,
    kind_of,
)

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "AnyType",
    "Array",
    "ColSpec",
    "ColumnType",
    "DataType",
    "Map",
    "ModelSignature",
    "Object",
    "ParamSchema",
    "ParamSpec",
    "Property",
    "Schema",
    "SparkMLVector",
    "TensorSpec",
]

Json = Mapping[str, Any]


@dataclass(frozen=True)
class ColSpec:
    """One column: its type, its name (None in a signature without names), and whether a request must have it."""

    type: ColumnType
    name: Optional[str] = None
    required: bool = True

    def __str__(self) -> str:
        return f"{'' if self.name is None else self.name + ': '}{self.type}{'' if self.required else ' (optional)'}"

    def to_dict(self) -> dict[str, Any]:
        return {**self.type.to_dict(), **({} if self.name is None else {"name": self.name}), "required": self.required}


@dataclass(frozen=True)
class TensorSpec:
    """One tensor: the name of its numpy dtype, its shape with -1 for any length, its name or None."""

    type: str
    shape: tuple[int, ...]
    name: Optional[str] = None

    @property
    def required(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"{'' if self.name is None else self.name + ': '}tensor({self.type}, {list(self.shape)})"

    def to_numpy(self) -> np.dtype[Any]:
        import numpy as np

        return np.dtype(self.type)

    def to_dict(self) -> dict[str, Any]:
        named = {} if self.name is None else {"name": self.name}
        return {**named, "type": "tensor", "tensor-spec": {"dtype": self.type, "shape": list(self.shape)}}


@dataclass(frozen=True)
class Schema:
    """The columns or tensors of a model's input or output; all named, or none.

    Raises:
        SchemaError: Empty, columns mixed with tensors, names mixed with no names, several tensors without names, or
            columns that are optional without a name.
    """

    inputs: tuple[Union[ColSpec, TensorSpec], ...]

    def __post_init__(self) -> None:
        named = {each.name is not None for each in self.inputs}
        if not self.inputs:
            raise SchemaError("a schema needs at least one column or tensor")
        if len(named) > 1:
            raise SchemaError("a schema names either all of its inputs or none")
        if len({isinstance(each, TensorSpec) for each in self.inputs}) > 1:
            raise SchemaError("a schema has columns or tensors, not both")
        if self.is_tensor_spec() and len(self.inputs) > 1 and not self.has_input_names():
            raise SchemaError("several tensors need names")
        if not self.has_input_names() and not all(each.required for each in self.inputs):
            raise SchemaError("an optional column needs a name")

    def __str__(self) -> str:
        return "[" + ", ".join(map(str, self.inputs)) + "]"

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def columns(self) -> tuple[ColSpec, ...]:
        """The columns; empty for a schema of tensors."""
        return tuple(each for each in self.inputs if isinstance(each, ColSpec))

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensors; empty for a schema of columns."""
        return tuple(each for each in self.inputs if isinstance(each, TensorSpec))

    def is_tensor_spec(self) -> bool:
        return isinstance(self.inputs[0], TensorSpec)

    def has_input_names(self) -> bool:
        return self.inputs[0].name is not None

    def input_names(self) -> list[Union[str, int]]:
        """Names, or positions where there are no names (an empty name counts as none, as in MLflow)."""
        return [each.name or position for position, each in enumerate(self.inputs)]

    def required_input_names(self) -> list[Union[str, int]]:
        return [each.name or position for position, each in enumerate(self.inputs) if each.required]

    def optional_input_names(self) -> list[Union[str, int]]:
        return [each.name or position for position, each in enumerate(self.inputs) if not each.required]

    def input_dict(self) -> dict[str, Union[ColSpec, TensorSpec]]:
        """Inputs by name; empty where there are no names."""
        return {each.name: each for each in self.inputs if each.name is not None}

    def to_dict(self) -> list[dict[str, Any]]:
        return [each.to_dict() for each in self.inputs]

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Read MLflow's JSON: a list of columns or tensors.

        Raises:
            SchemaError: Not JSON, or not a schema.
        """
        return cls(tuple(_input(item) for item in _load_list(text)))


@dataclass(frozen=True)
class ParamSpec:
    """A parameter of a request: name, type, default, and shape (None for one value, (-1,) for a list of them)."""

    name: str
    dtype: Union[DataType, Object]
    default: Any
    shape: Optional[tuple[int, ...]] = None

    def __post_init__(self) -> None:
        if self.dtype is DataType.binary:
            raise SchemaError(f"the parameter {self.name} can't be binary")
        if self.shape not in {None, (-1,)}:
            raise SchemaError(f"the shape of the parameter {self.name} must be absent or [-1], not {list(self.shape or ())}")

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}{'' if self.shape is None else '[]'} = {self.default!r}"

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "default": self.default, "shape": None if self.shape is None else list(self.shape), **self.dtype.to_dict()}


@dataclass(frozen=True)
class ParamSchema:
    """The parameters that requests may carry.

    Raises:
        SchemaError: Two parameters of one name.
    """

    params: tuple[ParamSpec, ...]

    def __post_init__(self) -> None:
        names = [each.name for each in self.params]
        if twice := {name for name in names if names.count(name) > 1}:
            raise SchemaError(f"these parameters are declared more than once: {', '.join(sorted(twice))}")

    def __str__(self) -> str:
        return "[" + ", ".join(map(str, self.params)) + "]"

    def to_dict(self) -> list[dict[str, Any]]:
        return [each.to_dict() for each in self.params]

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> ParamSchema:
        """Read MLflow's JSON: a list of parameters.

        Raises:
            SchemaError: Not JSON, or not a schema of parameters.
        """
        return cls(tuple(_param(item) for item in _load_list(text)))


@dataclass(frozen=True)
class ModelSignature:
    """What a model takes, what it gives, and the parameters that a request may carry."""

    inputs: Optional[Schema] = None
    outputs: Optional[Schema] = None
    params: Optional[ParamSchema] = None

    def to_dict(self) -> dict[str, Optional[str]]:
        """The mapping of JSON strings that an MLmodel file holds."""
        return {
            "inputs": self.inputs.to_json() if self.inputs else None,
            "outputs": self.outputs.to_json() if self.outputs else None,
            "params": self.params.to_json() if self.params else None,
        }


def _load_list(text: str) -> list[Any]:
    try:
        items = json.loads(text)
    except ValueError as error:
        raise SchemaError(f"not valid JSON: {error}") from error
    if not isinstance(items, list):
        raise SchemaError(f"a list was expected, not {type(items).__name__}")
    return items


def _input(item: Any) -> Union[ColSpec, TensorSpec]:
    kind = kind_of(item)
    if kind == "tensor":
        return _tensor(item)
    # Before MLflow 2.9 the mark was `optional: true`. A nested type without a mark is optional, a scalar one is required: MLflow's own
    # defaults when it reads a file.
    unmarked = not item["optional"] if "optional" in item else kind in DataType.__members__
    return ColSpec(column_type(item), _name(item), bool(item.get("required", unmarked)))


def _tensor(item: Json) -> TensorSpec:
    spec = item.get("tensor-spec")
    if not isinstance(spec, dict) or not {"dtype", "shape"} <= spec.keys():
        raise SchemaError("a tensor needs `tensor-spec` with `dtype` and `shape`")
    if not isinstance(spec["shape"], list) or not all(isinstance(length, int) for length in spec["shape"]):
        raise SchemaError(f"the shape of a tensor is a list of integers, not {spec['shape']!r}")
    return TensorSpec(str(spec["dtype"]), tuple(spec["shape"]), _name(item))


def _param(item: Any) -> ParamSpec:
    if not isinstance(item, dict) or not {"name", "default"} <= item.keys() or not {"type", "dtype"} & item.keys():
        raise SchemaError(f"a parameter needs `name`, `type` and `default`, which {item!r} has not")
    dtype = column_type({**item, "type": item.get("type") or item.get("dtype")})
    if not isinstance(dtype, (DataType, Object)):
        raise SchemaError(f"the parameter {item['name']} can't be {dtype}")
    shape = item.get("shape")
    return ParamSpec(str(item["name"]), dtype, item["default"], None if shape is None else tuple(shape))


def _name(item: Json) -> Optional[str]:
    return None if item.get("name") is None else str(item["name"])
