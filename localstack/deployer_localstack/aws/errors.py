"""AWS's errors in the shape that each protocol gives them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

QUERY_SERVICES = frozenset({"sts", "iam"})

Answer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers, body."""


@dataclass(eq=False)
class AwsError(Exception):
    """An error as the real service words it.

    Attributes:
        code: botocore's `Error.Code`.
        message: botocore's `Error.Message`.
        status: the HTTP status.
        fields: further members of the error's shape (ModelError has OriginalStatusCode).
    """

    code: str
    message: str
    status: int = 400
    fields: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def validation(message: str) -> AwsError:
    """What SageMaker says to nearly everything that it refuses."""
    return AwsError("ValidationException", message)


def throttled(service: str) -> AwsError:
    """Each service has its own word for "too fast"."""
    if service == "s3":
        return AwsError("SlowDown", "Please reduce your request rate.", 503)
    if service in QUERY_SERVICES:
        return AwsError("Throttling", "Rate exceeded", 400)
    return AwsError("ThrottlingException", "Rate exceeded", 400)


def expired(service: str) -> AwsError:
    """The answer to a session token past its time."""
    if service == "s3":
        return AwsError("ExpiredToken", "The provided token has expired.", 400)
    if service in QUERY_SERVICES:
        return AwsError("ExpiredToken", "The security token included in the request is expired", 403)
    return AwsError("ExpiredTokenException", "The security token included in the request is expired", 400)


def render(error: AwsError, service: str, *, bodiless: bool = False) -> Answer:
    """The HTTP answer for an error of this service (S3's XML, the query protocol's XML, JSON with a type)."""
    request_id = str(uuid.uuid4())
    headers = [("x-amzn-RequestId", request_id)]
    if service == "s3":
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>'
            f"<RequestId>{request_id}</RequestId></Error>"
        ).encode()
        headers.append(("Content-Type", "application/xml"))
    elif service in QUERY_SERVICES:
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        ).encode()
        headers.append(("Content-Type", "text/xml"))
    else:
        document = {"__type": error.code, "message": error.message, "Message": error.message, **error.fields}
        body = json.dumps(document).encode()
        headers += [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", error.code)]
    if bodiless:
        body = b""
    return error.status, [*headers, ("Content-Length", str(len(body)))], body
