"""Who answers at a deployment's address: the processes of the generation that has all the traffic, by themselves, and else the proxy.

While a rollout keeps two generations the proxy stands before both, whatever their shares, so that each request counts; so it does before
containers that can't be lent sockets. Connections move between the two, each between two requests, and none is lost.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

from deployer_targets.local.address import Address
from deployer_targets.local.backend import ServingContainer, State
from deployer_targets.local.proxy import Proxy, Unavailable
from deployer_targets.local.shares import Answers, Turns


class Traffic:
    """A deployment's. Belongs to the event loop."""

    def __init__(self, name: str, backends: Mapping[str, ServingContainer]) -> None:
        """Make it.

        Args:
            backends: all containers by generation; the caller's, who changes it.
        """
        self.address = Address()
        self.shares: Mapping[str, int] = {}
        self._name, self._backends = name, backends
        self._turns = Turns({})
        self._proxy = Proxy(self._route)
        self._published = ""  # the generation whose container has the port itself
        self._closed = False

    @property
    def listening(self) -> tuple[str, int]:
        """The address; "" and 0 while nobody listens."""
        return (self.address.host, self.address.port) if self.address.sockets or self._published else ("", 0)

    def divide(self, shares: Mapping[str, int]) -> None:
        """Give each generation its percent from now on, in the order of their age; what they answer is counted anew."""
        self.shares, self._turns = dict(shares), Turns(shares)
        for generation in shares:
            self._backends[generation].answers = Answers()

    def publish(self, generation: str) -> int:
        """Leave the port to a container that opens it itself."""
        self._proxy.accept("", ())
        self.address.close()
        self._published = generation
        return self.address.port

    async def listen(self, host: str, port: int) -> None:
        """Listen there.

        Raises:
            OSError: it can't be had; who listened before still does.
        """
        try:
            await self.address.move(host, port, self._withdraw)
        finally:
            self.lend()
        if (whole := self._whole()) is not None:
            await whole.obeyed()

    async def ended(self, generation: str) -> None:
        """A container has gone: where it had the port itself, that is ours again."""
        if generation == self._published and not self._closed:
            self._published = ""
            with contextlib.suppress(OSError):
                await self.address.move(self.address.host, self.address.port, self._withdraw)

    def lend(self) -> None:
        """Have those accept on the public sockets who are to: call it when anything has changed."""
        whole = self._whole()
        lent = whole is not None and whole.state is State.READY and whole.lend(self.address.host, self.address.sockets)
        for each in self._backends.values():
            if each is not whole:
                each.rest()
        self._proxy.accept(self.address.host, () if lent else self.address.sockets)
        self._proxy.hand_on(whole.give if lent and whole is not None else None)

    def go_on(self, connection: socket.socket) -> None:
        """Serve a connection that a generation gave back, between two requests."""
        whole = self._whole()
        given = whole is not None and whole.state is State.READY and whole.give(connection)
        if given or self._closed:
            connection.close()
        else:
            self._proxy.go_on(connection)

    def close(self) -> None:
        """Take no more requests."""
        self._closed = True
        self._proxy.close()
        self.address.close()

    def abort(self) -> None:
        """Cut what is still open."""
        self._proxy.abort()

    def _whole(self) -> ServingContainer | None:
        """The container of the generation that has the traffic alone."""
        return self._backends.get(next(iter(self.shares))) if len(self.shares) == 1 else None

    async def _withdraw(self) -> None:
        """Have nobody accept."""
        self._proxy.accept("", ())
        for backend in self._backends.values():
            backend.lend("", ())
            await backend.obeyed()

    def _route(self) -> ServingContainer:
        """The container for the next request. One whose turn it is and that isn't there has failed it, and another answers."""
        if not self.shares:
            raise Unavailable(f"{self._name} has no generation that serves yet")
        chosen = self._backends.get(self._turns.next())
        if chosen is not None and chosen.state is State.READY:
            return chosen
        others = [found for each in self.shares if (found := self._backends.get(each)) is not None and found.state is State.READY]
        if chosen is not None:
            chosen.answers.add(well=False, took=0.0)
        if not others:
            state, why = (chosen.state, chosen.reason) if chosen else (State.STOPPED, "")
            raise Unavailable(f"the container of {self._name} is {state}" + (f": {why}" if why else ""))
        return others[0]
