"""The processes that a local cloud starts: each dies with it, and carries a mark by which leftovers are found."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

from deployer_localstack.options import INSTANCE_LABEL, INSTANCE_VARIABLE

T = TypeVar("T")

# Linux sends the signal of a parent's death when the *thread* that forked ends; so one thread, which never ends, forks for all.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="spawner")


def in_spawner(function: Callable[[], T]) -> T:
    """Run something that starts processes in the thread that lives as long as this process."""
    return _spawner.submit(function).result()


def spawn(
    command: Sequence[str], *, environment: Mapping[str, str], output: int | IO[bytes], directory: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, that dies with this process; stdout and stderr go to `output`."""
    guard = [sys.executable, "-S", "-E", str(Path(__file__).with_name("guarded.py")), str(os.getpid()), *command]
    return in_spawner(
        lambda: subprocess.Popen(
            guard,
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    )


def stop(process: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """SIGTERM to the process's group, SIGKILL when the grace is over; returns when it's gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def leftover_processes(directory: Path) -> list[int]:
    """Processes that carry the mark of the local cloud in this directory, ourselves left out."""
    mark = f"{INSTANCE_VARIABLE}={directory}"
    if Path("/proc/self/environ").exists():
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _carries(entry, mark.encode())]
    listing = subprocess.run(["ps", "axeww", "-o", "pid=,command="], capture_output=True, text=True, check=False).stdout
    found = (line.split(None, 1) for line in listing.splitlines() if mark in line)
    return [int(pid) for pid, *_ in found if int(pid) != os.getpid()]


def kill_leftovers(directory: Path) -> int:
    """End every process and container of a local cloud that isn't there any more; how many there were."""
    processes = leftover_processes(directory)
    for pid in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while leftover_processes(directory) and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(processes) + _remove_containers(directory)


def _carries(entry: Path, mark: bytes) -> bool:
    if int(entry.name) == os.getpid():
        return False
    try:
        # A zombie has an empty environment, and so isn't counted.
        return mark in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _remove_containers(directory: Path) -> int:
    engine = docker_engine()
    if engine is None:
        return 0
    containers = engine.containers.list(all=True, filters={"label": f"{INSTANCE_LABEL}={directory}"})
    for container in containers:
        with contextlib.suppress(Exception):
            container.remove(force=True, v=True)
    return len(containers)


def docker_engine() -> Any:
    """A client of the docker engine, or None where none answers."""
    from deployer.errors import DeployerError
    from deployer_images import engine

    try:
        return engine.connect()
    except DeployerError:
        return None
