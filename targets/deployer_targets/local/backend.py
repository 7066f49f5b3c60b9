"""One generation's container under a supervisor: started, watched, started again a bounded number of times, drained, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from deployer.core.container import Container
from deployer.errors import DeployerError
from deployer_images import runtimes
from deployer_targets.local.handover import SocketHandover
from deployer_targets.local.lines import LineRing
from deployer_targets.local.shares import Answers

STOP_SECONDS = 30
"""From SIGTERM to SIGKILL, as SageMaker has it."""

_LAST_LINES = 20
_WATCH_SECONDS = 0.25
_PING_SECONDS = 2.0
_PINGS_APART_SECONDS = 3.0
_SILENT_PINGS = 2
"""Health checks in a row that stay without an answer until a container counts as hung. It is left alone: it may be at work."""
_LONGEST_PAUSE_SECONDS = 30.0


class State(StrEnum):
    """Where a generation's container is."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: the container, by which runtime, under which name there."""

    generation: str
    name: str
    container: Container
    runtime: str
    port: int = 0
    """Where it is to answer on 127.0.0.1; 0 takes a free one."""


@dataclass(slots=True)
class Limits:
    """What may change while a container runs: seconds to start, seconds to drain, restarts."""

    startup_timeout: float = 600
    drain_timeout: float = 60
    max_restarts: float = 3


class _Died(Exception):
    """The container is gone, or never came to answer; the text says how."""


