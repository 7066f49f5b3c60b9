"""Whole processes, timed from outside with the operating system's own accounting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

_MEASURED = """
import json, os, sys, time
begin = time.perf_counter()
_, status, usage = os.wait4(os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ), 0)
found = time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, os.waitstatus_to_exitcode(status)
os.write(int(sys.argv[1]), json.dumps(found).encode())
"""
"""A small process between us and the one that is measured, whose peak would begin with what we are ourselves: Linux counts on across an exec."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Wall seconds, seconds of processor and peak resident memory (MB) of one process, with what it printed."""

    seconds: float
    cpu: float
    peak: float
    output: str


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; with what it printed.
    """
    # Bytecode stays cached between runs, as it does for users.
    clean = {name: value for name, value in (environment or os.environ).items() if name != "PYTHONDONTWRITEBYTECODE"}
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as found:
        measured = [sys.executable, "-I", "-S", "-c", _MEASURED, str(writing), *command]
        ran = subprocess.run(measured, env=clean, pass_fds=[writing], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        os.close(writing)
        seconds, cpu, peak, code = json.loads(found.read() or "[0, 0, 0, 127]")
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}: {ran.stdout[-2000:]}")
    return Finished(seconds, cpu, peak, ran.stdout)


def medians(commands: Mapping[str, Sequence[str]], runs: int) -> dict[str, float]:
    """The median wall seconds of each command over interleaved runs, after one that isn't counted."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            taken = run(command).seconds
            if turn:
                seconds[name].append(taken)
    return {name: median(values) for name, values in seconds.items()}
