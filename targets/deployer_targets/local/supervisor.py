"""The process that stands for one local deployment: it owns the public port and the containers, and remembers the records.

It does what its clients say (`wire`), one at a time, and only to the run that claimed it last. All it knows is in its memory and in the
containers it watches: when it goes, so do they, and so does the deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deployer.errors import Conflict, DeployerError, Refused
from deployer.state import Record, short
from deployer_targets.local import home, wire
from deployer_targets.local.backend import Backend, Limits, Order, State
from deployer_targets.local.lines import Lines
from deployer_targets.local.names import Place
from deployer_targets.local.proxy import Proxy, Unavailable

IDLE_SECONDS = 30.0
"""How long a supervisor without a record or container waits for a client before it goes."""

_START_SECONDS = 15.0


@dataclass(slots=True)
class _Kept:
    """A generation's record, and the environment that the record leaves out."""

    record: Record
    environment: Mapping[str, str] = field(repr=False)


class Supervisor:
    """The state of one deployment and the verbs that change it. All of it belongs to the event loop."""

    def __init__(self, name: str, place: Place) -> None:
        self.name, self.place = name, place
        self.claim: str | None = None
        self.serving: str | None = None
        self.incoming: str | None = None
        self.records: dict[str, _Kept] = {}
        self.backends: dict[str, Backend] = {}
        self.lines = Lines()
        self.proxy = Proxy(self._route)
        self.gone = asyncio.Event()
        self.last_used = time.monotonic()
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._unleashed = False
        self._ending: asyncio.Task[None] | None = None

    # What clients ask.

    def describe(self) -> dict[str, Any]:
        """The `wire.Description`."""
        models = self._model_names()
        whole = tuple(each for each in models if re.fullmatch(r"[0-9a-f]{10}", each))
        return wire.Description(
            name=self.name,
            pid=os.getpid(),
            host=self.proxy.host if self.proxy.listening else "",
            port=self.proxy.port if self.proxy.listening else 0,
            serving=self.serving,
            incoming=self.incoming,
            records={generation: kept.record for generation, kept in self.records.items()},
            containers={generation: _state(backend) for generation, backend in self.backends.items()},
            models=whole,
            unfinished=tuple(each for each in models if each not in whole),
            limits=asdict(self.backends[self.serving].limits) if self.serving in self.backends else {},
        ).to_document()

    def environments(self) -> dict[str, Any]:
        """The environment of each generation, secrets and all: for the comparison that a new one is held against."""
        return {generation: dict(kept.environment) for generation, kept in self.records.items()}

    async def wait(self, generation: str, seconds: float) -> dict[str, Any]:
        """The state of a generation's container once it is ready or failed, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while generation in self.backends and self.backends[generation].state in (State.STARTING, State.RESTARTING):
                    await self._changed.wait()
        backend = self.backends.get(generation)
        return asdict(_state(backend)) if backend else asdict(wire.ContainerState("stopped"))

    def take(self, claimant: str) -> dict[str, Any]:
        """Claim the deployment for a run: from now on only it may change anything, until another claims it."""
        self.claim = claimant
        return {}

    # What the run that holds the claim orders.

    def write_record(self, record: str, environment: Mapping[str, str]) -> dict[str, Any]:
        kept = _Kept(Record.from_json(record), environment)
        changed = self.records.get(kept.record.generation) != kept
        self.records[kept.record.generation] = kept
        return {"changed": changed}

    async def listen(self, host: str, port: int) -> dict[str, Any]:
        """Listen there; port 0 keeps the present one, or picks one."""
        try:
            await self.proxy.listen(host, port)
        except OSError as error:
            advice = "take another, 0 for any free one, or stop what listens there" if port else "127.0.0.1 is always there"
            raise wire.MachineRefused(
                f"port {port} of {host} can't be had: {_plain(error)}", why=os.strerror(error.errno or 0), advice=advice
            ) from error
        return {"port": self.proxy.port}

    async def adopt_model(self, unfinished: str, model: str) -> dict[str, Any]:
        """Make a client's finished copy the model of that name, unless it's there already."""
        directory = self.place.models_of(self.name)
        if (directory / model).exists():
            await asyncio.to_thread(shutil.rmtree, directory / unfinished, ignore_errors=True)
        else:
            (directory / unfinished).rename(directory / model)
        return {}

    async def load(self, generation: str, container: Mapping[str, Any], runtime: str, limits: Mapping[str, float], switch: bool) -> dict[str, Any]:
        """Start a generation's container beside what serves; at once done where it runs. With `switch` it takes the traffic when it's ready."""
        if task := self._leaving.get(generation):
            await task
        found = self.backends.get(generation)
        if changed := found is None or found.state in (State.FAILED, State.STOPPED):
            if found is not None:
                await found.leave(at_once=True)
            order = Order(generation, f"deployer-{self.name}-{generation}", wire.container_from(container), runtime)
            self.backends[generation] = Backend(order, Limits(**limits), self.lines, self._tell)
        if switch and generation != self.serving:
            self.incoming = generation
            self._tell()
        return {"changed": changed}

    def switch(self, generation: str, expecting: str | None) -> dict[str, Any]:
        """Give the traffic to a generation that is ready, if `expecting` still has it; the one before is drained and stopped."""
        if self.serving == generation:
            return {"changed": False}
        if self.serving != expecting:
            raise Conflict(f"{self.name} is served by generation {self.serving} now, not {expecting}: another run was faster")
        backend = self.backends.get(generation)
        if backend is None or backend.state is not State.READY:
            raise Refused(
                f"generation {generation} of {self.name} can't take the traffic: its container isn't ready", why=backend.reason if backend else ""
            )
        before, self.serving = self.serving, generation
        self.incoming = None
        if before in self.backends:
            self._retire(before)
        self._tell()
        return {"changed": True}

    def change(self, record: str, limits: Mapping[str, float]) -> dict[str, Any]:
        """New values of the live options, and the record that says so."""
        new = Record.from_json(record)
        for backend in self.backends.values():
            backend.limits = Limits(**limits)
        if new.generation in self.records:
            self.records[new.generation].record = new
        return {}

    async def sweep(self, records: list[str], containers: list[str], models: list[str]) -> dict[str, Any]:
        """Remove what isn't in these lists. What serves, or is about to, stays whatever they say."""
        in_use = {generation for generation in (self.serving, self.incoming) if generation}
        for generation in set(self.backends) - in_use - set(containers):
            self._retire(generation)
        await asyncio.gather(*self._leaving.values())
        for generation in set(self.records) - in_use - set(records):
            del self.records[generation]
        used = {short(self.records[generation].record.model.digest) for generation in in_use if generation in self.records}
        for directory in set(self._model_names()) - used - set(models):
            await asyncio.to_thread(shutil.rmtree, self.place.models_of(self.name) / directory, ignore_errors=True)
        return {}

    async def stop(self) -> dict[str, Any]:
        """Take no more requests, answer those in progress, stop all containers, remove all files, end. Who asks again waits for the same."""
        self._ending = self._ending or asyncio.create_task(self._end())
        await asyncio.shield(self._ending)
        return {}

    async def _end(self) -> None:
        await self.proxy.close()
        for generation in list(self.backends):
            self._retire(generation)
        await asyncio.gather(*self._leaving.values())
        self.proxy.abort()
        self.records.clear()
        self.serving = self.incoming = None
        await asyncio.to_thread(home.clear, self.place, self.name)
        self.gone.set()

    async def leash(self, reader: asyncio.StreamReader) -> None:
        """End with the client that holds this connection, however it ends, unless it was unleashed before."""
        while await reader.read(1024):
            pass
        if not self._unleashed:
            await self.stop()

    def unleash(self) -> dict[str, Any]:
        self._unleashed = True
        return {}

    def _route(self) -> Backend:
        backend = self.backends.get(self.serving) if self.serving else None
        if backend is None:
            raise Unavailable(f"{self.name} has no generation that serves yet")
        if backend.state is not State.READY:
            raise Unavailable(f"the container of {self.name} is {backend.state}" + (f": {backend.reason}" if backend.reason else ""))
        return backend

    def _retire(self, generation: str) -> None:
        """Drain and stop a container, in the background."""
        if generation not in self._leaving:
            task = asyncio.create_task(self._leave(generation))
            self._leaving[generation] = task
            task.add_done_callback(lambda _: self._leaving.pop(generation, None))

    async def _leave(self, generation: str) -> None:
        await self.backends[generation].leave()
        del self.backends[generation]
        self._tell()

    def _tell(self) -> None:
        """Something changed: wake who waits, and go on with what waited for it."""
        self._changed.set()
        self._changed = asyncio.Event()
        backend = self.backends.get(self.incoming) if self.incoming else None
        if self.incoming and backend and backend.state is State.READY:
            self.switch(self.incoming, self.serving)
        elif backend is None or backend.state in (State.FAILED, State.STOPPED):
            self.incoming = None

    def _model_names(self) -> list[str]:
        directory = self.place.models_of(self.name)
        return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []

    @property
    def idle(self) -> bool:
        return not (self.records or self.backends) and time.monotonic() - self.last_used > IDLE_SECONDS


