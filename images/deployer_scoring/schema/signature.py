"""Model signatures: the columns or tensors that a model takes and gives, and its parameters, read from MLflow's JSON and written to it.

Nothing here needs numpy or pandas, so that a deploying machine reads models without them. The names are MLflow's
(`mlflow.types.schema`, `mlflow.models.ModelSignature`); the values are frozen and compare by content.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional, Union

from deployer_scoring.documents import load_json
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
    as_type,
    column_type,
    kind_of,
    repeated,
)
from deployer_scoring.schema.defaults import default_of, json_default
from deployer_scoring.schema.pickled import Pickled

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

Json = typing.Mapping[str, Any]
_MOST_DIMENSIONS = 64
"""Of a numpy array, since numpy 2."""
# Names of dtypes as numpy has them, and the codes that it takes for them.
_DTYPE = re.compile(
    r"bool_?|u?int(8|16|32|64|c|p)?|u?(byte|short|long|longlong)|float(16|32|64|80|96|128)?|half|single|double|c?longdouble"
    r"|complex(64|128|160|192|256)?|(str|bytes|void)_?\d*|unicode|object_?|(datetime|timedelta)64(\[\w+\])?|[<>|=]?[?a-zA-Z]\d*(\[\w+\])?"
)


@dataclass(frozen=True, init=False, repr=False)
class ColSpec(Pickled):
    """One column: its type or that type's name, its name (None in a signature without names), and whether a request must have it."""

    type: ColumnType
    name: Optional[str] = None
    required: bool = True

    def __init__(self, type: Union[ColumnType, str], name: Optional[str] = None, required: bool = True) -> None:  # noqa: A002
        self._set(type=as_type(type), name=name, required=required)

    def __str__(self) -> str:
        return f"{'' if self.name is None else self.name + ': '}{self.type}{'' if self.required else ' (optional)'}"

    def __repr__(self) -> str:
        named = "" if self.name is None else f"{self.name!r}: "
        return f"{named}{self.type!r} ({'required' if self.required else 'optional'})"

    def to_dict(self) -> dict[str, Any]:
        return {**self.type.to_dict(), **({} if self.name is None else {"name": self.name}), "required": self.required}


