"""Waiting for a container that was started to answer."""

from __future__ import annotations

import http.client
import threading
import time

from deployer.errors import Interrupted, RolloutFailed, TimedOut
from deployer_images.runtimes.running import RunningContainer

_PING_SECONDS = 2.0  # SageMaker's limit for an answer to /ping
_POLL_SECONDS = (0.01, 0.25)


def wait_healthy(
    running: RunningContainer,
    path: str = "/ping",
    *,
    timeout_seconds: float = 480.0,
    ping_seconds: float = _PING_SECONDS,
    stop: threading.Event | None = None,
) -> None:
    """Return as soon as `GET path` answers 200.

    Args:
        timeout_seconds: how long it may take in all.
        ping_seconds: how long one answer may take.
        stop: set by who doesn't want to wait any longer.

    Raises:
        RolloutFailed: it exited. TimedOut: it never answered 200. Both with its last lines, the last of them as `why`.
        Interrupted: `stop` was set.
    """
    stop = stop or threading.Event()
    deadline, pause, last_answer = time.monotonic() + timeout_seconds, _POLL_SECONDS[0], "no connection"
    while True:
        if (code := running.exit_code) is not None:
            lines = running.tail()
            raise RolloutFailed(f"{running.name}: the container exited with code {code} before it was healthy", why=_reason(lines), lines=lines)
        last_answer = answer(running.address, path, ping_seconds)
        if last_answer == "200":
            return
        if time.monotonic() >= deadline:
            lines = running.tail()
            message = f"{running.name}: {path} did not answer 200 within {timeout_seconds:g} s; the last answer was {last_answer}"
            raise TimedOut(message, why=_reason(lines), lines=lines)
        if stop.wait(min(pause, max(0.0, deadline - time.monotonic()))):
            raise Interrupted(f"waiting for {running.name} was interrupted")
        pause = min(pause * 1.2, _POLL_SECONDS[1])


def answer(address: tuple[str, int], path: str, timeout_seconds: float = _PING_SECONDS) -> str:
    """The status that `GET path` gives, as text, or why there was none."""
    connection = http.client.HTTPConnection(*address, timeout=timeout_seconds)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as fault:
        return "no connection" if isinstance(fault, ConnectionError) else str(fault) or type(fault).__name__
    finally:
        connection.close()


def _reason(lines: tuple[str, ...]) -> str:
    return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
