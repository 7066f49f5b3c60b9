"""The process that stands for one local deployment: it listens to clients on its control socket, until it's told to end or has nothing to do.

It does what they say (`wire`) and only for the run that claimed the deployment last.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from deployer.core.seam import Pauses, poll
from deployer.errors import DeployerError
from deployer_targets.local import home, wire
from deployer_targets.local.deployment import SupervisedDeployment
from deployer_targets.local.names import StateDirectories

Verb = Callable[..., Any]

_START_SECONDS = 15.0
_PROMPT = Pauses(shortest=0.02, longest=0.02)
_LAST_ANSWERS_SECONDS = 2.0


class ControlSocket:
    """Reads requests from the control socket, one a connection, and answers them."""

    def __init__(self, deployment: SupervisedDeployment) -> None:
        self._deployment = deployment
        self._streams: Mapping[str, Verb] = {"logs": self._logs}
        free = (deployment.describe, deployment.environments, deployment.history, deployment.take)
        self._free: Mapping[str, Verb] = {each.__name__: each for each in free}
        held = (
            deployment.write_record,
            deployment.keep_history,
            deployment.listen,
            deployment.adopt_model,
            deployment.load,
            deployment.wait,
            deployment.measure,
            deployment.shift,
            deployment.switch_when_ready,
            deployment.change,
            deployment.sweep,
            deployment.stop,
            deployment.unleash,
        )
        self._held: Mapping[str, Verb] = {each.__name__: each for each in held}
        self.answering = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answering += 1
        try:
            request = json.loads(await reader.readline())
            verb, run = request.pop("verb"), request.pop("run", None)
            if verb in self._streams:
                await self._streams[verb](reader, writer, **request)
            else:
                await _send(writer, await self._answer(verb, run, request))
        except (ConnectionError, ValueError, KeyError):
            pass  # who doesn't speak the protocol, or left
        finally:
            self.answering -= 1
            self._deployment.last_used = time.monotonic()
            writer.close()

    async def _answer(self, verb: str, run: str | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": await _result(self._verb(verb, run)(**arguments))}
        except DeployerError as error:
            return wire.error_document(error)
        except Exception as error:
            return wire.error_document(DeployerError(f"the supervisor of {self._deployment.name} failed: {type(error).__name__}: {error}"))

    def _verb(self, verb: str, run: str | None) -> Verb:
        if verb in self._free:
            return self._free[verb]
        self._deployment.held_by(run)
        return self._held[verb]

    async def _logs(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, tail: int, follow: bool) -> None:
        """Lines until they end, the client goes, or the deployment does."""

        async def send() -> None:
            async for lines in self._deployment.lines.read(tail=tail, follow=follow):
                writer.write(wire.line(lines))
                await writer.drain()

        tasks = [asyncio.create_task(each) for each in (send(), reader.read(1), self._deployment.gone.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await task


async def _send(writer: asyncio.StreamWriter, document: Mapping[str, Any]) -> None:
    writer.write(wire.line(document))
    await writer.drain()


async def _result(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


async def supervise(name: str, place: StateDirectories, listener: socket.socket, leash: int | None) -> None:
    """Serve until stopped: by a client, by SIGTERM or SIGINT, by the end of who holds the leash, or for want of anything to do."""
    deployment = SupervisedDeployment(name, place)
    control = ControlSocket(deployment)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, deployment.begin_to_end)
    if leash is not None:

        def let_go() -> None:
            loop.remove_reader(leash)
            deployment.let_go()

        loop.add_reader(leash, let_go)
    server = await asyncio.start_unix_server(control.serve, sock=listener, limit=wire.LINE_LIMIT)
    async with server:
        while not deployment.gone.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(deployment.gone.wait(), 1.0)
            if deployment.idle:
                deployment.begin_to_end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_ANSWERS_SECONDS):
                while control.answering:
                    await asyncio.sleep(0.005)


def main(name: str, sockets: str, models: str, leash: str = "") -> int:
    """Start in the background; returns in the caller once the control socket takes connections, or somebody else's does.

    Args:
        leash: The number of a pipe's reading end. It ends when nobody holds the writing end any more, and the supervisor with it.
    """
    if leash:
        os.set_inheritable(int(leash), False)
    place = StateDirectories(Path(sockets), Path(models))
    # Once it's held it is for life: whoever waits for it knows when there is no supervisor any more.
    for held in poll(lambda: home.hold(place, name), seconds=_START_SECONDS, pauses=_PROMPT):
        if held is not None:
            break
        with contextlib.suppress(OSError):
            wire.connect(place.socket(name), 1.0).close()
            return 0
    else:
        sys.stderr.write(f"another supervisor of {name} holds {place.home(name)} but doesn't answer\n")
        return 1
    home.clear_contents(place, name)
    listener = wire.bind(place.socket(name))
    if os.fork():
        return 0
    os.setsid()
    _detach(place.log(name), place.home(name))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(supervise(name, place, listener, int(leash) if leash else None))
    # All is cleared. What a thread still waits for (an environment that is being made, an engine that doesn't answer) is waited for no longer.
    os.killpg(0, signal.SIGKILL)
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
