"""Whole processes, timed from outside with the operating system's own accounting."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


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
    begin = time.perf_counter()
    process = subprocess.Popen(list(command), env=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {output[-2000:]}")
    return Finished(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, output)


def medians(commands: Mapping[str, Sequence[str]], runs: int) -> dict[str, float]:
    """The median wall seconds of each command over interleaved runs, after one that isn't counted."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            taken = run(command).seconds
            if turn:
                seconds[name].append(taken)
    return {name: median(values) for name, values in seconds.items()}
