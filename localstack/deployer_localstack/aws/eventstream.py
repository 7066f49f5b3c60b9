"""Amazon's event stream encoding, as far as InvokeEndpointWithResponseStream needs it (botocore decodes it in `botocore.eventstream`)."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7


def payload_part(data: bytes) -> bytes:
    """A piece of the answer."""
    return _message({":message-type": "event", ":event-type": "PayloadPart", ":content-type": "application/octet-stream"}, data)


def model_stream_error(message: str, code: str) -> bytes:
    """The container broke off in the middle of its answer."""
    headers = {":message-type": "exception", ":exception-type": "ModelStreamError", ":content-type": "application/json"}
    return _message(headers, json.dumps({"Message": message, "ErrorCode": code}).encode())


def _message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Lengths and their checksum, headers, payload, checksum of it all; integers are big endian."""
    encoded = b"".join(
        struct.pack(">B", len(name.encode())) + name.encode() + struct.pack(">BH", _STRING, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    total = 4 + 4 + 4 + len(encoded) + len(payload) + 4
    lengths = struct.pack(">II", total, len(encoded))
    message = lengths + struct.pack(">I", zlib.crc32(lengths)) + encoded + payload
    return message + struct.pack(">I", zlib.crc32(message))
