"""The server's HTTP interface as an OpenAPI 3.1 document, with what the loaded model takes and gives."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from typing import Any, Dict, Optional

from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.model.serving_example import serving_example
from deployer_scoring.server.protocols import json_schemas
from deployer_scoring.version import __version__

Json = Dict[str, Any]

_TITLES = {"dataframe_split": "SplitRequest", "dataframe_records": "RecordsRequest", "inputs": "InputsRequest", "instances": "InstancesRequest"}
_FAULTS = {
    "400": ("BadRequest", "The body can't be read, or is not what the signature wants; the message says what and where."),
    "408": ("Slow", "The request did not arrive in time."),
    "413": ("TooLarge", "The body is over the limit (DEPLOYER_MAX_REQUEST_BYTES)."),
    "415": ("UnknownFormat", "The content type, charset or content encoding is not known."),
    "500": ("ModelFailed", "The model raised; the message is its exception, the traceback is in the log."),
    "503": ("Unavailable", "The model is loading, too many requests wait, or the server is stopping; try again after Retry-After seconds."),
    "504": ("TimedOut", "The model took longer than it may."),
}
_PROTOCOL = "open inference protocol"
_DATATYPES = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"]


def document(model: Optional[MLModel], *, name: str = "model", multi_model: bool = False) -> Json:
    """The document.

    Args:
        model: What is served; None where the server holds several models, or none yet.
        name: The model's name in the Open Inference Protocol.
        multi_model: Whether the model APIs of SageMaker's multi-model endpoints are there.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{model.framework} model" if model else "Scoring server",
            "version": __version__,
            "description": "Predictions of an MLflow model with the python_function flavor.",
        },
        "tags": [{"name": "predictions"}, {"name": "health"}, {"name": "about"}, {"name": _PROTOCOL}],
        "paths": {
            **({} if multi_model else {"/invocations": {"post": _invocations(model)}}),
            **dict(_probes()),
            **dict(_about()),
            **_inference_protocol(name),
            **(_model_apis(model) if multi_model else {}),
        },
        "components": {"schemas": _schemas(model), "responses": dict(_faults())},
    }


def _schemas(model: Optional[MLModel]) -> dict[str, Json]:
    signature = model.signature if model else None
    requests = json_schemas.requests(signature, hinted=model is not None and model.is_signature_from_type_hint)
    predicted = json_schemas.predictions(signature.outputs if signature else None)
    text: Json = {"type": "string"}
    parameters: Json = {"type": "object"}
    tensor = {"name": text, "datatype": {"enum": _DATATYPES}, "shape": _list({"type": "integer", "minimum": -1}), "parameters": parameters}
    filled = {**tensor, "shape": _list({"type": "integer", "minimum": 0})}
    return {
        **{_TITLES[name]: schema for name, schema in requests.items()},
        "Predictions": _object({"predictions": predicted}),
        "Error": _object({"error_code": {**text, "description": "MLflow's name for the kind of error."}, "message": text}),
        "InferenceError": _object({"error": text}),
        "TensorMetadata": _object(tensor, "name", "datatype", "shape"),
        "RequestTensor": _object({**filled, "data": {"type": "array"}}, "name", "datatype", "shape", "data"),
        "ResponseTensor": _object({**filled, "data": {"type": "array"}}, "name", "datatype", "shape"),
        "InferenceRequest": _object(
            {
                "id": text,
                "parameters": parameters,
                "inputs": {**_list(_ref("schemas", "RequestTensor")), "minItems": 1},
                "outputs": _list(_object({"name": text, "parameters": parameters}, "name")),
            },
            "inputs",
        ),
        "InferenceResponse": _object(
            {"model_name": text, "model_version": text, "id": text, "outputs": _list(_ref("schemas", "ResponseTensor"))}, "model_name", "outputs"
        ),
    }


