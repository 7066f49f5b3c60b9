"""Stands before containers that can't be lent the public sockets, and while there is none: each HTTP request goes whole to the one that
serves when it comes.

A connection that is kept alive thus moves to a new generation with its next request, and none is cut by a switch. Requests to a container
are counted, so that who drains it knows when the last is answered. Each has a connection of its own to the container: a pooled one
may be closed by the other side just as it's used, and a request would be lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

import h11

from deployer_scoring.server.http.allowed_hosts import AllowedHosts
from deployer_targets.local.shares import Answers

_BLOCK = 1 << 16
_HEAD_LIMIT = 1 << 16
_LINGER_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 1.0
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect"})
"""RFC 9110, 7.6.1: these speak of one connection and are not passed on."""


_JUDGED = frozenset({b"host", b"origin", b"sec-fetch-site"})
"""Headers that say who asks: the container, which listens for this machine alone, is asked by us."""


class ProxyBackend(Protocol):
    """What a request goes to: an address, a count of the requests in progress, and one of the answers."""

    @property
    def answers(self) -> Answers: ...

    @property
    def address(self) -> tuple[str, int]: ...

    def busy(self) -> contextlib.AbstractContextManager[None]: ...


Give = Callable[[socket.socket], bool]


class Unavailable(Exception):
    """Nothing can take a request now; its text is the reason, for the caller."""


class Proxy:
    """Accepts connections, and forwards their requests. `route` gives the container for one request, or raises Unavailable."""

    def __init__(self, route: Callable[[], ProxyBackend]) -> None:
        self._route = route
        self._sockets: Sequence[socket.socket] = ()
        self._accepting: list[socket.socket] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._allowed: AllowedHosts | None = None
        self._idle: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._open: set[asyncio.StreamWriter] = set()
        self._closing = False
        self._give: Give | None = None

    def accept(self, host: str, sockets: Sequence[socket.socket]) -> None:
        """Accept on these sockets, which listen, and on no others; they stay the caller's. Connections that are there go on.

        Args:
            host: How their address was told.
        """
        if sockets == self._sockets:
            return
        loop = asyncio.get_running_loop()
        for each in self._accepting:
            loop.remove_reader(each)
            each.close()
        self._sockets, self._accepting = sockets, [each.dup() for each in sockets]
        for each in self._accepting:
            self._allowed = AllowedHosts.of("", each.getsockname()[0], host)
            loop.add_reader(each, self._take, each)

    def go_on(self, connection: socket.socket) -> None:
        """Serve a connection that somebody has accepted."""
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    def hand_on(self, give: Give | None) -> None:
        """Give connections to somebody else from now on, each between two requests; None keeps them here.

        Args:
            give: Sends a connection there; false where it can't be sent now.
        """
        self._give = give
        for waiting in self._idle.values() if give is not None else ():
            waiting.cancel()

    def close(self) -> None:
        """Take no new requests. Those in progress go on; connections that wait for a next one are closed."""
        self._closing = True
        self.accept("", ())
        for writer in list(self._idle):
            writer.close()

    def abort(self) -> None:
        """Cut what is still open."""
        for writer in list(self._open):
            writer.transport.abort()

    def _take(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another process was faster, or the client has gone
            return
        except OSError:  # too many files are open: look again when some may be closed
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(_LOOK_AGAIN_SECONDS, lambda: listener in self._accepting and loop.add_reader(listener, self._take, listener))
            return
        self.go_on(connection)

    async def _serve(self, connection: socket.socket) -> None:
        try:
            reader = _Reader(limit=_BLOCK)
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.connect_accepted_socket(lambda: asyncio.StreamReaderProtocol(reader), connection)
        except OSError:
            connection.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self._open.add(writer)
        peer = _Peer(h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT), reader, writer)
        try:
            while await self._one(peer):
                if self._give is not None and peer.handed_on(self._give):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except h11.RemoteProtocolError as error:
            with contextlib.suppress(ConnectionError, h11.LocalProtocolError):
                await peer.refuse(error.error_status_hint or 400, "BAD_REQUEST", f"not valid HTTP: {error}")
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, peer: _Peer) -> bool:
        """Forward one request and its answer; whether the connection may carry another."""
        try:
            with self._waiting(peer.writer):
                request = await peer.next()
        except asyncio.CancelledError:
            if self._give is None:
                raise
            _current_task().uncancel()
            return True
        if not isinstance(request, h11.Request):
            return False
        try:
            self._admit(request)
            await self._ask(self._route(), request, peer)
        except _NotAllowed as reason:
            await peer.refuse(403, "PERMISSION_DENIED", str(reason))
        except Unavailable as reason:
            await peer.refuse(503, "TEMPORARILY_UNAVAILABLE", str(reason))
        except _ContainerGone as reason:
            if peer.connection.our_state is not h11.SEND_RESPONSE:
                peer.writer.transport.abort()
                return False
            await peer.refuse(502, "CONTAINER_FAILED", str(reason))
        await peer.hear_out()
        return not self._closing and peer.again()

    @staticmethod
    async def _ask(backend: ProxyBackend, request: h11.Request, peer: _Peer) -> None:
        """Forward a request, and count its answer; one that the caller doesn't wait for isn't counted."""
        began = time.perf_counter()
        try:
            with backend.busy():
                status = await _forward(request, peer, backend.address)
        except _ContainerGone:
            backend.answers.add(well=False, took=time.perf_counter() - began)
            raise
        backend.answers.add(well=status < 500, took=time.perf_counter() - began)

    def _admit(self, request: h11.Request) -> None:
        headers = {str(name, "ascii"): str(value, "latin-1") for name, value in request.headers}
        if self._allowed and (refusal := self._allowed.refusal(str(request.method, "ascii"), str(request.target, "latin-1"), headers)):
            raise _NotAllowed(refusal)

    @contextmanager
    def _waiting(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._idle[writer] = _current_task()
        try:
            yield
        finally:
            del self._idle[writer]


class _NotAllowed(Exception):
    """A request that comes from elsewhere, to a proxy that is there for this machine alone."""


class _ContainerGone(Exception):
    """The container closed the connection or broke the protocol before its answer was whole."""


class _Peer:
    """One side of a connection: h11's state machine with the streams it reads and writes."""

    def __init__(self, connection: h11.Connection, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        self.connection, self.reader, self.writer = connection, reader, writer

    async def next(self) -> object:
        """The next event; h11.ConnectionClosed at the end."""
        while True:
            event = self.connection.next_event()
            if event is h11.NEED_DATA:
                if self.connection.they_are_waiting_for_100_continue:
                    await self.send(h11.InformationalResponse(status_code=100, headers=[]))
                self.connection.receive_data(await self.reader.read(_BLOCK))
            elif event is h11.PAUSED:
                return h11.ConnectionClosed()
            else:
                return event

    def handed_on(self, give: Give) -> bool:
        """Whether somebody else goes on with the connection: nothing of a request has come, and it could be sent."""
        if self.reader.filled or self.connection.their_state is not h11.IDLE or self.connection.trailing_data[0]:
            return False
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as connection:
            given = give(connection)
        if given:
            self.writer.transport.abort()  # closes this process's hold on it; the connection lives on
        return given

    async def send(self, event: h11.Event) -> None:
        data = self.connection.send(event)
        if data:
            self.writer.write(data)
            await self.writer.drain()

    async def refuse(self, status: int, code: str, message: str) -> None:
        """Answer with an error of our own, in the form that the container's have."""
        body = json.dumps({"error_code": code, "message": message}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if status == 503:
            headers.append(("Retry-After", "1"))
        await self.send(h11.Response(status_code=status, headers=headers))
        await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())

    async def hear_out(self) -> None:
        """Read what is left of a request that is answered already: to close on a caller who still sends would lose the answer on its way."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while self.connection.their_state is h11.SEND_BODY and not isinstance(await self.next(), h11.ConnectionClosed):
                    pass

    def again(self) -> bool:
        """Make ready for the next request; false where either side closes after this one."""
        if self.connection.our_state is h11.DONE and self.connection.their_state is h11.DONE:
            self.connection.start_next_cycle()
            return True
        return False


async def _forward(request: h11.Request, client: _Peer, address: tuple[str, int]) -> int:
    """Send the request to the container and its answer back, both as they come; the answer may come before the request is whole.

    Returns:
        The status of the answer.
    """
    try:
        async with _connected(address) as container:
            await _to_container(container, _passed_on(request))
            upload = asyncio.create_task(_upload(client, container))
            try:
                return await _download(container, client)
            finally:
                upload.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError, h11.ProtocolError):
                    await upload
    except _FromContainer as error:
        raise _ContainerGone(f"the container broke off before it had answered: {error}") from error


class _FromContainer(Exception):
    """A fault on the container's side of the connection."""


class _Reader(asyncio.StreamReader):
    """Tells whether something waits to be read."""

    _buffer: bytearray

    @property
    def filled(self) -> bool:
        return bool(self._buffer) or self.at_eof()


class _ContainersReader(_Reader):
    """Gives what came before a fault of the connection: a container may answer, and close on a body that it doesn't want."""

    def set_exception(self, exc: BaseException) -> None:
        self.feed_eof()


@asynccontextmanager
async def _connected(address: tuple[str, int]) -> AsyncIterator[_Peer]:
    loop = asyncio.get_running_loop()
    reader = _ContainersReader(limit=_BLOCK)
    try:
        transport, protocol = await loop.create_connection(lambda: asyncio.StreamReaderProtocol(reader), *address)
    except OSError as error:
        raise _FromContainer(os.strerror(error.errno) if error.errno else str(error)) from error
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    try:
        yield _Peer(h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT), reader, writer)
    finally:
        writer.close()


