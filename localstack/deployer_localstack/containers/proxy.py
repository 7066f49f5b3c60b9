"""Connections to one container, kept open between requests."""

from __future__ import annotations

import http.client
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_CONNECT_SECONDS = 5.0
_PIECE = 64 * 1024


class ContainerUnreachable(Exception):
    """The container didn't take the request: it wasn't sent, or not read."""


class ContainerTimeout(Exception):
    """The container took the request and didn't answer in time."""


class ContainerBrokeOff(Exception):
    """The container took the request and closed the connection instead of answering."""


@dataclass(slots=True)
class ContainerAnswer:
    """Status, headers (lower case) and the body, whole or in pieces."""

    status: int
    headers: Mapping[str, str]
    _response: http.client.HTTPResponse
    _connection: http.client.HTTPConnection
    _pool: ConnectionPool

    def read(self) -> bytes:
        try:
            body = self._response.read()
        except TimeoutError:
            self.abandon()
            raise ContainerTimeout from None
        except (OSError, http.client.HTTPException):
            self.abandon()
            raise ContainerBrokeOff from None
        self._pool.give_back(self._connection, self._response)
        return body

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes."""
        try:
            while piece := self._response.read1(_PIECE):
                yield piece
        except TimeoutError:
            raise ContainerTimeout from None
        except (OSError, http.client.HTTPException):
            raise ContainerBrokeOff from None
        finally:
            self.abandon()

    def abandon(self) -> None:
        self._connection.close()


class ConnectionPool:
    """Sends requests to one address. A connection that the server closed while it was idle is replaced without a word."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._idle: deque[http.client.HTTPConnection] = deque()

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_seconds: float) -> ContainerAnswer:
        """One request.

        Raises:
            ContainerUnreachable, ContainerTimeout, ContainerBrokeOff.
        """
        while True:
            try:
                connection, reused = self._idle.pop(), True
            except IndexError:
                connection, reused = self._connect(), False
            assert connection.sock is not None
            connection.sock.settimeout(timeout_seconds)
            try:
                connection.request(method, path, body=body, headers={**headers, "Host": "localhost"})
                response = connection.getresponse()
            except TimeoutError:
                connection.close()
                raise ContainerTimeout from None
            except (OSError, http.client.HTTPException):
                connection.close()
                if reused:
                    continue
                raise ContainerBrokeOff from None
            answered = {name.lower(): value for name, value in response.getheaders()}
            return ContainerAnswer(response.status, answered, response, connection, self)

    def give_back(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*self._address, timeout=_CONNECT_SECONDS)
        try:
            connection.connect()
        except OSError:
            raise ContainerUnreachable from None
        assert connection.sock is not None
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
