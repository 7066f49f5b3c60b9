"""What a supervisor knows of its deployment and does with it: records, containers, the public port.

All of it is in memory and in the containers that it watches: when the process goes, so do they, and so does the deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from deployer.core.state import Record, short
from deployer.errors import Conflict, DeploymentNotFound, MachineFault, Refused
from deployer_targets.local import home, wire
from deployer_targets.local.backend import STOP_SECONDS, Limits, Order, ServingContainer, State
from deployer_targets.local.ledger import MemoryLedger
from deployer_targets.local.lines import LineRing
from deployer_targets.local.names import StateDirectories
from deployer_targets.local.shares import Answers
from deployer_targets.local.traffic import Traffic

IDLE_SECONDS = 30.0
"""How long a supervisor without a record or container waits for a client before it goes."""

_STOPPED_WITHIN_SECONDS = 10.0
"""How long, at the end of all, a container that was told to stop, and then killed, may keep the supervisor waiting."""

_GONE = ".gone"
"""Ends the name of a model's directory that is being removed."""


class SupervisedDeployment:
    """The state of one deployment and the verbs that change it. All of it belongs to the event loop."""

    def __init__(self, name: str, place: StateDirectories) -> None:
        self.name, self.place = name, place
        self.coming: Mapping[str, int] = {}  # the shares that are to be as soon as the last of them is ready
        self.ledger = MemoryLedger(name)
        self.backends: dict[str, ServingContainer] = {}
        self.lines = LineRing()
        self.traffic = Traffic(name, self.backends)
        self.gone = asyncio.Event()
        self.last_used = time.monotonic()
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._leashed = True
        self._ending: asyncio.Task[None] | None = None

    # What clients ask.

    def describe(self) -> dict[str, Any]:
        """The `wire.Description`."""
        models = self._model_names()
        whole = tuple(each for each in models if re.fullmatch(r"[0-9a-f]{10}", each))
        return wire.Description(
            name=self.name,
            pid=os.getpid(),
            host=self.traffic.listening[0],
            port=self.traffic.listening[1],
            traffic=self.traffic.shares,
            incoming=self._incoming,
            records=self.ledger.read(),
            containers={generation: _state(backend) for generation, backend in self.backends.items()},
            models=whole,
            unfinished=tuple(each for each in models if each not in whole),
            limits=asdict(serves.limits) if (serves := self.backends.get(next(iter(self.traffic.shares), ""))) else {},
            ending=self._ending is not None,
        ).to_document()

    def environments(self) -> dict[str, Any]:
        """The environment of each generation, secrets and all: for the comparison that a new one is held against."""
        return {generation: dict(environment) for generation, environment in self.ledger.environments.items()}

    def history(self) -> str:
        """Who changed it, as clients have written it down."""
        return self.ledger.history

    def keep_history(self, text: str, before: str) -> dict[str, Any]:
        """Write that down, in place of what was there before."""
        if self.ledger.history != before:
            raise Conflict(f"another run has written the history of {self.name} since")
        self.ledger.history = text
        return {}

    def take(self, claimant: str) -> dict[str, Any]:
        """Claim the deployment for a run: from now on only it may change anything, until another claims it.

        Raises:
            DeploymentNotFound: it is being deleted; who waits finds the name free.
        """
        if self._ending is not None:
            raise DeploymentNotFound(f"{self.name} is being deleted")
        self.ledger.claim(claimant)
        return {}

    def held_by(self, run: str | None) -> None:
        """Return if this run holds the claim.

        Raises:
            Conflict: another does.
        """
        self.ledger.verify(run or "")

    # What the run that holds the claim orders.

    def write_record(self, record: str, environment: Mapping[str, str]) -> dict[str, Any]:
        return {"changed": self.ledger.write(Record.from_json(record), environment)}

    async def listen(self, host: str, port: int) -> dict[str, Any]:
        """Listen there; port 0 keeps the present one, or picks one."""
        before = self.traffic.listening
        try:
            await self.traffic.listen(host, port)
        except OSError as error:
            advice = "take another, 0 for any free one, or stop what listens there" if port else "127.0.0.1 is always there"
            raise MachineFault(f"port {port} of {host} can't be had: {_plain(error)}", why=os.strerror(error.errno or 0), advice=advice) from error
        return {"port": self.traffic.address.port, "changed": self.traffic.listening != before}

    async def adopt_model(self, unfinished: str, model: str) -> dict[str, Any]:
        """Make a client's finished copy the model of that name, unless it's there already."""
        directory = self.place.models_of(self.name)
        if (directory / model).exists():
            await asyncio.to_thread(shutil.rmtree, directory / unfinished, ignore_errors=True)
        else:
            (directory / unfinished).rename(directory / model)
        return {}

    async def load(self, generation: str, container: Mapping[str, Any], runtime: str, limits: Mapping[str, float], publish: bool) -> dict[str, Any]:
        """Start a generation's container beside what serves; at once done where it runs."""
        run = self.ledger.holder
        if task := self._leaving.get(generation):
            await task
        found = self.backends.get(generation)
        if found is not None and found.state in (State.FAILED, State.STOPPED):
            await found.leave(at_once=True)
        self.held_by(run)
        if changed := found is None or found.state is State.STOPPED:
            port = self.traffic.publish(generation) if publish else 0
            order = Order(generation, f"deployer-{self.name}-{generation}", wire.container_from(container), runtime, port)
            self.backends[generation] = ServingContainer(order, Limits(**limits), self.lines, self._tell, self.traffic.go_on)
        return {"changed": changed}

    async def wait(self, generation: str, seconds: float) -> dict[str, Any]:
        """The state of a generation's container once it is ready or failed, or after so many seconds."""
        run = self.ledger.holder
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while generation in self.backends and self.backends[generation].state in (State.STARTING, State.RESTARTING):
                    await self._changed.wait()
        self.held_by(run)
        backend = self.backends.get(generation)
        return asdict(_state(backend) if backend else wire.ContainerState("stopped"))

    def measure(self, generation: str) -> dict[str, Any]:
        """What a generation has answered since the traffic is divided as it is; see `shares`."""
        backend = self.backends.get(generation)
        return (backend.answers if backend else Answers()).measured()

    async def shift(self, shares: Mapping[str, int], expecting: Mapping[str, int]) -> dict[str, Any]:
        """Divide the traffic among generations that are ready, if it is divided as expected.

        Args:
            shares: percent by generation, a hundred in all; one with 0 runs on. The oldest first. All others are drained and stopped.
        """
        if _same(self.traffic.shares, shares):
            return {"changed": False}
        self._shift(shares, expecting)
        for backend in list(self.backends.values()):
            await backend.obeyed()
        return {"changed": True}

    def _shift(self, shares: Mapping[str, int], expecting: Mapping[str, int]) -> None:
        if not _same(self.traffic.shares, expecting):
            raise Conflict(f"{self.name} is served by {_shared(self.traffic.shares)} now, not by {_shared(expecting)}: another run was faster")
        for generation, percent in shares.items():
            backend = self.backends.get(generation)
            if backend is None or (percent and generation not in self.traffic.shares and backend.state is not State.READY):
                raise Refused(
                    f"generation {generation} of {self.name} can't take the traffic: its container isn't ready", why=backend.reason if backend else ""
                )
        before, self.coming = self.traffic.shares, {}
        self.traffic.divide(shares)
        self._tell()
        for generation in before.keys() - shares.keys():
            if generation in self.backends:
                self.backends[generation].withdraw(move=True)
                self._retire(generation)

    def switch_when_ready(self, shares: Mapping[str, int]) -> dict[str, Any]:
        """The same as soon as the last of them is ready, without anybody waiting; until then it is `incoming`."""
        if not _same(self.traffic.shares, shares):
            self.coming = dict(shares)
            self._tell()
        return {}

    def change(self, record: str, limits: Mapping[str, float]) -> dict[str, Any]:
        """New values of the live options, and the record that says so."""
        new = Record.from_json(record)
        for backend in self.backends.values():
            backend.limits = Limits(**limits)
        if new.generation in self.ledger.read():
            self.ledger.write(new)
        return {}

    async def sweep(self, records: Iterable[str], containers: Iterable[str], models: Iterable[str]) -> dict[str, Any]:
        """Remove what isn't in these. What serves, or is about to, stays whatever they say."""
        run = self.ledger.holder
        retired = set(self.backends) - self._in_use() - set(containers)
        for generation in retired:
            self._retire(generation)
        await asyncio.gather(*self._leaving.values())
        self.held_by(run)
        forgotten = self.ledger.drop(self.ledger.read().keys() - self._in_use() - set(records))
        kept = self.ledger.read()
        used = {short(kept[generation].model.digest) for generation in self._in_use() if generation in kept}
        removed = set(self._model_names()) - used - set(models)
        await self._remove_models(removed)
        return {"changed": bool(retired or forgotten or removed)}

    async def stop(self) -> dict[str, Any]:
        """Take no more requests, answer those in progress, stop all containers, remove all files, end. Who asks again waits for the same."""
        self.begin_to_end()
        assert self._ending is not None
        await asyncio.shield(self._ending)
        return {}

    def unleash(self) -> dict[str, Any]:
        """Live on when who holds the leash ends."""
        self._leashed = False
        return {}

    # What the process asks.

    def begin_to_end(self) -> None:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())

    def let_go(self) -> None:
        """Who held the leash has ended."""
        if self._leashed:
            self.begin_to_end()

    @property
    def idle(self) -> bool:
        """Nothing is here, and nobody came for a while."""
        return not (self.ledger.read() or self.backends) and time.monotonic() - self.last_used > IDLE_SECONDS

    async def _end(self) -> None:
        self.traffic.close()
        drain = max((backend.limits.drain_timeout for backend in self.backends.values()), default=0.0)
        for generation in list(self.backends):
            self._retire(generation)
        if self._leaving:
            await asyncio.wait(self._leaving.values(), timeout=drain + STOP_SECONDS + _STOPPED_WITHIN_SECONDS)
        self.traffic.abort()
        await asyncio.to_thread(home.clear, self.place, self.name)
        self.gone.set()

    @property
    def _incoming(self) -> str | None:
        return [*self.coming][-1] if self.coming else None

    def _in_use(self) -> set[str]:
        return {*self.traffic.shares, *self.coming}

    async def _remove_models(self, names: set[str]) -> None:
        """Out of sight at once, while the claim is known to hold; the files follow."""
        directory = self.place.models_of(self.name)
        doomed = [directory / f"{each.removesuffix(_GONE)}{_GONE}" for each in names]
        for name, path in zip(names, doomed, strict=True):
            with contextlib.suppress(FileNotFoundError):
                (directory / name).rename(path)
        for path in doomed:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    def _retire(self, generation: str) -> None:
        """Drain and stop a container, in the background."""
        if generation not in self._leaving:
            task = asyncio.create_task(self._leave(generation))
            self._leaving[generation] = task
            task.add_done_callback(lambda _: self._leaving.pop(generation, None))

    async def _leave(self, generation: str) -> None:
        await self.backends[generation].leave()
        del self.backends[generation]
        await self.traffic.ended(generation)
        self._tell()

    def _tell(self) -> None:
        """Something changed: wake who waits, and go on with what waited for it."""
        self._changed.set()
        self._changed = asyncio.Event()
        if incoming := self._incoming:
            backend = self.backends.get(incoming)
            if backend is None or backend.state in (State.FAILED, State.STOPPED):
                self.coming = {}
            elif backend.state is State.READY:
                self._shift(self.coming, self.traffic.shares)
        self.traffic.lend()

    def _model_names(self) -> list[str]:
        directory = self.place.models_of(self.name)
        return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def _state(backend: ServingContainer) -> wire.ContainerState:
    return wire.ContainerState(
        state=backend.state,
        reason=backend.reason,
        restarts=backend.restarts,
        runtime=backend.order.runtime,
        image=backend.order.container.image,
        lines=backend.last_lines,
        fault=wire.fault_document(backend.fault),
    )


def _same(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """The same shares in the same order."""
    return list(one.items()) == list(other.items())


def _shared(shares: Mapping[str, int]) -> str:
    """ "generation 0a1b2c3d4e", "generations 0a1b2c3d4e (90 %) and 5f60718293 (10 %)"."""
    if len(shares) < 2:
        return f"generation {next(iter(shares))}" if shares else "none"
    return "generations " + " and ".join(f"{generation} ({percent} %)" for generation, percent in shares.items())


def _plain(error: OSError) -> str:
    plain = {errno.EADDRINUSE: "it is taken", errno.EACCES: "this user may not", errno.EADDRNOTAVAIL: "that is no address of this machine"}
    return plain.get(error.errno or 0) or os.strerror(error.errno or 0)
