"""The Open Inference Protocol's messages of gRPC to the data that a model is asked with, and predictions to messages: what inference_codec.py
does for JSON, with the same values.

Tensors come typed (`contents`) or as bytes in the order of the inputs (`raw_input_contents`); the answer has the form of the request. Neither
has gaps: an answer's are NaN among FP64, or an empty string, as in the binary tensors of HTTP.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from deployer_scoring.errors import InvalidInput
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.wire.inference_codec import Inference, InferenceCodec, Route
from deployer_scoring.wire.inference_messages import InferRequest, InferResponse
from deployer_scoring.wire.inference_tensors import flat_of_binary

_FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where typed data is; FP16 has no such place."""


def request_of(body: bytes) -> Any:
    """The ModelInferRequest in the bytes of a message.

    Raises:
        InvalidInput: They are none.
    """
    try:
        return InferRequest.FromString(body)
    except DecodeError as error:
        raise InvalidInput(f"the message is no ModelInferRequest: {error}") from error


class InferenceMessageCodec:
    """The protocol for one model."""

    def __init__(self, model: MLModel) -> None:
        """Make it.

        Args:
            model: Its signature names inputs, outputs and parameters.
        """
        self._codec = InferenceCodec(model)

    def decode(self, body: bytes, route: str) -> Inference:
        """Read a request.

        Args:
            body: A ModelInferRequest.
            route: A `Route` as text.

        Raises:
            InvalidInput: Not of the protocol, or not what the signature wants.
        """
        request = request_of(body)
        if not request.inputs:
            raise InvalidInput("the request has no inputs")
        raw = request.raw_input_contents
        if raw and len(raw) != len(request.inputs):
            raise InvalidInput(f"raw_input_contents has {len(raw)} tensors, and inputs {len(request.inputs)}: all of them go there, or none")
        items = [_item(tensor, typed=not raw) for tensor in request.inputs]
        return self._codec.inference(
            [(item, memoryview(raw[at]) if raw else None) for at, item in enumerate(items)],
            route=Route.of(route),
            parameters=_parameters(request),
            identity=request.id or None,
            outputs=dict.fromkeys((output.name for output in request.outputs), bool(raw)),
            binary=bool(raw),
        )

    def encode(self, predictions: Any, asked: Inference) -> bytes:
        """Write a ModelInferResponse.

        Raises:
            EncodingError: A value has no form as a tensor.
            InvalidInput: An output was asked for that the model doesn't have.
        """
        written = self._codec.written(predictions, asked, all_binary=True)
        response = InferResponse(model_name=asked.route.name, model_version=asked.route.version, id=asked.id or "")
        raw = asked.binary or any(item["datatype"] not in _FIELDS for item, _ in written)
        for item, data in written:
            kind = item["datatype"]
            tensor = response.outputs.add(name=item["name"], datatype=kind, shape=item["shape"])
            if raw:
                response.raw_output_contents.append(data)
            else:
                getattr(tensor.contents, _FIELDS[kind]).extend(flat_of_binary(memoryview(data), kind).tolist())
        return response.SerializeToString()  # type: ignore[no-any-return]


def _item(tensor: Any, *, typed: bool) -> dict[str, Any]:
    """An input as HTTP's JSON has it, so that both are read by the same rules."""
    kind = tensor.datatype
    item = {"name": tensor.name, "datatype": kind, "shape": list(tensor.shape), "parameters": _parameters(tensor)}
    filled = [field.name for field, _ in tensor.contents.ListFields()]
    if not typed:
        if filled:
            raise InvalidInput(f"the input {tensor.name!r} has {filled[0]}, and there is raw_input_contents: data goes into one of them")
        return item
    if kind == "FP16":
        raise InvalidInput(f"the input {tensor.name!r} is of FP16, which goes into raw_input_contents alone")
    field = _FIELDS.get(kind, "")
    if filled and field and filled != [field]:
        raise InvalidInput(f"the input {tensor.name!r} is of {kind}, whose data goes into {field}; it is in {', '.join(filled)}")
    return {**item, "data": list(getattr(tensor.contents, field)) if field else []}


def _parameters(message: Any) -> dict[str, Any]:
    return {name: getattr(value, choice) for name, value in message.parameters.items() if (choice := value.WhichOneof("parameter_choice"))}
