"""Listening sockets lent by whoever started this server, and connections that move from one server to the next, one worker's side.

A supervisor that keeps a public socket open lends it to the generation that serves: the workers accept on it themselves, and nothing stands
between them and a client. When another generation takes over, this one accepts no more and gives its connections back, each between two
requests; the other goes on with them, and a client notices nothing.

The server inherits a socket (DEPLOYER_HANDOVER_FD). Over it each worker sends one end of a pair of its own, on which it's told, and tells:

    {"listen": HOST} with sockets     accept on these and no others; answered by {"listening": how many}
    {"rest": true}                    accept no more, and give connections back, until sockets come again; answered by {"listening": 0}
    {"leave": "move" | "close"}       accept no more, then give connections back, or close them; answered by {"listening": 0}, in the end by
                                      closing the pair, when no connection is left
    {"connection": true} with one     to a worker: go on with it; from a worker: somebody else is to
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from time import perf_counter
from typing import Callable, Optional

from deployer_scoring.server.http.allowed_hosts import AllowedHosts
from deployer_scoring.server.http.connection import Connection
from deployer_scoring.server.http.site import Site
from deployer_scoring.server.processes.descriptors import Message, Messages

_LOOK_SECONDS = 0.02


class WorkerHandover:
    """One worker's. Belongs to its event loop."""

    def __init__(self, inherited: int, site: Site, allowed: Callable[[str, str], Optional[AllowedHosts]]) -> None:
        """Make it; `start` begins.

        Args:
            inherited: The descriptor of the socket over which workers report.
            site: What the worker's connections share.
            allowed: Which requests are answered that come in at an address (as the system has it, and as the supervisor was told it).
        """
        self._inherited, self._site, self._allowed = inherited, site, allowed
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.AbstractServer] = []
        self._came: asyncio.Queue[Message] = asyncio.Queue()
        self._resting: Optional[asyncio.Task[None]] = None
        # From the beginning, since a model's process may be forked before the start.
        ours, self._theirs = socket.socketpair()
        self._messages = Messages(ours)

    def start(self) -> None:
        """Report, and do from now on what is said."""
        with self._theirs, contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._inherited)) as inherited:
            Messages(inherited).send([self._theirs.fileno()])
        self._site.loop.add_reader(self._messages.fileno(), self._read)
        self._following = self._site.loop.create_task(self._follow())

    def close(self) -> None:
        """Accept no more."""
        for server in self._servers:
            server.close()
        self._servers, self._sockets = [], []

    def let_go(self) -> None:
        """In a process that was forked from here: close what is the worker's alone."""
        for descriptor in (*(each.fileno() for each in self._sockets), self._messages.fileno(), self._theirs.fileno()):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _read(self) -> None:
        try:
            for message in self._messages.read():
                self._came.put_nowait(message)
        except EOFError:  # nobody lends anything any more; what was lent stays until the end
            self._site.loop.remove_reader(self._messages.fileno())

    async def _follow(self) -> None:
        """One message after another: what the first began is done before the second is looked at."""
        while True:
            content, descriptors = await self._came.get()
            if "listen" in content:
                await self._listen(content["listen"], [socket.socket(fileno=each) for each in descriptors])
            elif "rest" in content:
                self.close()
                self._move()
                self._say_listening()
                self._resting = self._site.loop.create_task(self._move_all())
            elif "connection" in content:
                await self._go_on(socket.socket(fileno=descriptors[0]))
            elif "leave" in content:
                await self._leave(move=content["leave"] == "move")
                return

    async def _listen(self, host: str, sockets: list[socket.socket]) -> None:
        self.close()
        self._end_rest()
        for each in sockets:
            self._site.allowed = self._allowed(each.getsockname()[0], host)
            self._servers.append(await self._site.loop.create_server(lambda: Connection(self._site), sock=each, backlog=1024))
        self._sockets = sockets
        self._say_listening()

    async def _go_on(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            _, protocol = await self._site.loop.connect_accepted_socket(lambda: Connection(self._site), connection)
            protocol.deadline = perf_counter() + self._site.limits.idle_seconds

    async def _leave(self, *, move: bool) -> None:
        self.close()
        self._end_rest()
        if move:
            self._move()
        self._say_listening()
        if move:
            await self._move_all()
        else:
            self._site.closing = True
        while self._site.connections:
            for connection in list(self._site.connections):
                if connection.idle:
                    connection.close()
            await asyncio.sleep(_LOOK_SECONDS)
        self._site.loop.remove_reader(self._messages.fileno())
        self._messages.close()

    def _end_rest(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = self._site.answered = None

    def _move(self) -> None:
        """Give back the connections that are between two requests, and from now on each that comes to be."""
        self._site.answered = lambda connection: self._site.loop.call_soon(connection.move, self._give)
        for connection in list(self._site.connections):
            connection.move(self._give)

    async def _move_all(self) -> None:
        """Return once all are given back, or nobody is there who would take them."""
        while self._site.connections and not self._site.closing:
            self._move()
            await asyncio.sleep(_LOOK_SECONDS)

    def _give(self, descriptor: int) -> bool:
        try:
            self._messages.send([descriptor], connection=True)
        except BlockingIOError:  # later
            return False
        except OSError:  # nobody is there who would take it
            self._site.closing = True
            return False
        return True

    def _say_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._messages.send(listening=len(self._servers))
