"""The Open Inference Protocol as a service of gRPC: what protocols/open_inference.py answers over HTTP, with the same values."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.message import DecodeError

from deployer_scoring.errors import InvalidInput
from deployer_scoring.server.protocols.catalog import Catalog
from deployer_scoring.server.protocols.open_inference import metadata, server_metadata
from deployer_scoring.server.rpc.calls import Answer
from deployer_scoring.wire.inference_grpc import request_of
from deployer_scoring.wire.inference_messages import MESSAGES

CODEC = "v2-grpc"


class InferenceService:
    """The answers of one server's models."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.methods: dict[str, Answer] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ServerMetadata": self._server,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model,
            "ModelInfer": self._infer,
        }

    async def _infer(self, message: bytes) -> bytes:
        request = request_of(message)
        dispatcher = self._catalog.named(request.model_name, request.model_version or None)
        route = json.dumps([request.model_name, self._catalog.settings.model_version, None])
        return await dispatcher.answer(message, route, CODEC)

    async def _live(self, message: bytes) -> bytes:
        return _written("ServerLive", live=True)

    async def _ready(self, message: bytes) -> bytes:
        return _written("ServerReady", ready=self._catalog.unavailable() is None)

    async def _server(self, message: bytes) -> bytes:
        return _written("ServerMetadata", **server_metadata())

    async def _model_ready(self, message: bytes) -> bytes:
        asked = _read("ModelReady", message)
        ready = self._catalog.unavailable() is None
        if ready:
            self._catalog.named(asked.name, asked.version or None)
        return _written("ModelReady", ready=ready)

    async def _model(self, message: bytes) -> bytes:
        asked = _read("ModelMetadata", message)
        described = metadata(self._catalog.named(asked.name, asked.version or None).model, asked.name, self._catalog.settings.model_version)
        for tensor in (*described["inputs"], *described["outputs"]):
            tensor.pop("parameters", None)  # which these messages have no place for
        return _written("ModelMetadata", **described)


def _read(method: str, message: bytes) -> Any:
    try:
        return MESSAGES[f"{method}Request"].FromString(message)
    except DecodeError as error:
        raise InvalidInput(f"the message is no {method}Request: {error}") from error


def _written(method: str, **fields: Any) -> bytes:
    return MESSAGES[f"{method}Response"](**fields).SerializeToString()  # type: ignore[no-any-return]