def _passed_on(request: h11.Request) -> h11.Request:
    headers = [(name, value) for name, value in request.headers.raw_items() if name.lower() not in _HOP_BY_HOP | _JUDGED]
    headers.append((b"Host", b"localhost"))
    chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
    framing = [(b"Transfer-Encoding", b"chunked")] if chunked else []
    return h11.Request(method=request.method, target=request.target, headers=[*headers, *framing, (b"Connection", b"close")])


async def _upload(client: _Peer, container: _Peer) -> None:
    """The request's body, until the container wants no more of it. A caller who breaks off ends the container's part too."""
    try:
        while isinstance(event := await client.next(), h11.Data):
            await asyncio.sleep(0)  # an answer that has come meanwhile is read before a write finds the connection closed
            await _to_container(container, event)
        if isinstance(event, h11.EndOfMessage):
            await _to_container(container, h11.EndOfMessage())
    except _FromContainer:
        pass  # its answer, if there is one, says why
    except (ConnectionError, h11.RemoteProtocolError):
        container.writer.transport.abort()
        raise


async def _download(container: _Peer, client: _Peer) -> int:
    status = 0
    while True:
        event = await _from_container(container)
        match event:
            case h11.InformationalResponse():
                continue
            case h11.Response():
                headers = [(name, value) for name, value in event.headers.raw_items() if name.lower() not in _HOP_BY_HOP]
                status = event.status_code
                await client.send(h11.Response(status_code=status, reason=event.reason, headers=headers))
            case h11.Data():
                await client.send(h11.Data(data=event.data))
            case h11.EndOfMessage():
                await client.send(h11.EndOfMessage())
                return status
            case _:
                raise _FromContainer("it closed the connection")


async def _from_container(container: _Peer) -> object:
    try:
        return await container.next()
    except (OSError, h11.RemoteProtocolError) as error:
        raise _FromContainer(str(error)) from error


async def _to_container(container: _Peer, event: h11.Event) -> None:
    try:
        await container.send(event)
    except OSError as error:
        raise _FromContainer(str(error)) from error


def _current_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task
