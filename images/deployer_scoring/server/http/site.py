"""What all connections of a process share: the handler, the limits, the access log, and the counts of what is under way."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Coroutine, Mapping
from http import HTTPStatus
from random import getrandbits
from typing import Any, Callable, NamedTuple, Optional, Protocol

from deployer_scoring.server.api_keys import ApiKeys
from deployer_scoring.server.http.allowed_hosts import AllowedHosts
from deployer_scoring.server.http.messages import Request, Response
from deployer_scoring.server.http.parsing import Head, HttpError, parse_head
from deployer_scoring.server.telemetry.access_log import Exchange

NO_HEAD = Head("-", "-", "", "", {}, 0, False, False, True)
"""Stands for a head that could not be read."""

_ECHOED = "x-amzn-sagemaker-custom-attributes"
_ID_HEADERS = ("x-request-id", "x-amzn-sagemaker-inference-id")
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BYTES_A_SECOND = 64 * 1024  # what a body must come with, at least, past the first seconds


class ClientLimits(NamedTuple):
    """How much, and for how long, a client may ask of this process."""

    request_bytes: int = 25 * 1024 * 1024
    held_bytes: int = 400 * 1024 * 1024
    """Of all bodies together that are being received or answered."""
    connections: int = 10_000
    read_seconds: float = 30.0
    """For a head to come whole, and for an answer to be taken."""
    idle_seconds: float = 75.0
    """Between requests. Over the 60 s of the platforms' balancers, so that it's never us who close under them."""

    def body_seconds(self, length: int) -> float:
        """For a request to come whole: longer for a longer body, -1 for one in chunks."""
        return self.read_seconds + (self.request_bytes if length < 0 else length) / _BYTES_A_SECOND


class ClientConnection(Protocol):
    """A connection, as those know it who share it."""

    deadline: float
    """When patience with it ends, on perf_counter's clock; 0: never."""

    @property
    def idle(self) -> bool:
        """Whether no request has begun to come in or is being answered."""

    def close(self) -> None:
        """Close it, once what was written is sent."""

    def overdue(self) -> None:
        """Patience has ended."""

    def abandon(self) -> None:
        """Close this process's hold on it alone, in a fork of the one whose it is."""

    def move(self, give: Callable[[int], bool]) -> None:
        """Leave it to another process by its descriptor, where nothing is under way on it."""


class Site:
    """The shared state. Belongs to the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handle: Callable[[Request], Coroutine[Any, Any, Response]],
        limits: ClientLimits,
        *,
        finished: Callable[[Exchange], None] = lambda _: None,
        in_flight: Callable[[int], None] = lambda _: None,
        allowed: Optional[AllowedHosts] = None,
        keys: Optional[ApiKeys] = None,
    ) -> None:
        """Make it.

        Args:
            loop: The running loop.
            handle: Answers a request; it raises nothing, and runs without a task (see handling.py).
            limits: What clients may ask.
            finished: Told of every answered request.
            in_flight: Told how many requests are being answered, whenever it changes.
            allowed: Says which requests are answered; None: all.
            keys: One of which requests must have; None: they need none.
        """
        self.loop, self.handle, self.limits = loop, handle, limits
        self.allowed, self.keys = allowed, keys
        self._finished, self._in_flight = finished, in_flight
        self.connections: set[ClientConnection] = set()
        self.closing = False
        """Whether answers ask their client to close the connection."""
        self.answered: Optional[Callable[[ClientConnection], object]] = None
        """Told of each connection that has been answered and is kept, where connections move to another process."""
        self.requests = 0
        """How many are being answered."""
        self._held = 0
        self._tops: dict[tuple[int, str, bool], bytes] = {}
        self._second, self._date = 0, b""

    def head(self, raw: bytes) -> Head:
        """A request's head, read and admitted.

        Raises:
            HttpError: It breaks a rule of HTTP's, comes from where nobody may ask, or lacks a key.
        """
        head = parse_head(raw)
        refusal = self.allowed and self.allowed.refusal(head.method, head.target, head.headers)
        if refusal:
            raise HttpError(403, refusal)
        unknown = self.keys and self.keys.refusal(head.path, head.headers)
        if unknown:
            raise HttpError(401, unknown)
        return head

    def joined(self, connection: ClientConnection) -> bool:
        """Count a connection; False where it is one too many."""
        self.connections.add(connection)
        return len(self.connections) <= self.limits.connections

    def left(self, connection: ClientConnection) -> None:
        self.connections.discard(connection)

    def begun(self) -> None:
        self.requests += 1
        self._in_flight(self.requests)

    def ended(self, exchange: Exchange) -> None:
        self.requests -= 1
        self._in_flight(self.requests)
        self._finished(exchange)

    def hold(self, size: int) -> bool:
        """Count bytes of a body; False where they are too many for all bodies together."""
        self._held += size
        return self._held <= self.limits.held_bytes

    def let_go(self, size: int) -> None:
        self._held -= size

    def sweep(self) -> None:
        """Look for connections whose time is up. To be called every second or so."""
        now = time.perf_counter()
        for connection in [each for each in self.connections if 0 < each.deadline < now]:
            connection.overdue()

    def close_idle(self) -> None:
        """Close the connections on which nothing is under way."""
        for connection in [each for each in self.connections if each.idle]:
            connection.close()

    def request_id(self, headers: Mapping[str, str]) -> str:
        """The client's id of its request where it may stand in a log, else a new one."""
        for name in _ID_HEADERS:
            if name in headers:
                given = headers[name]
                if _ID.fullmatch(given):
                    return given
                break
        return f"{getrandbits(128):032x}"

    def top(self, response: Response, head: Head, *, keep: bool, request_id: str) -> bytes:
        """A response's status line and headers, with the empty line after them."""
        key = (response.status, response.content_type, keep)
        start = self._tops.get(key)
        if start is None:
            start = _start(*key)
            if len(self._tops) < 100:
                self._tops[key] = start
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, _date(second)
        more = ""
        if response.headers or _ECHOED in head.headers or not head.chunks:
            more = _more(response, head, keep=keep)
        if response.pieces is None:
            more += f"content-length: {len(response.body)}\r\n"
        elif head.chunks:
            more += "transfer-encoding: chunked\r\n"
        return b"%b%b%bx-request-id: %b\r\n\r\n" % (start, self._date, more.encode("latin-1", "replace"), request_id.encode("ascii"))


def _start(status: int, content_type: str, keep: bool) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    close = "" if keep else "connection: close\r\n"
    return f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {content_type}\r\n{close}".encode("latin-1", "replace")


def _date(second: int) -> bytes:
    # Not by strftime's names: a model may have set a locale.
    year, month, day, hour, minute, seconds, weekday, _, _ = time.gmtime(second)
    return f"date: {_DAYS[weekday]}, {day:02d} {_MONTHS[month - 1]} {year} {hour:02d}:{minute:02d}:{seconds:02d} GMT\r\n".encode("ascii")


def _more(response: Response, head: Head, *, keep: bool) -> str:
    headers = dict(response.headers)
    if _ECHOED in head.headers:
        headers[_ECHOED] = head.headers[_ECHOED]
    if keep and not head.chunks:
        headers["connection"] = "keep-alive"
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
