"""The Open Inference Protocol's request and answer: named tensors to the data that a model is asked with, predictions to named tensors.

Columns take a tensor each, by name, of shape [rows] or [rows, 1]; one tensor of shape [rows, columns] under another name fills all of them
in the signature's order. Tensors of a signature are taken by name, or, where there is one of each, under any name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
import pandas as pd

from deployer_scoring.enforcement.lists import array_of
from deployer_scoring.enforcement.nested import enforce_value
from deployer_scoring.enforcement.values import Misfit, column_of, objects
from deployer_scoring.errors import EncodingError, InvalidInput
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.schema.datatypes import DataType
from deployer_scoring.schema.signature import ColSpec, Schema
from deployer_scoring.wire.decoding import Decoded
from deployer_scoring.wire.inference_outputs import outputs
from deployer_scoring.wire.inference_tensors import read, write
from deployer_scoring.wire.jsonbytes import read_json
from deployer_scoring.wire.table import Layout, Table

_NUMERIC = {DataType.boolean, DataType.integer, DataType.long, DataType.float, DataType.double}


@dataclass(frozen=True)
class Route:
    """What the path and the headers of a request say, as the one string that travels beside its body."""

    name: str
    version: str
    json_bytes: Optional[int] = None
    """The length of the JSON where binary tensors follow it (the header Inference-Header-Content-Length)."""

    def __str__(self) -> str:
        return json.dumps([self.name, self.version, self.json_bytes])

    @classmethod
    def of(cls, text: str) -> Route:
        return cls(*json.loads(text))


@dataclass(frozen=True)
class Inference(Decoded):
    """A request, with what its answer must repeat."""

    route: Route = field(default_factory=lambda: Route("", ""))
    id: Optional[str] = None
    outputs: Mapping[str, bool] = field(default_factory=dict)
    """The outputs that were asked for, and whether each goes out binary; empty where all are."""
    binary: bool = False
    """Whether outputs that nothing is said of go out binary."""


class InferenceCodec:
    """The protocol for one model."""

    def __init__(self, model: MLModel) -> None:
        """Make it.

        Args:
            model: Its signature names inputs, outputs and parameters.
        """
        signature = model.signature
        self._inputs = signature.inputs if signature else None
        self._outputs = signature.outputs if signature else None
        self._hinted = model.is_signature_from_type_hint
        self._layout = None if self._hinted else _numeric_layout(self._inputs)
        self._params = {each.name for each in signature.params.params} if signature and signature.params else set()

    def decode(self, body: bytes, route: str) -> Inference:
        """Read a request.

        Args:
            body: JSON, and binary tensors after it where the route says so.
            route: A `Route` as text.

        Raises:
            InvalidInput: Not of the protocol, or not what the signature wants.
        """
        asked_at = Route.of(route)
        length = len(body) if asked_at.json_bytes is None else asked_at.json_bytes
        if not 0 <= length <= len(body):
            raise InvalidInput(f"Inference-Header-Content-Length is {length}, and the body has {len(body)} bytes")
        request = read_json(body[:length])
        if not isinstance(request, dict) or not isinstance(request.get("inputs"), list) or not request["inputs"]:
            raise InvalidInput("the body must be a JSON object with inputs, a list of tensors")
        parameters = _parameters(request, "the request")
        identity = request.get("id")
        return self.inference(
            _with_binaries(request["inputs"], memoryview(body)[length:]),
            route=asked_at,
            parameters=parameters,
            identity=None if identity is None else str(identity),
            outputs=_asked_outputs(request.get("outputs")),
            binary=parameters.get("binary_data_output") is True,
        )

    def inference(
        self,
        inputs: Iterable[tuple[Any, Optional[memoryview]]],
        *,
        route: Route,
        parameters: Mapping[str, Any],
        identity: Optional[str],
        outputs: Mapping[str, bool],
        binary: bool,
    ) -> Inference:
        """A request of these inputs, in the form that JSON has, each with its bytes where it is binary.

        Raises:
            InvalidInput: Not of the protocol, or not what the signature wants.
        """
        try:
            data = self._data(_tensors(inputs), parameters)
        except InvalidInput:
            raise
        except Exception as error:  # whatever pandas or numpy make of strange tensors, it is the request that is at fault
            raise InvalidInput(f"the request can't be read: {type(error).__name__}: {error}") from error
        params = {name: value for name, value in parameters.items() if name in self._params}
        return Inference(data, params or None, route=route, id=identity, outputs=outputs, binary=binary)

    def _data(self, tensors: dict[str, _Tensor], parameters: Mapping[str, Any]) -> Any:
        """What the model is asked with."""
        data: Any = self._at_once(tensors)
        if data is None:
            data = _Arranging(tensors, self._inputs).data(as_frame=parameters.get("content_type") == "pd")
        if self._hinted and isinstance(data, pd.DataFrame):  # such a model takes a list, and checks it itself
            return data.iloc[:, 0].tolist() if len(data.columns) == 1 else data.to_dict(orient="records")
        return data

    def _at_once(self, tensors: dict[str, _Tensor]) -> Optional[Table]:
        """The tensors as a table, which needs no enforcement: numbers and booleans of exactly the signature's types; None for all else."""
        layout = self._layout
        if layout is None:
            return None
        if len(tensors) == 1 and layout.whole is not None:
            (only,) = tensors.values()
            if only.values.ndim == 2 and only.values.shape[1] == len(layout.names) > 1 and only.values.dtype == layout.whole.to_numpy():
                return Table(layout, [np.array(only.values.T, order="C")], len(only.values)) if only.name not in layout.names else None
        rows = {tensor.values.shape[:1] for tensor in tensors.values()}
        if len(rows) != 1 or () in rows:
            return None
        blocks = []
        for kind, positions in layout.groups:
            columns = [tensors.get(layout.names[position]) for position in positions]
            dtype = kind.to_numpy()
            if any(each is None or each.values.dtype != dtype or each.values.size != len(each.values) for each in columns):
                return None
            blocks.append(np.array([each.values.ravel() for each in columns if each is not None]))
        return Table(layout, blocks, next(iter(rows))[0])

    def encode(self, predictions: Any, asked: Inference) -> bytes:
        """Write an answer: four bytes with the length of its JSON where binary tensors follow it, else zero; JSON; tensors.

        Raises:
            EncodingError: A value has no form as a tensor.
            InvalidInput: An output was asked for that the model doesn't have.
        """
        written = self.written(predictions, asked)
        answer = {
            "model_name": asked.route.name,
            "model_version": asked.route.version,
            **({} if asked.id is None else {"id": asked.id}),
            "outputs": [item for item, _ in written],
        }
        text = json.dumps(answer).encode()
        binaries = [raw for item, raw in written if "binary_data_size" in item.get("parameters", {})]
        return b"".join([(len(text) if binaries else 0).to_bytes(4, "big"), text, *binaries])

    def written(self, predictions: Any, asked: Inference, *, all_binary: bool = False) -> list[tuple[dict[str, Any], bytes]]:
        """The outputs that were asked for, each as `write` gives it.

        Raises:
            EncodingError, InvalidInput: As `encode`.
        """
        found = outputs(predictions, self._outputs)
        if unknown := asked.outputs.keys() - found.keys():
            raise InvalidInput(f"the model has no output {', '.join(map(repr, sorted(unknown)))}; it has {', '.join(map(repr, found))}")
        wanted = asked.outputs or dict.fromkeys(found, asked.binary)
        try:
            return [write(name, found[name], binary=binary or all_binary) for name, binary in wanted.items()]
        except (TypeError, ValueError, RecursionError) as error:
            raise EncodingError(f"the model's answer, {type(predictions).__name__}, can't be written as tensors: {error}") from error


