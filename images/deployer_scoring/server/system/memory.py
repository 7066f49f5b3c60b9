"""How much memory is left for another model: in the container's cgroup (version 1 or 2), and on the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_NO_LIMIT = 1 << 60  # version 1 says "none" by a number near 2**63


class Memory(NamedTuple):
    """Bytes that may be taken yet, and bytes that there are."""

    free: int
    whole: int


def memory(cgroup: Path = Path("/sys/fs/cgroup"), meminfo: Path = Path("/proc/meminfo")) -> Memory:
    """What is left and what there is, by whichever of machine and cgroup has less left.

    Args:
        cgroup: Where the container's own is mounted.
        meminfo: What the kernel says of the machine.
    """
    machine = _table(meminfo)
    return min([Memory(machine.get("MemAvailable:", 0) * 1024, machine.get("MemTotal:", 0) * 1024), *_of_cgroup(cgroup)])


def _of_cgroup(cgroup: Path) -> Iterator[Memory]:
    for folder, limit, usage, cache in (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        whole, used = _text(folder / limit).strip(), _text(folder / usage).strip()
        if whole.isdigit() and used.isdigit() and int(whole) < _NO_LIMIT:
            # The page cache that nothing looked at lately counts as used, but goes as soon as memory is wanted.
            reclaimed = _table(folder / "memory.stat").get(cache, 0)
            yield Memory(max(0, int(whole) - int(used) + reclaimed), int(whole))


def _table(file: Path) -> Mapping[str, int]:
    """Lines of a name and a number."""
    pairs = (line.split() for line in _text(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) > 1 and pair[1].isdigit()}


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
