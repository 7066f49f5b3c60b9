"""The container's CPUs and memory, out of trees as the kernel shows them under /sys/fs/cgroup."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer_scoring.server.system.resources import Resources, resources

MEGABYTE = 1024 * 1024


def found(root: Path, files: dict[str, str], own: str, cpus: int = 8, asked: float = 0) -> Resources:
    for name, text in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "own").write_text(own)
    return resources(asked, root / "cgroup", root / "own", cpus)


VERSION_2 = {"cgroup.controllers": "cpu memory pids\n"}


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({**VERSION_2, "cpu.max": "150000 100000\n", "memory.max": "1073741824\n"}, "0::/\n", (1.5, 1024 * MEGABYTE)),
        ({**VERSION_2, "cpu.max": "max 100000\n", "memory.max": "max\n"}, "0::/\n", (8, None)),
        (VERSION_2, "0::/\n", (8, None)),
        # The closest limit counts, wherever it is set.
        (
            {**VERSION_2, "kube/cpu.max": "50000 100000", "kube/memory.max": "512", "kube/pod/cpu.max": "max 100000", "kube/pod/memory.max": "max"},
            "0::/kube/pod\n",
            (0.5, 512),
        ),
        # A path of the host, which isn't mounted here: the container's own cgroup is the root.
        ({**VERSION_2, "cpu.max": "200000 100000", "memory.max": "99"}, "0::/system.slice/docker-abc.scope\n", (2, 99)),
        (
            {
                "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
                "memory/docker/abc/memory.limit_in_bytes": "2048\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
            (2.5, 2048),
        ),
        (
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"},
            "4:memory:/x\n3:cpu,cpuacct:/x\n",
            (8, None),
        ),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu,cpuacct:/not/mounted\n", (0.5, None)),
        ({"cpu/cpu.cfs_quota_us": "broken", "cpu/cpu.cfs_period_us": "0"}, "nonsense\n", (8, None)),
        ({}, "", (8, None)),
    ],
)
def test_the_quota_of_the_container_counts_not_the_host_s_cores(tmp_path: Path, files: dict[str, str], own: str, expected: tuple[float, int]) -> None:
    assert found(tmp_path, files, own) == expected


def test_fewer_cores_than_the_quota_are_what_there_is(tmp_path: Path) -> None:
    assert found(tmp_path, {**VERSION_2, "cpu.max": "800000 100000"}, "0::/\n", cpus=2).cpus == 2


@pytest.mark.parametrize(
    ("quota", "asked", "cpus"), [("max 100000", 0.5, 0.5), ("max 100000", 64, 8), ("max 100000", 0, 8), ("400000 100000", 0.5, 4)]
)
def test_without_a_quota_what_was_asked_for_counts_not_the_host_s_cores(tmp_path: Path, quota: str, asked: float, cpus: float) -> None:
    assert found(tmp_path, {**VERSION_2, "cpu.max": quota}, "0::/\n", asked=asked).cpus == cpus


@pytest.mark.parametrize(
    ("cpus", "memory", "resident", "workers"),
    [
        (0.5, None, 0, 1),
        (1, None, 0, 1),
        (1.5, None, 0, 2),
        (4, None, 0, 4),
        (4, 1024 * MEGABYTE, 200 * MEGABYTE, 4),
        (16, 1024 * MEGABYTE, 200 * MEGABYTE, 14),
        (4, 300 * MEGABYTE, 200 * MEGABYTE, 1),
        (4, 2048 * MEGABYTE, 1500 * MEGABYTE, 1),
        (4, 100 * MEGABYTE, 200 * MEGABYTE, 1),
    ],
)
def test_a_worker_for_each_cpu_as_far_as_the_memory_reaches(cpus: float, memory: int | None, resident: int, workers: int) -> None:
    assert Resources(cpus, memory).workers(resident) == workers


def test_the_workers_libraries_together_use_no_more_threads_than_there_are_cpus() -> None:
    assert [Resources(8, None).library_threads(workers) for workers in (1, 3, 8, 16)] == [8, 2, 1, 1]
    assert Resources(0.5, None).library_threads(1) == 1
    assert [Resources(cpus, None).predict_threads for cpus in (0.5, 2, 64)] == [5, 6, 32]