class _Arranging:
    """Tensors made into what the model takes."""

    def __init__(self, tensors: dict[str, _Tensor], inputs: Optional[Schema]) -> None:
        self._tensors, self._inputs = tensors, inputs

    def data(self, *, as_frame: bool) -> Any:
        """A frame where the signature has columns (or, without a signature, where it is asked for), else arrays."""
        if self._inputs is None:
            return self._unsigned(as_frame)
        if self._inputs.is_tensor_spec():
            return self._arrays(self._inputs)
        return self._frame(self._inputs)

    def _unsigned(self, as_frame: bool) -> Any:
        if as_frame:
            return pd.DataFrame({name: tensor.column(None) for name, tensor in self._tensors.items()})
        arrays = {name: tensor.values for name, tensor in self._tensors.items()}
        return arrays if len(arrays) > 1 else next(iter(arrays.values()))

    def _arrays(self, inputs: Schema) -> Any:
        names = [str(name) for name in inputs.input_names()]
        arrays = {name: tensor.as_dtype(spec.to_numpy()) for (name, tensor), spec in self._matched(names, inputs.tensors)}
        return arrays if inputs.has_input_names() else next(iter(arrays.values()))

    def _matched(self, names: list[str], specs: tuple[Any, ...]) -> Any:
        if len(names) == 1 and len(self._tensors) == 1:
            return [((names[0], next(iter(self._tensors.values()))), specs[0])]
        return [((name, self._tensors[name]), spec) for name, spec in zip(names, specs) if name in self._tensors]

    def _frame(self, inputs: Schema) -> pd.DataFrame:
        names = inputs.input_names()
        if not any(str(name) in self._tensors for name in names):
            if len(self._tensors) == 1:
                return self._spread(next(iter(self._tensors.items())), inputs)
            if not inputs.has_input_names() and len(self._tensors) == len(names):
                renamed = zip(names, self._tensors.values(), inputs.columns)
                return _framed({name: tensor.column(spec) for name, tensor, spec in renamed})
        specs = {str(name): spec for name, spec in zip(names, inputs.columns)}
        return _framed({name: tensor.column(specs.get(name)) for name, tensor in self._tensors.items()})

    def _spread(self, only: tuple[str, _Tensor], inputs: Schema) -> pd.DataFrame:
        """One tensor for all columns."""
        name, tensor = only
        names, values = inputs.input_names(), tensor.values
        if values.ndim == 1 and len(names) == 1:
            return _framed({names[0]: tensor.column(inputs.columns[0])})
        if values.ndim != 2 or values.shape[1] != len(names):
            wanted = f"either inputs by the names {', '.join(map(str, names))}, or one of the shape [rows, {len(names)}]"
            raise InvalidInput(f"the model takes {wanted}; it got {name!r} of the shape {list(values.shape)}")
        columns = (_Tensor(str(name), values[:, at], tensor.content_type).column(spec) for at, (name, spec) in enumerate(zip(names, inputs.columns)))
        return _framed(dict(zip(names, columns)))


