"""The paths of the Open Inference Protocol, version 2, which KServe's and Triton's clients speak; its bodies are wire/inference_codec.py's.

    /v2                                     the server
    /v2/health/live, /v2/health/ready       (service.py's)
    /v2/models, POST /v2/repository/index   the models' names
    /v2/models/NAME[/versions/VERSION]      inputs and outputs, from the signature
    /v2/models/NAME[/versions/VERSION]/ready
    POST /v2/models/NAME[/versions/VERSION]/infer

Errors are `{"error": "..."}`. A model's name is DEPLOYER_MODEL_NAME; where that isn't set, the one model answers to any.
"""

from __future__ import annotations

import json
from typing import Any, Optional, Union

from deployer_scoring.errors import InvalidInput
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.schema.datatypes import DataType
from deployer_scoring.schema.signature import ColSpec, Schema, TensorSpec
from deployer_scoring.server.http.messages import JSON, Request, Response, as_json
from deployer_scoring.server.protocols.catalog import Catalog
from deployer_scoring.server.protocols.failures import wants
from deployer_scoring.version import __version__

CODEC = "v2"
_LENGTH = "inference-header-content-length"
_DATATYPES = {
    DataType.boolean: "BOOL",
    DataType.integer: "INT32",
    DataType.long: "INT64",
    DataType.float: "FP32",
    DataType.double: "FP64",
    DataType.string: "BYTES",
    DataType.binary: "BYTES",
    DataType.datetime: "BYTES",
}
_CONTENT_TYPES = {DataType.binary: "base64", DataType.datetime: "datetime"}
_EXTENSIONS = ["binary_tensor_data", "model_repository"]


async def answer(request: Request, catalog: Catalog) -> Response:
    """Answer a request below /v2.

    Raises:
        InvalidInput: No such path or model, a wrong method, or a request at fault.
        Unavailable: The model is loading.
        ScoringError: As Dispatcher.answer.
    """
    match = request.path.split("/")[2:]
    if not match:
        return _get(request, server_metadata())
    if match == ["models"]:
        return _get(request, {"models": catalog.names})
    if match == ["repository", "index"]:
        wants(request, "POST")
        ready = catalog.unavailable() is None
        state = {"version": catalog.settings.model_version, "state": "READY" if ready else "LOADING", "reason": catalog.unavailable() or ""}
        return as_json([{"name": name, **state} for name in catalog.names])
    if match[0] == "models" and len(match) > 1:
        return await _of_model(request, catalog, match[1], match[2:])
    raise _not_found(request)


async def _of_model(request: Request, catalog: Catalog, name: str, rest: list[str]) -> Response:
    version = None
    if len(rest) > 1 and rest[0] == "versions":
        version, rest = rest[1], rest[2:]
    if not rest:
        return _get(request, metadata(catalog.named(name, version).model, name, catalog.settings.model_version))
    if rest == ["ready"]:
        ready = catalog.unavailable() is None
        if ready:
            catalog.named(name, version)
        return _get(request, {"name": name, "ready": ready}, 200 if ready else 503)
    if rest == ["infer"]:
        wants(request, "POST")
        return await _infer(request, catalog, name, version)
    raise _not_found(request)


async def _infer(request: Request, catalog: Catalog, name: str, version: Optional[str]) -> Response:
    dispatcher = catalog.named(name, version)
    length = request.headers.get(_LENGTH)
    if length is not None and not (length.isascii() and length.isdigit()):
        raise InvalidInput(f"Inference-Header-Content-Length must be a number of bytes, not {length!r}")
    route = json.dumps([name, catalog.settings.model_version, None if length is None else int(length)])
    answered = await dispatcher.answer(request.body, route, CODEC)
    json_bytes = int.from_bytes(answered[:4], "big")  # see InferenceCodec.encode
    if json_bytes:
        return Response(200, answered[4:], "application/octet-stream", {_LENGTH: str(json_bytes)})
    return Response(200, answered[4:], JSON)


def server_metadata() -> dict[str, Any]:
    """What the server says of itself."""
    return {"name": "deployer_scoring", "version": __version__, "extensions": _EXTENSIONS}


def metadata(model: MLModel, name: str, version: str) -> dict[str, Any]:
    """A model's metadata: a tensor for each column or tensor of the signature; none where there is no signature."""
    signature = model.signature
    return {
        "name": name,
        "versions": [version],
        "platform": f"mlflow_{model.framework}",
        "inputs": _tensors(signature.inputs if signature else None, "input-{}"),
        "outputs": _tensors(signature.outputs if signature else None, "output-{}"),
    }


def _tensors(schema: Optional[Schema], unnamed: str) -> list[dict[str, Any]]:
    if schema is None:
        return []
    return [_tensor(spec, spec.name or unnamed.format(position)) for position, spec in enumerate(schema.inputs)]


def _tensor(spec: Union[ColSpec, TensorSpec], name: str) -> dict[str, Any]:
    if isinstance(spec, TensorSpec):
        kinds = {"bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64"}
        kind = kinds.get(spec.type) or (spec.type.upper() if spec.type.startswith(("int", "uint")) else "BYTES")
        return {"name": name, "datatype": kind, "shape": list(spec.shape)}
    if not isinstance(spec.type, DataType):
        return {"name": name, "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "json"}}
    content_type = {"parameters": {"content_type": _CONTENT_TYPES[spec.type]}} if spec.type in _CONTENT_TYPES else {}
    return {"name": name, "datatype": _DATATYPES[spec.type], "shape": [-1], **content_type}


def _get(request: Request, value: object, status: int = 200) -> Response:
    wants(request, "GET", "HEAD")
    return as_json(value, status)


def _not_found(request: Request) -> InvalidInput:
    return InvalidInput(f"there is no {request.path} here; predictions are at POST /v2/models/NAME/infer", status=404)
