"""Messages on a Unix socket between a Spark worker and its executor's model process: a kind, a length, that many bytes."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

HELLO, BATCH, RESULT, ERROR = b"H", b"B", b"R", b"E"
_HEAD = struct.Struct("!cQ")


class Frame(NamedTuple):
    """A message: `HELLO` and `ERROR` carry JSON, `BATCH` and `RESULT` an Arrow IPC stream."""

    kind: bytes
    body: memoryview

    def json(self) -> Any:
        """The body of a `HELLO` or `ERROR`."""
        return json.loads(bytes(self.body))


def send(connection: socket.socket, kind: bytes, body: Any) -> None:
    """Write a message whose body is any bytes-like object.

    Raises:
        OSError: The other side is gone.
    """
    view = memoryview(body).cast("B")
    connection.sendall(_HEAD.pack(kind, len(view)))
    connection.sendall(view)


def send_json(connection: socket.socket, kind: bytes, body: Mapping[str, Any]) -> None:
    """Write a message of JSON."""
    send(connection, kind, json.dumps(body).encode())


def receive(connection: socket.socket) -> Optional[Frame]:
    """The next message; None where the other side has ended between two messages.

    Raises:
        ConnectionError: The other side ended within a message.
    """
    head = _exactly(connection, _HEAD.size)
    if head is None:
        return None
    kind, length = _HEAD.unpack(head)
    body = _exactly(connection, length)
    if body is None:
        raise ConnectionResetError("the other side ended within a message")
    return Frame(kind, body)


def _exactly(connection: socket.socket, length: int) -> Optional[memoryview]:
    whole = memoryview(bytearray(length))
    rest = whole
    while rest:
        count = connection.recv_into(rest)
        if not count:
            if len(rest) == length:
                return None
            raise ConnectionResetError("the other side ended within a message")
        rest = rest[count:]
    return whole
