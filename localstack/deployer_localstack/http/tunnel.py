"""A connection that has changed its protocol: bytes go both ways between two sockets until either end has enough."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Iterator
from io import BufferedIOBase, BufferedReader

_PIECE = 64 * 1024


class Tunnel:
    """An answer of 101 to a request: the far side, to which the near one is joined once it has the answer's head. Has no body of its own."""

    def __init__(self, far: socket.socket, read_ahead: BufferedIOBase) -> None:
        """A tunnel.

        Args:
            far: the connection that was upgraded.
            read_ahead: what the answer's head was read from: it may hold the first bytes that came after it.
        """
        self._far, self._far_ahead = far, read_ahead

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def carry(self, near: socket.socket, read_ahead: BufferedIOBase) -> None:
        """Returns when one side has ended; the far one is closed then, the near one is its owner's."""
        others = {near: self._far, self._far: near}
        try:
            self._far.sendall(_waiting(near, read_ahead))
            near.sendall(_waiting(self._far, self._far_ahead))
            while True:
                decrypted = [each for each in others if isinstance(each, ssl.SSLSocket) and each.pending()]
                for readable in decrypted or select.select([*others], [], [])[0]:
                    if not (piece := readable.recv(_PIECE)):
                        return
                    others[readable].sendall(piece)
        except OSError:
            return
        finally:
            self._far.close()


def _waiting(connection: socket.socket, reader: BufferedIOBase) -> bytes:
    """What a reader has taken from its connection and nobody has read."""
    timeout = connection.gettimeout()
    connection.settimeout(0)
    try:
        with contextlib.suppress(OSError):  # there is nothing, and nothing to wait for
            return reader.peek() if isinstance(reader, BufferedReader) else b""
        return b""
    finally:
        connection.settimeout(timeout)