class _Control:
    """Reads requests from the control socket and answers them."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        it = supervisor
        self._free: Mapping[str, Callable[..., Any]] = {
            "describe": it.describe,
            "environments": it.environments,
            "wait": it.wait,
            "take": it.take,
        }
        self._held: Mapping[str, Callable[..., Any]] = {
            "write_record": it.write_record,
            "listen": it.listen,
            "adopt_model": it.adopt_model,
            "load": it.load,
            "switch": it.switch,
            "change": it.change,
            "sweep": it.sweep,
            "stop": it.stop,
            "unleash": it.unleash,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            request = json.loads(await reader.readline())
            verb, run = request.pop("verb"), request.pop("run", None)
            if verb == "logs":
                await self._stream(writer, self._supervisor.lines.read(**request), reader)
            elif verb == "leash":
                await self._send(writer, {"ok": {}})
                await self._supervisor.leash(reader)
            else:
                await self._send(writer, await self._answer(verb, run, request))
        except (ConnectionError, ValueError, KeyError):
            pass  # who doesn't speak the protocol, or left
        finally:
            self._supervisor.last_used = time.monotonic()
            writer.close()

    async def _answer(self, verb: str, run: str | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": await _result(self._verb(verb, run)(**arguments))}
        except DeployerError as error:
            return wire.error_document(error)
        except Exception as error:
            return wire.error_document(DeployerError(f"the supervisor of {self._supervisor.name} failed: {type(error).__name__}: {error}"))

    def _verb(self, verb: str, run: str | None) -> Callable[..., Any]:
        if verb in self._free:
            return self._free[verb]
        if run is None or run != self._supervisor.claim:
            raise Conflict(
                f"a newer run has taken over {self._supervisor.name}; this one changes nothing more",
                advice="wait for it to end, then look: deploy get",
            )
        return self._held[verb]

    async def _stream(self, writer: asyncio.StreamWriter, lines: AsyncIterator[Any], reader: asyncio.StreamReader) -> None:
        """Lines until they end or the client goes."""

        async def send() -> None:
            async for each in lines:
                await self._send(writer, asdict(each))

        sending, leaving = asyncio.create_task(send()), asyncio.create_task(reader.read(1))
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (sending, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await task

    async def _send(self, writer: asyncio.StreamWriter, document: Mapping[str, Any]) -> None:
        writer.write(wire.line(document))
        await writer.drain()


async def _result(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


def _state(backend: Backend) -> wire.ContainerState:
    return wire.ContainerState(
        state=backend.state,
        reason=backend.reason,
        restarts=backend.restarts,
        runtime=backend.order.runtime,
        image=backend.order.container.image,
        lines=backend.last_lines,
    )


def _plain(error: OSError) -> str:
    plain = {errno.EADDRINUSE: "it is taken", errno.EACCES: "this user may not", errno.EADDRNOTAVAIL: "that is no address of this machine"}
    return plain.get(error.errno or 0) or os.strerror(error.errno or 0)


async def supervise(name: str, place: Place, listener: socket.socket) -> None:
    """Serve until stopped: by a client, by SIGTERM or SIGINT, or for want of anything to do."""
    supervisor = Supervisor(name, place)
    control = _Control(supervisor)
    stopping: list[asyncio.Task[Any]] = []
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, lambda: stopping.append(asyncio.create_task(supervisor.stop())))
    server = await asyncio.start_unix_server(control.serve, sock=listener, limit=wire.LINE_LIMIT)
    async with server:
        while not supervisor.gone.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(supervisor.gone.wait(), 1.0)
            if supervisor.idle:
                await supervisor.stop()
        await asyncio.sleep(0.1)  # the last answer is on its way


def main(name: str, sockets: str, models: str) -> int:
    """Start in the background; returns in the caller once the control socket takes connections, or somebody else's does."""
    place = Place(Path(sockets), Path(models))
    deadline = time.monotonic() + _START_SECONDS
    while (held := home.hold(place, name)) is None:
        with contextlib.suppress(OSError):
            wire.connect(place.socket(name), 1.0).close()
            return 0
        if time.monotonic() > deadline:
            sys.stderr.write(f"another supervisor of {name} holds {place.home(name)} but doesn't answer\n")
            return 1
        time.sleep(0.02)
    home.clear_contents(place, name)
    listener = wire.bind(place.socket(name))
    if os.fork():
        return 0
    _detach(place.log(name), place.home(name))
    asyncio.run(supervise(name, place, listener))
    os.close(held)
    return 0


def _detach(log: Path, directory: Path) -> None:
    """Leave the caller's streams and directory; what is written from now on is for who looks for a fault of ours."""
    os.chdir(directory)
    with log.open("ab", buffering=0) as file, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
