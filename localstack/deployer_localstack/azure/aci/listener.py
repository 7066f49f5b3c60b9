"""An address of this machine that stands for a container group's: connections to it are carried to the container, while that is ready."""

from __future__ import annotations

import io
import random
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from deployer_localstack.http.tunnel import Tunnel

Address = tuple[str, int]
_TRIES = 20


class Listener:
    """Listens on ports of one address; each connection has a thread."""

    def __init__(self, ip: str, ports: dict[int, Callable[[], Address | None]]) -> None:
        """Listen.

        Args:
            ip: of this machine.
            ports: by number, where what comes is carried to; None where nobody is ready: then it is closed.

        Raises:
            OSError: somebody listens there already.
        """
        self.ip = ip
        self._listening: list[socket.socket] = []
        try:
            for port, leads_to in ports.items():
                listening = socket.create_server((ip, port), backlog=64)
                self._listening.append(listening)
                threading.Thread(target=self._accept, args=(listening, leads_to), name=f"listen {ip}:{port}", daemon=True).start()
        except OSError:
            self.close()
            raise

    @classmethod
    def anywhere(cls, ports: dict[int, Callable[[], Address | None]]) -> Listener:
        """On a loopback address of its own (127.0.0.0/8), where the system has more than one.

        Raises:
            OSError: none could be had.
        """
        for _ in range(_TRIES):
            with suppress(OSError):
                return cls(f"127.{random.randint(64, 250)}.{random.randint(0, 250)}.{random.randint(1, 250)}", ports)
        return cls("127.0.0.1", ports)

    def close(self) -> None:
        """Nobody is let in any more; who is in, stays."""
        for each in self._listening:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    @staticmethod
    def _accept(listening: socket.socket, leads_to: Callable[[], Address | None]) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_carry, args=(near, leads_to), name="carry", daemon=True).start()


def _carry(near: socket.socket, leads_to: Callable[[], Address | None]) -> None:
    with near:
        address = leads_to()
        if address is None:
            return
        with suppress(OSError):
            Tunnel(socket.create_connection(address, timeout=5), io.BytesIO()).carry(near, io.BytesIO())
