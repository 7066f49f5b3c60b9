"""A client's connection: bytes to requests, one after another in order, and responses to bytes (HTTP/1.1, RFC 9112).

Written for one thing: a small POST, whole in one read, answered in one write, on a connection that is kept. All else is right but not hurried.
What every connection of a process shares is site.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from time import perf_counter
from typing import Any, Callable, Optional
from urllib.parse import parse_qsl

from deployer_scoring.errors import InvalidInput
from deployer_scoring.masking import masked
from deployer_scoring.server.handling import Handling
from deployer_scoring.server.http.compression import decompressed
from deployer_scoring.server.http.messages import Request, Response, failure
from deployer_scoring.server.http.parsing import Chunks, Head, HttpError
from deployer_scoring.server.http.site import NO_HEAD, Site
from deployer_scoring.server.telemetry.access_log import Exchange

_MAX_HEAD = 32 * 1024
_MOST_UNREAD = 64 * 1024  # of later requests, while an earlier one is answered
_DISCARDED = 4  # times the limit is read and thrown away, so that a client that only writes still hears the 413
_LINGER_SECONDS = 2.0
_GONE = 499  # in the log, for a client that left before its answer
_NO_QUERY: dict[str, str] = {}
_END = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    408: "REQUEST_TIMEOUT",
    413: "REQUEST_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    503: "TEMPORARILY_UNAVAILABLE",
}
_MORE = {401: {"WWW_Authenticate": "Bearer"}, 503: {"Retry_After": "1"}}


class Connection(asyncio.Protocol):
    """One connection. Requests that come before the last one's answer wait; reading stops when too much of them does."""

    def __init__(self, site: Site) -> None:
        """Make it; the event loop gives it its transport.

        Args:
            site: What it shares with the others.
        """
        self._site = site
        self._transport: Any = None
        self._buffer = bytearray()
        self._searched = 0  # how far the buffer holds no end of a head
        self._known: tuple[bytes, Head] = (b"", NO_HEAD)  # clients send the same head again and again
        self._head: Optional[Head] = None
        self._parts: list[bytes] = []
        self._size = 0  # of the body, as far as it has come
        self._chunks: Optional[Chunks] = None
        self._busy = False  # a request is being answered
        self._handling: Optional[Handling] = None
        self._sending: Optional[asyncio.Task[None]] = None
        self._advancing = False
        self._lingers = False
        self._ended = False  # the client sends nothing more
        self._reading = True
        self._writable: Optional[asyncio.Future[None]] = None
        self._started = 0.0
        self._id = ""
        self.deadline = 0.0
        """When patience ends, on perf_counter's clock: for the next request, for the rest of one, for what is sent to be taken. 0: never."""

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.deadline = perf_counter() + self._site.limits.read_seconds
        if not self._site.joined(self):
            self._refuse(503, "too many connections are open here already")

    def data_received(self, data: bytes) -> None:
        if not self._busy and self._head is None and not self._buffer and not self._lingers:
            self._started = perf_counter()
            if self._take_whole(data):
                return
        if self._lingers:
            return
        self._buffer += data
        if not self._busy:
            self._advance()
        elif len(self._buffer) > _MOST_UNREAD and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._ended = True
        if self._lingers or not (self._busy or self._buffer or self._head):
            return False
        if not self._busy:
            self._refuse(400, "the client ended its request before it was whole")
        return True

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._ended = self._lingers = True
        self.deadline = 0.0
        self._site.left(self)
        if self._busy:
            self._record(_GONE, 0, None)
        if self._handling is not None:
            self._handling.cancel()
        if self._sending is not None:
            self._sending.cancel()
        self._release()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writable = self._site.loop.create_future()
        self.deadline = perf_counter() + self._site.limits.read_seconds

    def resume_writing(self) -> None:
        if self._writable is not None:
            writable, self._writable = self._writable, None
            self.deadline = 0.0 if self._busy else perf_counter() + (_LINGER_SECONDS if self._lingers else self._site.limits.idle_seconds)
            if not writable.done():
                writable.set_result(None)
            if not self._busy and self._buffer:
                self._advance()

    # What the site calls

    @property
    def idle(self) -> bool:
        """Whether no request has begun to come in or is being answered."""
        return not (self._busy or self._buffer or self._head or self._writable)

    def close(self) -> None:
        """Close, once what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def move(self, give: Callable[[int], bool]) -> None:
        """Leave it to another process, where nothing is under way on it.

        Args:
            give: Sends the socket's descriptor there; false where it can't be sent now.
        """
        transport = self._transport
        if not self.idle or self._lingers or self._ended or transport.is_closing() or transport.get_write_buffer_size():
            return
        if give(transport.get_extra_info("socket").fileno()):
            transport.abort()  # closes this process's hold on it; the connection lives on in the other

    def abandon(self) -> None:
        """Close this process's hold on the socket alone: it is a fork of the one whose connection this is."""
        if self._transport is not None:
            with contextlib.suppress(OSError):
                os.close(self._transport.get_extra_info("socket").fileno())

    def overdue(self) -> None:
        """Patience has ended: a request that doesn't come is answered with 408, everything else is cut off."""
        if self._lingers or self._busy or self._writable is not None:
            self._transport.abort()
        elif self._buffer or self._head is not None:
            self._refuse(408, f"the request was not whole after {self._site.limits.read_seconds:g} s; send it faster, or in smaller parts")
        else:
            self._transport.close()

    # From bytes to a request

    def _take_whole(self, data: bytes) -> bool:
        """Take a request that is whole in what was read, and nothing but it; the only case that is in a hurry."""
        end = data.find(_END)
        if end <= 0 or end > _MAX_HEAD:
            return False
        raw = data[:end]
        if raw == self._known[0]:
            head = self._known[1]
        else:
            try:
                head = self._site.head(raw)
            except HttpError:
                return False  # the slow way finds it again
            self._known = (raw, head)
        if head.length != len(data) - end - 4 or head.length > self._site.limits.request_bytes:
            return False
        self._head, self._size = head, head.length
        self._begin(head, data[end + 4 :])
        return True

    def _advance(self) -> None:
        """Do with the buffer what can be done: requests are begun until one has to wait for its answer or for its rest."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while not (self._busy or self._lingers or self._writable) and self._read():
                pass
        except HttpError as error:
            self._refuse(error.status, str(error))
        finally:
            self._advancing = False
        if not (self._busy or self._lingers):
            if self._ended:
                self._transport.close()
            elif not self._reading:
                self._reading = True
                self._transport.resume_reading()

    def _read(self) -> bool:
        """One step; False where more bytes are needed."""
        if self._head is None:
            return self._read_head()
        if self._chunks is not None:
            return self._read_chunks(self._head, self._chunks)
        return self._read_body(self._head)

    def _read_head(self) -> bool:
        while self._buffer.startswith(b"\r\n"):  # left over from an earlier body by old clients
            del self._buffer[:2]
        if not self._buffer:
            return False
        end = self._buffer.find(_END, max(0, self._searched - 3))
        if end > _MAX_HEAD or (end < 0 and len(self._buffer) > _MAX_HEAD):
            raise HttpError(431, f"the request's head is longer than {_MAX_HEAD} bytes")
        if end < 0:
            if self._searched == 0:
                self._started = perf_counter()
                self.deadline = self._started + self._site.limits.read_seconds
            self._searched = len(self._buffer)
            return False
        self._started = self._started if self._searched else perf_counter()
        self._searched = 0
        head = self._site.head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        self._head = head
        limits = self._site.limits
        if head.length > limits.request_bytes * _DISCARDED or (head.expects and head.length > limits.request_bytes):
            raise self._too_large()
        self._chunks = Chunks() if head.length < 0 else None
        self.deadline = self._started + limits.body_seconds(head.length)
        if head.expects and not self._buffer and head.length:
            self._transport.write(_CONTINUE)
        return True

    def _read_body(self, head: Head) -> bool:
        missing = head.length - self._size
        if missing and not self._buffer:
            return False
        if len(self._buffer) <= missing:
            piece, self._buffer = bytes(self._buffer), bytearray()
        else:
            piece = bytes(self._buffer[:missing])
            del self._buffer[:missing]
        self._keep(piece)
        if self._size == head.length:
            self._whole(head)
        return True

    def _read_chunks(self, head: Head, chunks: Chunks) -> bool:
        self._keep(chunks.feed(self._buffer))
        if self._size > self._site.limits.request_bytes * _DISCARDED:
            raise self._too_large()
        if chunks.done:
            self._whole(head)
        return chunks.done

    def _keep(self, piece: bytes) -> None:
        """Put a piece of the body to the others; past the limit none is kept."""
        before, self._size = self._size, self._size + len(piece)
        if self._size <= self._site.limits.request_bytes:
            self._parts.append(piece)
            if not self._site.hold(len(piece)):
                raise HttpError(503, "the requests that are being received fill the memory that is set aside for them")
        elif self._parts:
            self._site.let_go(before)
            self._parts.clear()

    def _whole(self, head: Head) -> None:
        if self._size > self._site.limits.request_bytes:
            raise self._too_large()
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts[:] = [body]
        self._begin(head, body)

    def _too_large(self) -> HttpError:
        limit = self._site.limits.request_bytes
        return HttpError(413, f"the request is larger than the {limit} bytes that are taken (DEPLOYER_MAX_REQUEST_BYTES); send fewer rows")

    # From a request to its response

    def _begin(self, head: Head, body: bytes) -> None:
        self._busy = True
        self.deadline = 0.0
        site = self._site
        site.begun()
        self._id = site.request_id(head.headers)
        query = dict(parse_qsl(head.query, keep_blank_values=True)) if head.query else _NO_QUERY
        request = Request(head.method, head.path, query, head.headers, body, self._id)
        answering = site.handle(request) if "content-encoding" not in head.headers else self._handle_compressed(request)
        self._handling = None
        handling = Handling(site.loop, answering, self._respond)
        if self._busy:
            self._handling = handling

    async def _handle_compressed(self, request: Request) -> Response:
        pieces: list[bytes] = []
        try:
            for piece in decompressed(request.body, request.headers["content-encoding"], self._site.limits.request_bytes):
                pieces.append(piece)
                await asyncio.sleep(0)
        except InvalidInput as error:
            return failure(error.status, _CODES.get(error.status, "BAD_REQUEST"), str(error))
        return await self._site.handle(request._replace(body=b"".join(pieces)))

    def _respond(self, response: Response) -> None:
        if self._lingers or self._transport.is_closing():
            return
        head = self._head or NO_HEAD
        keep = head.keep_alive and not self._site.closing and response.status != 413 and (response.pieces is None or head.chunks)
        top = self._site.top(response, head, keep=keep, request_id=self._id)
        if response.pieces is not None and head.method != "HEAD":
            self._sending = self._site.loop.create_task(self._send_pieces(top, response, response.pieces, head, keep=keep))
            return
        self._transport.write(top if head.method == "HEAD" else top + response.body)
        self._finish(response, len(response.body), keep=keep)

    async def _send_pieces(self, top: bytes, response: Response, pieces: AsyncGenerator[bytes, None], head: Head, *, keep: bool) -> None:
        """Send them until the last, or until the client leaves: a model may stream without end."""
        framed = _as_chunk if head.chunks else bytes
        sent = len(response.body)
        self._transport.write(top + framed(response.body))
        try:
            async for piece in pieces:
                sent += len(piece)
                self._transport.write(framed(piece))
                if self._writable is not None:
                    await self._writable
        finally:
            await pieces.aclose()
        if head.chunks:
            self._transport.write(b"0\r\n\r\n")
        self._finish(response, sent, keep=keep)

    def _finish(self, response: Response, sent: int, *, keep: bool) -> None:
        self._record(response.status, sent, response.headers.get("traceresponse"))
        self._release()
        self._busy, self._head, self._chunks, self._size = False, None, None, 0
        self._handling = self._sending = None
        limits = self._site.limits
        self.deadline = perf_counter() + (limits.idle_seconds if self._writable is None else limits.read_seconds)
        if not keep:
            self._close_gently()
        elif self._buffer or not self._reading or self._ended:
            self._advance()
        elif self._site.answered is not None:
            self._site.answered(self)

    def _record(self, status: int, sent: int, traced: Optional[str]) -> None:
        head = self._head or NO_HEAD
        target = head.target.partition("?")[0]
        if "@" in target and target[0] != "/":  # a whole address, as proxies are asked for, with somebody's password
            target = masked(target)
        seconds = perf_counter() - self._started
        self._site.ended(Exchange(head.method, target, head.path, status, seconds, self._size, sent, self._id, traced))

    def _release(self) -> None:
        if self._parts:
            self._site.let_go(sum(map(len, self._parts)))
            self._parts.clear()

    def _refuse(self, status: int, message: str) -> None:
        """Answer a request that can't be read to its end, and close: where the next one begins is not known."""
        site, head = self._site, self._head or NO_HEAD
        self._id = site.request_id(head.headers)
        self._head = head._replace(keep_alive=False)
        self._size = 0
        site.begun()
        self._busy = True
        self._respond(failure(status, _CODES.get(status, "BAD_REQUEST"), message, **_MORE.get(status, {})))

    def _close_gently(self) -> None:
        """Close so that the answer arrives: while the client still sends, a plain close would make its kernel throw the answer away."""
        self._lingers = True
        self._buffer.clear()
        if self._ended or not self._transport.can_write_eof():
            self._transport.close()
            return
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        self.deadline = perf_counter() + _LINGER_SECONDS
        self._transport.write_eof()


def _as_chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