@dataclass(frozen=True, init=False, repr=False)
class TensorSpec(Pickled):
    """One tensor: its numpy dtype (kept as the dtype's name, which equals it), its shape with -1 for any length, its name or None.

    Raises:
        SchemaError: Strings or bytes of a fixed length, which no signature has; or a shape that is no sequence.
    """

    type: str
    shape: tuple[int, ...]
    name: Optional[str] = None

    def __init__(self, type: Any, shape: Sequence[int], name: Optional[str] = None) -> None:  # noqa: A002
        if not isinstance(shape, (tuple, list)):
            raise SchemaError(f"the shape of a tensor is a tuple or list, not {shape!r}")
        self._set(type=_dtype_name(type), shape=tuple(shape), name=name)

    def __reduce__(self) -> tuple[Any, ...]:
        return TensorSpec, (self.to_numpy(), self.shape, self.name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        info = state["_tensorInfo"]
        self.__init__(info._dtype, info._shape, state["_name"])  # type: ignore[misc]

    @property
    def required(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"{'' if self.name is None else self.name + ': '}tensor({self.type}, {list(self.shape)})"

    def __repr__(self) -> str:
        return f"{'' if self.name is None else repr(self.name) + ': '}Tensor({self.type!r}, {self.shape!r})"

    def to_numpy(self) -> np.dtype[Any]:
        import numpy as np

        return np.dtype(self.type)

    def to_dict(self) -> dict[str, Any]:
        named = {} if self.name is None else {"name": self.name}
        return {**named, "type": "tensor", "tensor-spec": {"dtype": self.type, "shape": list(self.shape)}}


class TensorInfo:
    """What MLflow's TensorSpec keeps its dtype and shape in: met in pickles only."""

    _dtype: Any
    _shape: tuple[int, ...]


@dataclass(frozen=True, init=False, repr=False)
class Schema(Pickled):
    """The columns or tensors of a model's input or output; all named, or none.

    Raises:
        SchemaError: Empty, columns mixed with tensors, names mixed with no names, several tensors without names, or
            columns that are optional without a name.
    """

    inputs: tuple[Union[ColSpec, TensorSpec], ...]

    def __init__(self, inputs: Sequence[Union[ColSpec, TensorSpec]]) -> None:
        if not isinstance(inputs, (list, tuple)):
            raise SchemaError(f"a schema is made of a list of columns or tensors, not {type(inputs).__name__}")
        self._set(inputs=tuple(inputs))
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

    def __repr__(self) -> str:
        return repr([*self.inputs])

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[Union[ColSpec, TensorSpec]]:
        return iter(self.inputs)

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

    def input_types(self) -> list[Any]:
        """The column types, or the tensors' dtypes."""
        return [each.to_numpy() if isinstance(each, TensorSpec) else each.type for each in self.inputs]

    def input_types_dict(self) -> dict[str, Any]:
        """Types by name; empty where there are no names."""
        return dict(zip(self.input_dict(), self.input_types()))

    def input_dict(self) -> dict[str, Union[ColSpec, TensorSpec]]:
        """Inputs by name; empty where there are no names."""
        return {each.name: each for each in self.inputs if each.name is not None}

    def numpy_types(self) -> list[np.dtype[Any]]:
        """The dtypes.

        Raises:
            SchemaError: A column is an array, object, map or any, which have none.
        """
        return [each.to_numpy() for each in self.tensors] or [each.to_numpy() for each in self._scalars()]

    def pandas_types(self) -> list[np.dtype[Any]]:
        """The dtypes of the columns of a DataFrame.

        Raises:
            SchemaError: As `numpy_types`, and for tensors.
        """
        if self.is_tensor_spec():
            raise SchemaError("tensors are no columns of a DataFrame: use numpy_types()")
        return [each.to_pandas() for each in self._scalars()]

    def as_spark_schema(self) -> Any:
        """Spark's type of a single column without a name, else a struct of all, those without a name called by their position; needs pyspark.

        Raises:
            SchemaError: A schema of tensors, or a column of any type.
        """
        if self.is_tensor_spec():
            raise SchemaError("tensors have no type in Spark")
        from pyspark.sql.types import StructField, StructType

        from deployer_scoring.schema.spark import spark_type

        if len(self) == 1 and not self.has_input_names():
            return spark_type(self.columns[0].type)
        fields = [StructField(each.name or str(position), spark_type(each.type), not each.required) for position, each in enumerate(self.columns)]
        return StructType(fields)

    def _scalars(self) -> list[DataType]:
        if odd := [each for each in self.columns if not isinstance(each.type, DataType)]:
            raise SchemaError(f"not every column has a dtype: {odd[0]}")
        return [each.type for each in self.columns if isinstance(each.type, DataType)]

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
        return cls([_input(item) for item in _load_list(text)])


@dataclass(frozen=True, init=False, repr=False)
class ParamSpec(Pickled):
    """A parameter of a request: name, type, default, and shape (None for one value, (-1,) for a list of them).

    Raises:
        SchemaError: A binary parameter, another shape, or a default that isn't of the type.
    """

    name: str
    dtype: Union[DataType, Object]
    default: Any
    shape: Optional[tuple[int, ...]] = None

    def __init__(self, name: str, dtype: Union[DataType, Object, str], default: Any, shape: Optional[Sequence[int]] = None) -> None:
        kind, lengths = as_type(dtype), None if shape is None else tuple(shape)
        if not isinstance(kind, (DataType, Object)):
            raise SchemaError(f"the parameter {name} can't be {kind}")
        if kind is DataType.binary:
            raise SchemaError(f"the parameter {name} can't be binary")
        if lengths not in {None, (-1,)}:
            raise SchemaError(f"the shape of the parameter {name} must be absent or [-1], not {list(lengths or ())}")
        self._set(name=str(name), dtype=kind, shape=lengths, default=default_of(str(name), kind, default, lengths))

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}{'' if self.shape is None else '[]'} = {self.default!r}"

    def __repr__(self) -> str:
        return f"{self.name!r}: {self.dtype!r} (default: {self.default}){'' if self.shape is None else f' (shape: {self.shape})'}"

    def to_dict(self) -> dict[str, Any]:
        shape = None if self.shape is None else list(self.shape)
        return {"name": self.name, "default": json_default(self.default), "shape": shape, **self.dtype.to_dict()}


@dataclass(frozen=True, init=False, repr=False)
class ParamSchema(Pickled):
    """The parameters that requests may carry.

    Raises:
        SchemaError: Two parameters of one name.
    """

    params: tuple[ParamSpec, ...]

    def __init__(self, params: Sequence[ParamSpec]) -> None:
        self._set(params=tuple(params))
        if twice := repeated(each.name for each in self.params):
            raise SchemaError(f"these parameters are declared more than once: {', '.join(sorted(twice))}")

    def __str__(self) -> str:
        return "[" + ", ".join(map(str, self.params)) + "]"

    def __repr__(self) -> str:
        return repr([*self.params])

    def __len__(self) -> int:
        return len(self.params)

    def __iter__(self) -> Iterator[ParamSpec]:
        return iter(self.params)

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
        return cls([_param(item) for item in _load_list(text)])


@dataclass(frozen=True, repr=False)
class ModelSignature(Pickled):
    """What a model takes, what it gives, and the parameters that a request may carry."""

    inputs: Optional[Schema] = None
    outputs: Optional[Schema] = None
    params: Optional[ParamSchema] = None
    is_from_type_hint: bool = field(default=False, compare=False)
    """Made from the type hints of predict: it describes the data, which is held against the hints instead."""
    is_type_hint_from_example: bool = field(default=False, compare=False)
    """The hint of predict is TypeFromExample: data takes the form of the input example."""

    def __repr__(self) -> str:
        return f"inputs: \n  {self.inputs!r}\noutputs: \n  {self.outputs!r}\nparams: \n  {self.params!r}\n"

    def to_dict(self) -> dict[str, Optional[str]]:
        """The mapping of JSON strings that an MLmodel file holds."""
        return {
            "inputs": self.inputs.to_json() if self.inputs else None,
            "outputs": self.outputs.to_json() if self.outputs else None,
            "params": self.params.to_json() if self.params else None,
        }

    @classmethod
    def from_dict(cls, signature_dict: Mapping[str, Any]) -> ModelSignature:
        """Read what `to_dict` gives.

        Raises:
            SchemaError: A part is not a schema.
        """
        inputs, outputs, params = (signature_dict.get(part) for part in ("inputs", "outputs", "params"))
        return cls(
            Schema.from_json(inputs) if inputs else None,
            Schema.from_json(outputs) if outputs else None,
            ParamSchema.from_json(params) if params else None,
        )


def _dtype_name(dtype: Any) -> str:
    """The name of a dtype; a name is taken as it is, so that reading needs no numpy."""
    name = str(getattr(dtype, "name", dtype))
    if getattr(dtype, "char", "") in {"U", "S"} and not name.isalpha():
        raise SchemaError(f"a tensor's strings have no length: np.dtype({name.rstrip('0123456789')!r}) instead of {dtype}")
    return name


def _load_list(text: str) -> list[Any]:
    try:
        items = load_json(text)
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
    if not _is_shape(spec["shape"]):
        raise SchemaError(f"the shape of a tensor is a list of at most {_MOST_DIMENSIONS} integers, not {spec['shape']!r}")
    if not isinstance(spec["dtype"], str) or not _DTYPE.fullmatch(spec["dtype"]):
        raise SchemaError(f"the dtype of a tensor is one of numpy's, not {spec['dtype']!r}")
    return TensorSpec(str(spec["dtype"]), tuple(spec["shape"]), _name(item))


def _param(item: Any) -> ParamSpec:
    if not isinstance(item, dict) or not {"name", "default"} <= item.keys() or not {"type", "dtype"} & item.keys():
        raise SchemaError(f"a parameter needs `name`, `type` and `default`, which {item!r} has not")
    dtype = column_type({**item, "type": item.get("type") or item.get("dtype")})
    if not isinstance(dtype, (DataType, Object)):
        raise SchemaError(f"the parameter {item['name']} can't be {dtype}")
    shape = item.get("shape")
    if shape is not None and not _is_shape(shape):
        raise SchemaError(f"the shape of the parameter {item['name']} must be absent or [-1], not {shape!r}")
    return ParamSpec(str(item["name"]), dtype, item["default"], None if shape is None else tuple(shape))


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_DIMENSIONS and all(type(length) is int for length in value)


def _name(item: Json) -> Optional[str]:
    name = item.get("name")
    # A frame without names has integers, one with levels of names lists.
    return name if name is None or isinstance(name, (int, list)) else str(name)  # type: ignore[return-value]