def _faults() -> Iterator[tuple[str, Json]]:
    for name, said in _FAULTS.values():
        yield name, {"description": said, "content": _json(_ref("schemas", "Error"))}
    yield (
        "Error",
        {
            "description": "Any other error: a path or a method that is not there, a request that is not HTTP.",
            "content": _json(_ref("schemas", "Error")),
        },
    )
    yield "InferenceError", {"description": "What is wrong.", "content": _json(_ref("schemas", "InferenceError"))}


def _invocations(model: Optional[MLModel]) -> Json:
    signature = model.signature if model else None
    hinted = model is not None and model.is_signature_from_type_hint
    names = json_schemas.requests(signature, hinted=hinted)
    example = serving_example(model) if model else None
    body: Json = {"schema": {"oneOf": [_ref("schemas", _TITLES[name]) for name in names]}}
    if example is not None:
        said = "The example saved with the model." if example.saved else "Made up from the signature: what is answered means nothing."
        body["examples"] = {"example": {"summary": said, "value": json.loads(example.body)}}
    content: Json = {"application/json": body}
    if json_schemas.takes_csv(signature, hinted=hinted):
        content["text/csv"] = {"schema": {"type": "string", "description": "CSV with a header row, in UTF-8."}}
        if any(importlib.util.find_spec(library) for library in ("pyarrow", "fastparquet")):
            content["application/vnd.apache.parquet"] = {"schema": {"description": "A Parquet file."}}
    answers: Json = _json(_ref("schemas", "Predictions"))
    parameters: list[Json] = [
        {"name": "X-Request-Id", "in": "header", "description": "Comes back, and is in the log.", "schema": {"type": "string"}},
    ]
    if model is not None and model.pyfunc.predict_stream_fn:
        lines: Json = {"type": "string", "description": "A piece of the answer a line, or an event."}
        answers.update({"application/jsonlines": {"schema": lines}, "text/event-stream": {"schema": lines}})
        parameters.append({"name": "stream", "in": "query", "description": "Whether to answer piece by piece.", "schema": {"type": "boolean"}})
    return {
        "operationId": "predict",
        "tags": ["predictions"],
        "summary": "Predict",
        "description": "A request has exactly one of the formats. `params` are the model's parameters, where its signature has any.",
        "parameters": parameters,
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {
                "description": "The predictions.",
                "headers": {"X-Request-Id": {"description": "Of the request, or made for it.", "schema": {"type": "string"}}},
                "content": answers,
            },
            **{status: _ref("responses", fault) for status, (fault, _) in _FAULTS.items()},
            "default": _ref("responses", "Error"),
        },
    }


def _probes() -> Iterator[tuple[str, Json]]:
    unavailable = {"503": _ref("responses", "Unavailable")}
    for path, name, said in (("/ping", "ping", "Whether the model is loaded"), ("/health", "health", "The same under another name")):
        status = _object({"status": {"const": "ready"}})
        yield path, _get(name, said, "It is.", _json(status), more=unavailable, tag="health")


def _about() -> Iterator[tuple[str, Json]]:
    text: Json = {"type": "string"}
    unavailable = {"503": _ref("responses", "Unavailable")}
    version = _object({"deployer_scoring": text, "python": text, "model_mlflow_version": {"type": ["string", "null"]}})
    number: Json = {"type": "integer", "minimum": 1}
    execution = _object({"MaxConcurrentTransforms": number, "BatchStrategy": {"const": "SINGLE_RECORD"}, "MaxPayloadInMB": number})
    yield "/version", _get("version", "The versions of the runtime and of Python", "The versions.", _json(version))
    yield "/execution-parameters", _get("executionParameters", "What a SageMaker batch transform is told", "The limits.", _json(execution))
    yield "/metrics", _get("metrics", "Counts and durations, for Prometheus", "The metrics.", {"text/plain": {"schema": text}})
    yield "/openapi.json", _get("openapi", "This document", "The document.", _json({"type": "object"}), more=unavailable)
    yield "/docs", _get("docs", "A page to try the model", "The page.", {"text/html": {"schema": text}}, more=unavailable)


