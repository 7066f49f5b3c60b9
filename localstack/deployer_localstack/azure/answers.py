"""What the parts of the local Azure answer with, and refuse with, before it is an answer of HTTP."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from deployer_localstack.http.server import StartResponse


class AzureError(Exception):
    """A refusal: the service's code, what it says, and the HTTP status."""

    def __init__(
        self,
        code: str,
        message: str,
        status: int = 400,
        *,
        target: str = "",
        headers: Mapping[str, str] | None = None,
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.target = code, message, status, target
        self.headers, self.details = dict(headers or {}), [*details]

    def document(self) -> dict[str, Any]:
        """As ARM has it: Azure/azure-resource-manager-rpc, "Error response content"."""
        said = {"code": self.code, "message": self.message, "details": self.details, "additionalInfo": []}
        return {**said, **({"target": self.target} if self.target else {})}


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """A JSON document with a status; None is no body."""

    document: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def send_json(start_response: StartResponse, answer: JsonAnswer) -> Iterable[bytes]:
    """Put an answer on its way."""
    body = b"" if answer.document is None else json.dumps(answer.document).encode()
    kind = {"Content-Type": "application/json; charset=utf-8"} if body else {}
    return send(start_response, answer.status, {**kind, **answer.headers}, body)


def send(start_response: StartResponse, status: int, headers: Mapping[str, str], body: bytes = b"") -> Iterable[bytes]:
    """Put bytes on their way, with the id that every answer of Azure's has."""
    request = str(uuid.uuid4())
    own = {"x-ms-request-id": request, **({} if status == 204 else {"Content-Length": str(len(body))})}
    start_response(status_line(status), [*{**own, **headers}.items()])
    return [body]


def send_pieces(start_response: StartResponse, status: int, headers: Mapping[str, str], pieces: Iterable[bytes]) -> Iterable[bytes]:
    """The same of bytes that come one after the other."""
    start_response(status_line(status), [("x-ms-request-id", str(uuid.uuid4())), *headers.items()])
    return pieces


def status_line(status: int) -> str:
    """Of HTTP/1.1: "404 Not Found"."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Error"
