"""A deployment's public address: the sockets that listen there, kept open for its life, whoever accepts on them."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack

_BACKLOG = 1024


class Address:
    """Where a deployment listens. `sockets` is empty while it doesn't."""

    def __init__(self) -> None:
        self.host = ""
        self.port = 0
        self.sockets: Sequence[socket.socket] = ()

    async def move(self, host: str, port: int, withdraw: Callable[[], Awaitable[None]]) -> None:
        """Listen there, and no longer where it did before. Port 0 keeps the present one, or picks one.

        Args:
            withdraw: Has nobody accept on the present sockets any more.

        Raises:
            OSError: the port is taken, or the address isn't one of this machine; nothing has changed then.
        """
        if self.sockets and host == self.host and port in (0, self.port):
            return
        wanted = port or self.port
        if self.sockets and wanted == self.port:
            await self._rebind(host, wanted, withdraw)
        else:
            self._replace(host, await _bound(host, wanted))

    def close(self) -> None:
        for each in self.sockets:
            each.close()
        self.sockets = ()

    async def _rebind(self, host: str, port: int, withdraw: Callable[[], Awaitable[None]]) -> None:
        """The same port on another address: one that includes the old can't be taken while the old is."""
        before = self.host
        self.close()
        await withdraw()
        try:
            self._replace(host, await _bound(host, port))
        except OSError:
            self._replace(before, await _bound(before, port))
            raise

    def _replace(self, host: str, sockets: Sequence[socket.socket]) -> None:
        self.close()
        self.host, self.port, self.sockets = host, sockets[0].getsockname()[1], sockets


async def _bound(host: str, port: int) -> Sequence[socket.socket]:
    """Sockets that listen on all addresses that a host's name stands for, on one port."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        for family, kind, protocol, _, address in dict.fromkeys(found):
            each = opened.enter_context(socket.socket(family, kind, protocol))
            sockets.append(each)
            each.setblocking(False)
            if sys.platform != "win32":
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind((address[0], port or sockets[0].getsockname()[1], *address[2:]))
            each.listen(_BACKLOG)
        opened.pop_all()
    return tuple(sockets)
