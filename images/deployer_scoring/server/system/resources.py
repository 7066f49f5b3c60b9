"""How many CPUs and how much memory this container has: its cgroup's quota and limit, else what it asked for, not what the host has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

_NO_LIMIT = 1 << 60  # version 1 says "none" by a number near 2**63
_LEAST_WORKER_BYTES = 48 * 1024 * 1024
_USABLE = 0.9  # of the limit; the kernel kills at it


class Resources(NamedTuple):
    """What this process may use."""

    cpus: float
    """CPUs' worth of time: 0.5 is half of one."""
    memory: Optional[int]
    """Bytes; None where nothing limits them but the machine."""

    def workers(self, resident: int) -> int:
        """How many worker processes to run: one for each CPU, as far as the memory reaches.

        Args:
            resident: Bytes of the process that they are forked from, which they share until they write to them.
        """
        by_cpu = max(1, int(self.cpus + 0.5))
        if self.memory is None:
            return by_cpu
        each = max(_LEAST_WORKER_BYTES, resident // 4)
        return max(1, min(by_cpu, int((self.memory * _USABLE - resident) // each)))

    def library_threads(self, workers: int) -> int:
        """How many threads BLAS and OpenMP may use in each worker, so that together they are no more than the CPUs."""
        return max(1, int(self.cpus / workers))

    @property
    def predict_threads(self) -> int:
        """How many predicts MLflow's server runs at once here (the size of asyncio's pool of threads)."""
        return min(32, max(1, int(self.cpus + 0.5)) + 4)


def resources(
    asked: float = 0, cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup"), cpus: Optional[int] = None
) -> Resources:
    """Read the limits of cgroups, version 1 or 2, whichever rules here.

    Args:
        asked: CPUs that the platform keeps free for it, which count where it has no quota: what others leave idle isn't its own. 0: not known.
        cgroups: Where they are mounted.
        own: Which of them this process is in.
        cpus: How many CPUs it may be scheduled on; by default the system is asked.
    """
    if cpus is None:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    paths = _own_paths(own)
    version_2 = (cgroups / "cgroup.controllers").exists()
    quotas = [*(_quotas_2(cgroups, paths) if version_2 else _quotas_1(cgroups, paths))]
    memory = _numbers(cgroups, paths, "", "memory.max") if version_2 else _numbers(cgroups, paths, "memory", "memory.limit_in_bytes")
    bounds = quotas or ([asked] if asked else [])
    return Resources(min([float(cpus), *bounds]), min((size for size in memory if size < _NO_LIMIT), default=None))


def resident_bytes() -> int:
    """How much memory this process has in use; 0 where the system doesn't say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _own_paths(own: Path) -> dict[str, str]:
    """The process's path in each controller's hierarchy; that of version 2 stands under the empty name."""
    paths: dict[str, str] = {}
    for line in _text(own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _folders(cgroups: Path, paths: dict[str, str], controller: str) -> Iterator[Path]:
    """The process's own cgroup and those above it. In a container without a namespace of its own, its cgroup is what is mounted as the root."""
    names = [controller] if controller != "cpu" else ["cpu", "cpu,cpuacct", "cpuacct,cpu"]
    root = next((cgroups / name for name in names if (cgroups / name).is_dir()), cgroups)
    folder = root / paths.get(controller, "/").lstrip("/")
    while folder != root and root in folder.parents:
        yield folder
        folder = folder.parent
    yield root


def _quotas_2(cgroups: Path, paths: dict[str, str]) -> Iterator[float]:
    for folder in _folders(cgroups, paths, ""):
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
        if quota.isdigit() and period.isdigit():
            yield int(quota) / int(period)


def _quotas_1(cgroups: Path, paths: dict[str, str]) -> Iterator[float]:
    for folder in _folders(cgroups, paths, "cpu"):
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota is not None and period and quota > 0:
            yield quota / period


def _numbers(cgroups: Path, paths: dict[str, str], controller: str, name: str) -> Iterator[int]:
    for folder in _folders(cgroups, paths, controller):
        number = _number(folder / name)
        if number is not None:
            yield number


def _number(file: Path) -> Optional[int]:
    try:
        return int(_text(file))
    except ValueError:  # absent, or `max`
        return None


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
