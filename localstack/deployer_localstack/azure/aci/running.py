"""A container of a group: run, asked whether it is ready, and started again when it ends, later and later.

Documented: "Azure Container Instances states", "Configure readiness probes"; how long it waits before it starts one again is assumed.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployer.errors import DeployerError
from deployer_images.runtimes import Log, RunningContainer
from deployer_images.runtimes.health import answer
from deployer_localstack.azure.aci.listener import Address

_LINES = 10_000
_LOOK_SECONDS = 0.05
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """When a container is asked for a path, and how often; an empty path is always well."""

    path: str = ""
    delay_seconds: float = 0.0
    period_seconds: float = 10.0


@dataclass(slots=True)
class ContainerLog:
    """Its last lines, each with its time."""

    lines: deque[tuple[datetime, str]] = field(default_factory=lambda: deque(maxlen=_LINES))

    def __call__(self, line: bytes) -> None:
        self.lines.append((datetime.now(UTC), line.decode(errors="replace").rstrip("\r\n")))

    def text(self, tail: int, *, timestamps: bool) -> str:
        kept = [*self.lines][-tail:] if tail else [*self.lines]
        return "".join(f"{moment.isoformat()} {line}\n" if timestamps else f"{line}\n" for moment, line in kept)


class GroupContainer:
    """One container. `start` begins, `stop` ends it; both may be called again."""

    def __init__(self, name: str, run: Callable[[Log], RunningContainer], readiness: Readiness, backoff_seconds: float, files: Path) -> None:
        """One that doesn't run yet.

        Args:
            run: starts it.
            backoff_seconds: before it is started again for the first time.
            files: what belongs to it, and goes with it.
        """
        self.name, self.log, self.restarts = name, ContainerLog(), 0
        self._run, self._readiness, self._backoff, self._files = run, readiness, backoff_seconds, files
        self._state: dict[str, Any] = {"state": "Waiting", "detailStatus": ""}
        self._previous: dict[str, Any] | None = None
        self._ready: Address | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._running: RunningContainer | None = None

    def start(self) -> None:
        """Begin, and return once it runs.

        Raises:
            DeployerError, OSError: it can't be started at all.
        """
        self._ended.clear()
        self._running = self._begun()
        self._thread = threading.Thread(target=self._watch, name=f"container {self.name}", daemon=True)
        self._thread.start()

    def stop(self, grace_seconds: float = 5.0) -> None:
        self._ended.set()
        self._ready = None
        if self._thread:
            self._thread.join(30)
        running, self._running = self._running, None
        if running:
            with suppress(DeployerError, OSError):
                running.stop(grace_seconds)
        self._state = {"state": "Terminated", "exitCode": 0, "finishTime": _now(), "detailStatus": "Completed"}

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._files, ignore_errors=True)

    def leads_to(self) -> Address | None:
        """Where it is asked while it is ready."""
        return self._ready

    def view(self) -> dict[str, Any]:
        """Its instance view."""
        previous = {"previousState": self._previous} if self._previous else {}
        return {"restartCount": self.restarts, "currentState": dict(self._state), **previous, "events": []}

    def _begun(self) -> RunningContainer:
        running = self._run(self.log)
        self._state = {"state": "Running", "startTime": _now(), "detailStatus": ""}
        return running

    def _watch(self) -> None:
        pause, asked = self._backoff, time.monotonic() + self._readiness.delay_seconds
        while not self._ended.wait(_LOOK_SECONDS):
            running = self._running
            if running is None or not running.alive():
                self._previous = {**self._state, "state": "Terminated", "exitCode": running.exit_code if running else 1, "finishTime": _now()}
                self._previous["detailStatus"] = "Error"
                self._state, self._ready = {"state": "Waiting", "detailStatus": "CrashLoopBackOff: Back-off restarting failed"}, None
                if self._ended.wait(pause):
                    return
                pause = min(pause * 2, _LONGEST_PAUSE)
                self.restarts += 1
                self._running = None
                with suppress(DeployerError, OSError):
                    self._running = self._begun()
                asked = time.monotonic() + self._readiness.delay_seconds
            elif time.monotonic() >= asked:
                well = not self._readiness.path or answer(running.address, self._readiness.path, 1.0) == "200"
                self._ready = running.address if well else None
                asked = time.monotonic() + (self._readiness.period_seconds if well else min(self._readiness.period_seconds, 0.2))


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
