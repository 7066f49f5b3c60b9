"""Messages between two processes of one machine, as lines of JSON over a socket; open descriptors may go with them (SCM_RIGHTS, unix(7))."""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

_MOST = 64  # descriptors in what is read at once
_BLOCK = 64 * 1024
_COUNT = "descriptors"


class Message(NamedTuple):
    """One line, and the descriptors that came with it, which are the reader's to close."""

    content: dict[str, Any]
    descriptors: tuple[int, ...]


class Messages:
    """One end of a connection. Nothing here waits: who reads waits until there is something."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._rest = b""
        self._unclaimed: list[int] = []

    def fileno(self) -> int:
        return self._connection.fileno()

    def send(self, descriptors: Sequence[int] = (), **content: Any) -> None:
        """Send a message; the descriptors stay open here.

        Raises:
            OSError: The other end is gone, or reads too slowly (BlockingIOError).
        """
        data = json.dumps({**content, _COUNT: len(descriptors)}).encode() + b"\n"
        self._connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else [])

    def read(self) -> list[Message]:
        """What has come since.

        Raises:
            EOFError: The other end is gone.
        """
        room = socket.CMSG_SPACE(_MOST * array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self._connection.recvmsg(_BLOCK, room)
        except BlockingIOError:
            return []
        except OSError:
            data, ancillary = b"", []
        for level, kind, packed in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found = array.array("i")
                found.frombytes(packed[: len(packed) - len(packed) % found.itemsize])
                self._unclaimed += found
        for each in self._unclaimed:
            os.set_inheritable(each, False)
        if not data:
            raise EOFError
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [self._message(json.loads(line)) for line in lines]

    def close(self) -> None:
        self._connection.close()
        for each in self._unclaimed:
            with contextlib.suppress(OSError):
                os.close(each)
        self._unclaimed.clear()

    def _message(self, content: dict[str, Any]) -> Message:
        count = content.pop(_COUNT)
        descriptors = tuple(self._unclaimed[:count])
        del self._unclaimed[:count]
        return Message(content, descriptors)
