"""What a container's processes are lent: the public sockets, and connections that another one gave back. The other side of
deployer_scoring.server.processes.handover, which says what goes over the wire.

Only a process can be lent sockets. From a container in docker nobody reports here, and the proxy goes on standing before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence

from deployer_scoring.server.processes.descriptors import Messages

_PROMPT_SECONDS = 2.0
"""How long a worker is waited for that is to say where it accepts: one that hangs accepts nothing."""


class _Worker:
    """One that has reported."""

    def __init__(self, messages: Messages) -> None:
        self.messages = messages
        self.listening = 0
        self.behind = False  # it was told of other sockets, and has not answered yet


class SocketHandover:
    """One container's. Belongs to the event loop."""

    def __init__(self, changed: Callable[[], None], returned: Callable[[socket.socket], None]) -> None:
        """Make it.

        Args:
            changed: Told when a worker has reported, has begun or ended to accept, or is gone.
            returned: Given each connection that somebody else is to go on with.
        """
        self._changed, self._returned = changed, returned
        self._loop = asyncio.get_running_loop()
        ours, self.inherited = socket.socketpair()  # for the process that is started, and to be closed by who has started it
        self._reports = Messages(ours)
        self._workers: list[_Worker] = []
        self._lent: tuple[str, Sequence[socket.socket]] = ("", ())
        self._leaving = ""
        self._news = asyncio.Event()
        self._loop.add_reader(ours.fileno(), self._report)

    @property
    def reported(self) -> bool:
        """Whether there is somebody to lend sockets to."""
        return bool(self._workers) and not self._leaving

    @property
    def accepting(self) -> bool:
        """Whether a worker accepts on public sockets."""
        return any(each.listening for each in self._workers)

    def lend(self, host: str, sockets: Sequence[socket.socket]) -> None:
        """Have all workers, and those that report later, accept on these sockets and no others."""
        if self._leaving or (host, sockets) == self._lent:
            return
        self._lent = (host, sockets)
        for each in list(self._workers):
            self._tell(each)

    def rest(self) -> None:
        """Have all workers accept no more, and give their connections back, until sockets are lent again."""
        if not self._leaving and self._lent[1]:
            self._lent = ("", ())
            for each in list(self._workers):
                self._send(each, rest=True)

    def give(self, connection: socket.socket) -> bool:
        """Have a worker go on with a connection; false where there is none."""
        for worker in self._workers[:]:
            self._workers.append(self._workers.pop(0))  # in turns
            with contextlib.suppress(OSError):
                worker.messages.send([connection.fileno()], connection=True)
                return True
        return False

    def leave(self, *, move: bool) -> None:
        """Have the workers accept no more, and give their connections back (`move`) or close them, none in the middle of a request."""
        if not self._leaving:
            self._leaving = "move" if move else "close"
            for each in list(self._workers):
                self._tell(each)

    async def obeyed(self) -> None:
        """Return once each worker accepts where it was told to and nowhere else, or hangs."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PROMPT_SECONDS):
                while any(each.behind for each in self._workers):
                    await self._news.wait()

    async def left(self) -> None:
        """Return once no worker that was told to leave has a connection any more."""
        while self._workers:
            await self._news.wait()

    def close(self) -> None:
        self._loop.remove_reader(self._reports.fileno())
        self._reports.close()
        for each in list(self._workers):
            self._gone(each)

    def _report(self) -> None:
        try:
            for _, descriptors in self._reports.read():
                worker = _Worker(Messages(socket.socket(fileno=descriptors[0])))
                self._workers.append(worker)
                self._loop.add_reader(worker.messages.fileno(), self._read, worker)
                if self._leaving or self._lent[1]:
                    self._tell(worker)
        except EOFError:  # the container has ended
            self._loop.remove_reader(self._reports.fileno())
        self._tell_news()

    def _tell(self, worker: _Worker) -> None:
        host, sockets = self._lent
        if self._leaving:
            self._send(worker, leave=self._leaving)
        else:
            self._send(worker, [each.fileno() for each in sockets], listen=host)

    def _send(self, worker: _Worker, descriptors: Sequence[int] = (), **content: object) -> None:
        try:
            worker.messages.send(descriptors, **content)
            worker.behind = True
        except OSError:
            self._gone(worker)

    def _read(self, worker: _Worker) -> None:
        try:
            for content, descriptors in worker.messages.read():
                if "listening" in content:
                    worker.listening, worker.behind = content["listening"], False
                for each in descriptors:
                    self._returned(socket.socket(fileno=each))
        except EOFError:
            self._gone(worker)
        self._tell_news()

    def _gone(self, worker: _Worker) -> None:
        self._loop.remove_reader(worker.messages.fileno())
        worker.messages.close()
        self._workers.remove(worker)

    def _tell_news(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
        self._changed()