@dataclass(frozen=True)
class _Tensor:
    """An input as it was read."""

    name: str
    values: np.ndarray
    content_type: str = ""

    def column(self, spec: Optional[ColSpec]) -> Any:
        """Its values as a column: of strings, bytes, dates and what has gaps what the signature says, of nested types what their JSON says."""
        values = self.values
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim == 0:
            values = values.reshape(1)
        if values.dtype != object:
            return values if values.ndim == 1 else list(values)
        kind = None if spec is None else spec.type
        try:
            if spec is None:
                return objects([_text(value) for value in values])
            if not isinstance(kind, DataType):
                return objects([enforce_value(_unsaid(value), spec.type, spec.required, encoded=True) for value in values])
            return self._typed(list(values), kind, spec.required)
        except Misfit as misfit:
            raise InvalidInput(f"in row {misfit.position + 1} of the input {self.name!r}, {misfit}") from misfit
        except (ValueError, TypeError) as error:  # an InvalidInput too
            raise InvalidInput(f"the input {self.name!r} can't be read as {kind}: {error}") from error

    def _typed(self, values: list[Any], kind: DataType, required: bool) -> Any:
        if kind is DataType.binary:
            encoded = self.content_type == "base64"
            values = [_text(value) if encoded else _bytes(value) for value in values]
            return column_of(values, kind, required=required, encoded=encoded)
        values = [_text(value) for value in values]
        if kind is DataType.string and required and None in values:
            raise Misfit("a value is missing: a required string has to be there", values.index(None))
        return column_of(values, kind, required=required)

    def as_dtype(self, wanted: np.dtype[Any]) -> np.ndarray:
        """Its values for a tensor of the signature, whose enforcement judges the rest."""
        if self.values.dtype != object or wanted.kind == "O":
            return self.values
        said = _bytes if wanted.kind == "S" else _text
        try:
            return array_of([said(value) for value in self.values.ravel()], wanted, encoded=False).reshape(self.values.shape)
        except ValueError as error:
            raise InvalidInput(f"the input {self.name!r} can't be read as {wanted}: {error}") from error


