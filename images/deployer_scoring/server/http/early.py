"""Answers while nothing is there yet: 503 and what is being done, from the first milliseconds on.

A thread with bare sockets, because the imports of an event loop alone take longer than a platform should wait for its first answer. Each
connection gets one answer and is closed. Those whose request is not whole when the server is ready are handed over to it.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from typing import Iterable, NamedTuple, Optional

_MOST_HEAD = 65536
_REST_MILLISECONDS = 25  # between answers: who asks without a pause would slow down what it waits for
_LINGER_SECONDS = 1.0  # for the rest of a request whose answer is sent, which a plain close would take away


class Unanswered(NamedTuple):
    """A connection without a whole request so far."""

    connection: socket.socket
    received: bytes


class Early:
    """The thread. `stop` ends it."""

    def __init__(self, listener: socket.socket, connections: Iterable[socket.socket] = ()) -> None:
        """Start it.

        Args:
            listener: Bound and listening already.
            connections: That have come over it, and have asked nothing yet.
        """
        self.doing = "the server is starting"
        """What is being done, in words."""
        listener.setblocking(False)
        self._listener = listener
        self._waker, self._woken = socket.socketpair()
        self._poll, self._rest = select.poll(), select.poll()
        self._rest.register(self._woken, select.POLLIN)
        for each in (listener, self._woken):
            self._poll.register(each, select.POLLIN)
        self._heads: dict[int, tuple[socket.socket, bytearray]] = {}
        self._lingering: dict[int, tuple[socket.socket, float]] = {}
        for connection in connections:
            self._take(connection)
        self._answered = False  # somebody, since the last rest
        self._thread = threading.Thread(target=self._work, name="early", daemon=True)
        self._thread.start()

    @property
    def native_id(self) -> Optional[int]:
        """The system's id of the thread."""
        return self._thread.native_id

    def stop(self) -> list[Unanswered]:
        """End the thread; the connections that are still to be answered are the caller's."""
        self._waker.send(b"x")
        self._thread.join()
        for connection, _ in self._lingering.values():
            connection.close()
        self._waker.close()
        self._woken.close()
        return [Unanswered(connection, bytes(received)) for connection, received in self._heads.values()]

    def _work(self) -> None:
        while True:
            for number, _ in self._poll.poll(1000 if self._lingering else None):
                if number == self._woken.fileno():
                    return
                if number == self._listener.fileno():
                    self._accept()
                elif number in self._heads:
                    self._read(number)
                else:
                    self._discard(number)
            for number in [number for number, (_, until) in self._lingering.items() if until < time.monotonic()]:
                self._close(number)
            if self._answered and self._rest.poll(_REST_MILLISECONDS):
                return
            self._answered = False

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._heads[connection.fileno()] = connection, bytearray()
        self._poll.register(connection, select.POLLIN)

    def _read(self, number: int) -> None:
        connection, received = self._heads[number]
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        received += data
        if not data:
            self._close(number)
        elif b"\r\n\r\n" in received or len(received) > _MOST_HEAD:
            self._answer(number, connection, bytes(received))

    def _answer(self, number: int, connection: socket.socket, received: bytes) -> None:
        self._answered = True
        del self._heads[number]
        self._lingering[number] = connection, time.monotonic() + _LINGER_SECONDS
        try:
            connection.send(answer(received.partition(b"\r\n")[0], self.doing))
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(number)

    def _discard(self, number: int) -> None:
        connection, _ = self._lingering[number]
        try:
            if connection.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(number)

    def _close(self, number: int) -> None:
        connection, _ = self._heads.pop(number, None) or self._lingering.pop(number)
        self._poll.unregister(number)
        connection.close()


def answer(request_line: bytes, doing: str) -> bytes:
    """What a server that is starting says.

    Args:
        request_line: The first line of the request.
        doing: What is being done, in words.
    """
    method, _, rest = request_line.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    status, retry = b"503 Service Unavailable", b"retry-after: 1\r\n"
    body = b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "%b"}' % _escaped(doing)
    if path == b"/v2/health/live":
        status, retry, body = b"200 OK", b"", b'{"live": true}'
    elif path == b"/v2/health/ready":
        body = b'{"ready": false}'
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n" % (status, len(body), retry)
    return head if method == b"HEAD" else head + body


def _escaped(text: str) -> bytes:
    """A text as it stands between JSON's quotes; the json module takes milliseconds to import."""
    plain = (sign if " " <= sign <= "~" and sign not in '"\\' else f"\\u{ord(sign):04x}" for sign in text if sign <= "\uffff")
    return "".join(plain).encode("ascii")