def _inference_protocol(name: str) -> dict[str, Json]:
    text: Json = {"type": "string"}
    failed = {"default": _ref("responses", "InferenceError")}
    tensors = _list(_ref("schemas", "TensorMetadata"))
    metadata = _object({"name": text, "versions": _list(text), "platform": text, "inputs": tensors, "outputs": tensors}, "name", "platform")
    ready = _object({"ready": {"type": "boolean"}})
    model_ready = _object({"name": text, "ready": {"type": "boolean"}})
    infer = {
        "operationId": "infer",
        "tags": [_PROTOCOL],
        "summary": "Predict, tensors in and out",
        "requestBody": {"required": True, "content": _json(_ref("schemas", "InferenceRequest"))},
        "responses": {"200": {"description": "The outputs.", "content": _json(_ref("schemas", "InferenceResponse"))}, **failed},
    }
    about = {
        "/v2": ("serverMetadata", "The server", _object({"name": text, "version": text, "extensions": _list(text)})),
        "/v2/health/live": ("live", "Whether the server runs", _object({"live": {"const": True}})),
        "/v2/models": ("models", "The models' names", _object({"models": _list(text)})),
        "/v2/models/{name}": ("modelMetadata", "A model's inputs and outputs", metadata),
    }
    paths: dict[str, Json] = {
        path: _get(operation, said, "It is so.", _json(schema), tag=_PROTOCOL, more=failed) for path, (operation, said, schema) in about.items()
    }
    for path, operation, schema in (("/v2/health/ready", "ready", ready), ("/v2/models/{name}/ready", "modelReady", model_ready)):
        not_yet = {"503": {"description": "Not yet, or no longer.", "content": _json(schema)}}
        paths[path] = _get(operation, "Whether predictions are answered", "They are.", _json(schema), tag=_PROTOCOL, more={**not_yet, **failed})
    paths["/v2/models/{name}/infer"] = {"post": infer}
    named = {"parameters": [{"name": "name", "in": "path", "required": True, "schema": {**text, "default": name}, "example": name}]}
    return {path: {**named, **item} if "{name}" in path else item for path, item in paths.items()}


def _model_apis(model: Optional[MLModel]) -> dict[str, Json]:
    """The model APIs of SageMaker's multi-model endpoints."""
    text: Json = {"type": "string"}
    about = _object({"modelName": text, "modelUrl": text})
    listed = _object({"models": _list(about), "nextPageToken": text}, "models")
    failed = {"default": _ref("responses", "Error")}
    load = {
        "operationId": "loadModel",
        "tags": ["predictions"],
        "summary": "Load a model",
        "requestBody": {"required": True, "content": _json(_object({"model_name": text, "url": text}))},
        "responses": {"200": {"description": "It is loaded; 409: it was; 507: memory is short.", "content": _json(about)}, **failed},
    }
    unload = {"operationId": "unloadModel", "tags": ["predictions"], "summary": "Forget a model"}
    named = {"parameters": [{"name": "name", "in": "path", "required": True, "schema": text}]}
    return {
        "/models": {**_get("listModels", "The loaded models", "They are these.", _json(listed), more=failed), "post": load},
        "/models/{name}": {
            **named,
            **_get("describeModel", "A loaded model", "It is this.", _json(about), more=failed),
            "delete": {**unload, "responses": {"200": {"description": "It is gone.", "content": _json(about)}, **failed}},
        },
        "/models/{name}/invoke": {**named, "post": {**_invocations(model), "operationId": "invokeModel"}},
    }


def _get(operation: str, summary: str, said: str, content: Json, *, tag: str = "about", more: Optional[Mapping[str, Json]] = None) -> Json:
    responses = {"200": {"description": said, "content": content}, "default": _ref("responses", "Error"), **(more or {})}
    return {"get": {"operationId": operation, "tags": [tag], "summary": summary, "responses": responses}}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _object(properties: Mapping[str, Json], *required: str) -> Json:
    return {"type": "object", "required": list(required or properties), "properties": dict(properties)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