def _numeric_layout(inputs: Optional[Schema]) -> Optional[Layout]:
    """The table's layout, where all columns are numbers or booleans with names of their own, and none may be absent."""
    if inputs is None or inputs.is_tensor_spec() or not inputs.has_input_names() or inputs.optional_input_names():
        return None
    names = [each.name for each in inputs.columns]
    types = [each.type for each in inputs.columns if isinstance(each.type, DataType) and each.type in _NUMERIC]
    return Layout(names, types) if len(types) == len(names) == len(set(names)) and all(names) else None


def _with_binaries(items: list[Any], binaries: memoryview) -> Iterator[tuple[Any, Optional[memoryview]]]:
    """The inputs of a body, each with its part of what follows the JSON."""
    at = 0
    for item in items:
        parameters = _parameters(item, f"the input {item.get('name')!r}") if isinstance(item, dict) else {}
        size = parameters.get("binary_data_size")
        if size is not None and (type(size) is not int or not 0 <= size <= len(binaries) - at):
            left = len(binaries) - at
            raise InvalidInput(f"the input {item.get('name')!r} has the binary_data_size {size!r}, and {left} bytes are left of the body")
        yield item, None if size is None else binaries[at : at + size]
        at += size or 0
    if at != len(binaries):
        raise InvalidInput(f"the body has {len(binaries) - at} bytes after the last tensor")


def _tensors(inputs: Iterable[tuple[Any, Optional[memoryview]]]) -> dict[str, _Tensor]:
    tensors: dict[str, _Tensor] = {}
    for item, binary in inputs:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise InvalidInput("each of inputs must be an object with a name")
        name = item["name"]
        if name in tensors:
            raise InvalidInput(f"the input {name!r} is there twice")
        content_type = _parameters(item, f"the input {name!r}").get("content_type")
        tensors[name] = _Tensor(name, read(item, binary), str(content_type or ""))
    return tensors


def _parameters(item: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    parameters = item.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise InvalidInput(f"the parameters of {place} must be an object")
    return parameters or {}


def _asked_outputs(items: Any) -> dict[str, bool]:
    if items is None:
        return {}
    if not isinstance(items, list) or not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in items):
        raise InvalidInput("outputs must be a list of objects with a name each")
    return {item["name"]: _parameters(item, f"the output {item['name']!r}").get("binary_data") is True for item in items}


def _framed(columns: dict[Any, Any]) -> pd.DataFrame:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"the inputs differ in length: {', '.join(f'{name} has {length}' for name, length in lengths.items())}")
    return pd.DataFrame(columns)


def _unsaid(value: Any) -> Any:
    """A nested value, which comes as JSON in a string."""
    text = _text(value)
    return json.loads(text) if isinstance(text, str) else text


def _text(value: Any) -> Any:
    """Bytes as text; what is none, a gap above all, as it is."""
    return value.decode() if isinstance(value, bytes) else value


def _bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