class ServingContainer:
    """Belongs to the event loop; what blocks in a runtime runs in threads."""

    def __init__(self, order: Order, limits: Limits, lines: LineRing, changed: Callable[[], None], returned: Callable[[socket.socket], None]) -> None:
        self.order = order
        self.state = State.STARTING
        self.reason = ""
        self.fault: DeployerError | None = None  # why it couldn't even be started
        self.restarts = 0
        self.last_lines: tuple[str, ...] = ()
        self.limits = limits
        self.answers = Answers()
        self._lines, self._changed, self._returned = lines, changed, returned
        self._handover: SocketHandover | None = None
        self._running: runtimes.RunningContainer | None = None
        self._in_progress = 0
        self._leaving = asyncio.Event()
        self._life = asyncio.create_task(self._live())

    @property
    def address(self) -> tuple[str, int]:
        """Where the container answers. Only while it's ready."""
        assert self._running is not None
        return self._running.address

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request in progress."""
        self._in_progress += 1
        try:
            yield
        finally:
            self._in_progress -= 1

    def lend(self, host: str, sockets: Sequence[socket.socket]) -> bool:
        """Have its processes accept on public sockets; whether one does by now."""
        if self._handover is None:
            return False
        self._handover.lend(host, sockets)
        return self._handover.accepting

    def rest(self) -> None:
        """Have its processes accept no more, and give their connections back, until they are lent sockets again."""
        if self._handover is not None:
            self._handover.rest()

    def give(self, connection: socket.socket) -> bool:
        """Have one of its processes go on with a connection; false where none can."""
        return self._handover is not None and self._handover.give(connection)

    def withdraw(self, *, move: bool) -> None:
        """Have its processes accept no more, and close their connections between requests, or give them back (`move`)."""
        if self._handover is not None:
            self._handover.leave(move=move)

    async def obeyed(self) -> None:
        """Return once they have done what they were told of sockets."""
        if self._handover is not None:
            await self._handover.obeyed()

    async def leave(self, *, at_once: bool = False) -> None:
        """Wait for the requests in progress, `drain_timeout` at most, and stop the container. Safe to call twice."""
        if not at_once:
            await self._drained()
        self._leaving.set()
        await self._life

    async def _drained(self) -> None:
        if self.state in (State.READY, State.RESTARTING):
            self._become(State.STOPPING)
        self.withdraw(move=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.drain_timeout):
                if self._handover is not None:
                    await self._handover.left()
                while self._in_progress:
                    await asyncio.sleep(0.02)

    async def _live(self) -> None:
        served = False
        try:
            while not self._leaving.is_set():
                try:
                    await self._start()
                    await self._answering()
                    if self._leaving.is_set():
                        return
                    served = True
                    if self.state is not State.STOPPING:
                        self._become(State.READY)
                    await self._watch()
                except _Died as died:
                    await self._end()
                    if self.state is State.STOPPING:
                        return
                    if not served or self.restarts >= self.limits.max_restarts:
                        self.fault = died.__cause__ if isinstance(died.__cause__, DeployerError) else None
                        self._become(State.FAILED, self._counted(str(died)))
                        await self._leaving.wait()
                        return
                    await self._pause(str(died))
        finally:
            await self._end()
            self._become(State.STOPPED, self.reason)

    def _counted(self, reason: str) -> str:
        return f"{reason}; it was started again {self.restarts} times" if self.restarts else reason

    async def _pause(self, reason: str) -> None:
        """Between two starts: longer each time, ended by who wants it gone."""
        self._become(State.RESTARTING, reason)
        seconds = min(0.25 * 2**self.restarts, _LONGEST_PAUSE_SECONDS)
        self.restarts += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), seconds)

    async def _start(self) -> None:
        log = self._lines.writer(self.order.generation)
        try:
            runtime = runtimes.find(self.order.runtime)
            self._handover = SocketHandover(self._changed, self._returned) if self.order.runtime == runtimes.PROCESS else None
            inherited = self._handover.inherited if self._handover else None
            starting = asyncio.ensure_future(
                asyncio.to_thread(runtime.start, self.order.container, name=self.order.name, log=log, port=self.order.port, inherited=inherited)
            )
            if inherited is not None:
                starting.add_done_callback(lambda _: inherited.close())  # the process has its own
            leaving = asyncio.ensure_future(self._leaving.wait())
            await asyncio.wait({starting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if not starting.done():  # an environment may take minutes to be made, and who wants to be gone doesn't wait for it
                starting.add_done_callback(_stop_late)
                raise _Died("it was stopped before it had started")
            self._running = starting.result()
        except DeployerError as error:
            raise _Died(f"it couldn't be started: {error.message}" + (f": {error.why}" if error.why else "")) from error
        except OSError as error:
            raise _Died(f"it couldn't be started: {error.strerror or error}") from error

    async def _answering(self) -> None:
        """Return once the health check is answered with 200, or the container is to go.

        Raises:
            _Died: it exited, or the time ran out.
        """
        deadline = asyncio.get_running_loop().time() + self.limits.startup_timeout
        health = self.order.container.health
        while not self._leaving.is_set():
            await self._alive(f"before it answered {health}")
            if await _answers(self.address, health):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise _Died(f"it didn't answer {health} within {self.limits.startup_timeout:g} s")
            await asyncio.sleep(0.02)

    async def _watch(self) -> None:
        pinging = asyncio.create_task(self._ping())
        try:
            while not self._leaving.is_set():
                await self._alive("while it served")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._leaving.wait(), _WATCH_SECONDS)
        finally:
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)

    async def _ping(self) -> None:
        """Note in `reason` while a container that is ready doesn't answer its health check."""
        health, silent = self.order.container.health, 0
        while True:
            await asyncio.sleep(_PINGS_APART_SECONDS)
            silent = 0 if await _answers(self.address, health) else silent + 1
            reason = f"it lives, but doesn't answer {health}" if silent >= _SILENT_PINGS else ""
            if self.state is State.READY and self.reason != reason:
                self._become(State.READY, reason)

    async def _alive(self, when: str) -> None:
        running = self._running
        assert running is not None
        if not await asyncio.to_thread(running.alive):
            raise _Died(f"the container exited with code {running.exit_code} {when}")

    async def _end(self) -> None:
        """Stop the container if there is one, and keep its last words."""
        running, self._running = self._running, None
        if self._handover is not None:
            self._handover.close()
            self._handover = None
        if running is not None:
            await asyncio.to_thread(running.stop, STOP_SECONDS)
        await asyncio.sleep(0)  # the last lines were handed over by another thread
        self.last_lines = self._lines.last(self.order.generation, _LAST_LINES)

    def _become(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self._changed()


def _stop_late(starting: asyncio.Future[runtimes.RunningContainer]) -> None:
    """Stop a container that came to be when it wasn't wanted any more."""
    if not starting.cancelled() and starting.exception() is None:
        starting.get_loop().run_in_executor(None, starting.result().stop, 0.0)


async def _answers(address: tuple[str, int], path: str) -> bool:
    """Whether GET `path` is answered with 200 within 2 s."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split(b" ")[1:2] == [b"200"]
