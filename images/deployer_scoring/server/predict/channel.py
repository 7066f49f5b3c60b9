"""A model's process, from the event loop's side: started, spoken to, and buried."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import Any, Callable, Optional

from deployer_scoring.server.predict import ipc
from deployer_scoring.server.system import children

Main = Callable[[socket.socket], None]
"""What the process runs: never returns before the other end of the socket is closed."""


class Channel(asyncio.Protocol):
    """One process, from its fork to its end."""

    def __init__(self, main: Main, *, heard: Callable[[tuple[Any, ...]], None], ended: Callable[[str], None]) -> None:
        """Fork it.

        Args:
            main: Run in the process.
            heard: Called with each message of the process.
            ended: Called once, with how the process ended, whether it was stopped or died.
        """
        self._heard, self._ended = heard, ended
        self._loop = asyncio.get_running_loop()
        self._unpacking = ipc.Unpacking()
        self._transport: Optional[asyncio.Transport] = None
        self._unsent: list[bytes] = []
        self._gone = False
        ours, theirs = socket.socketpair()

        def run() -> None:
            ours.close()
            main(theirs)

        self.pid = children.forked(run)
        theirs.close()
        ours.setblocking(False)
        self._watch()
        self._connecting = self._loop.create_task(self._connect(ours))

    def say(self, message: tuple[Any, ...]) -> None:
        """Send a message; what is said to a process that has ended is lost with it."""
        data = ipc.packed(message)
        if self._transport is None:
            self._unsent.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def kill(self) -> None:
        """End the process at once."""
        if not self._gone:
            os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> None:
        """Look whether the process has ended. To be called now and then, where the kernel has no way to say so."""
        if self._gone:
            return
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else in this process has waited for it
            pid, status = self.pid, 0
        if pid:
            self._gone = True
            if self._descriptor is not None:
                self._loop.remove_reader(self._descriptor)
                os.close(self._descriptor)
            self._connecting.cancel()
            if self._transport is not None:
                self._transport.abort()
            self._ended(children.ending(status))

    def _watch(self) -> None:
        # Not SIGCHLD, which uvloop keeps for itself; nor the socket's end, which a process that the model started may hold open.
        try:
            self._descriptor: Optional[int] = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # before Linux 5.3, or not Linux
            self._descriptor = None
        else:
            self._loop.add_reader(self._descriptor, self.reap)

    def _bury(self) -> None:
        self.reap()
        if not self._gone:
            self._loop.call_later(0.005, self._bury)

    async def _connect(self, ours: socket.socket) -> None:
        await self._loop.create_connection(lambda: self, sock=ours)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        for data in self._unsent:
            transport.write(data)  # type: ignore[attr-defined]
        self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        for message in self._unpacking.feed(data):
            self._heard(message)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        # The process is about to end, or a fork of it holds on to nothing any more: either way it is of no use.
        if not self._gone:
            self.kill()
            self._bury()
