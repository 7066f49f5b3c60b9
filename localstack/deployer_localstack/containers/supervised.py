"""A container that is watched: started until it answers, started again when it dies, gone when nobody needs it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from deployer.errors import DeployerError, Interrupted, RolloutFailed, TimedOut
from deployer_images.runtimes import Log, RunningContainer, wait_healthy
from deployer_localstack.containers.proxy import ConnectionPool

_WATCH_SECONDS = 0.5
_STOP_SECONDS = 30.0


class Unstartable(Exception):
    """The container can't be started at all; the text says why."""


class Unhealthy(Exception):
    """The container exited again and again, or didn't answer in time."""


class Supervised:
    """One container; `pool` is there while it serves."""

    def __init__(
        self,
        name: str,
        *,
        run: Callable[[], RunningContainer],
        clean: Callable[[], None],
        log: Log,
        cancelled: threading.Event,
        health: str = "/ping",
    ) -> None:
        """A container that doesn't run yet.

        Args:
            run: starts it.
            clean: removes what belongs to it, once it is gone.
            log: is told when it is started again.
            cancelled: set by who doesn't want to wait any longer.
            health: the path that answers 200 once it serves.
        """
        self.pool: ConnectionPool | None = None
        self._name, self._run, self._clean, self._log, self._cancelled, self._health = name, run, clean, log, cancelled, health
        self._running: RunningContainer | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def start(self, within_seconds: float, exits: int) -> None:
        """Return once it answers.

        Args:
            within_seconds: for the first answer; later, for that after a restart.
            exits: how many times it may end before it answers.

        Raises:
            Unstartable, Unhealthy: it doesn't.
        """
        deadline = time.monotonic() + within_seconds
        for _ in range(max(1, exits)):
            if self._cancelled.is_set():
                break
            if self._come_up(deadline):
                threading.Thread(target=self._watch, args=(within_seconds,), name=f"watch {self._name}", daemon=True).start()
                return
            if time.monotonic() >= deadline:
                break
        raise Unhealthy

    def stop(self, grace_seconds: float = _STOP_SECONDS) -> None:
        """Stop the container and remove what belongs to it; safe to call twice."""
        self._stopped.set()
        with self._lock:
            running, self._running = self._running, None
        if self.pool:
            self.pool.close()
        if running:
            with suppress(DeployerError, OSError):
                running.stop(grace_seconds)
        self._clean()

    def _come_up(self, deadline: float) -> bool:
        try:
            running = self._run()
        except DeployerError as fault:
            raise Unstartable(" ".join(part for part in (f"{fault.message}.", fault.why) if part)) from fault
        except OSError as fault:
            raise Unstartable(f"The container of {self._name} can't be started: {fault}") from fault
        try:
            wait_healthy(running, self._health, timeout_seconds=max(0.0, deadline - time.monotonic()), stop=self._cancelled)
        except (RolloutFailed, TimedOut, Interrupted):
            with suppress(DeployerError, OSError):
                running.stop(1.0)
            return False
        with self._lock:
            if self._stopped.is_set():
                running.stop(1.0)
                return False
            self._running, self.pool = running, ConnectionPool(running.address)
        return True

    def _watch(self, within_seconds: float) -> None:
        """Clouds start a container again that dies in service."""
        while not self._stopped.wait(_WATCH_SECONDS):
            running = self._running
            if running is None or running.alive():
                continue
            self._log(f"the container exited with code {running.exit_code}; it is started again".encode())
            self.pool = None
            with suppress(DeployerError, OSError):
                running.stop(1.0)
            try:
                self._come_up(time.monotonic() + within_seconds)
            except Unstartable as failed:
                logging.getLogger(__name__).warning("%s: %s", self._name, failed)


class InFlight:
    """The requests that something is answering: it goes only when they are done."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = threading.Condition()

    def enter(self) -> None:
        """A request is on its way; call it under the lock under which what answers is exchanged."""
        with self._idle:
            self._count += 1

    def leave(self) -> None:
        """The request is answered."""
        with self._idle:
            self._count -= 1
            self._idle.notify_all()

    def drain(self, seconds: float) -> None:
        """Return when none is left, or after so long."""
        with self._idle:
            self._idle.wait_for(lambda: self._count == 0, seconds)
