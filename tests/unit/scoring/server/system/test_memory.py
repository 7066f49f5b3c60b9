"""What is left for another model, by the machine and the container's cgroup."""

from __future__ import annotations

from pathlib import Path

from deployer_scoring.server.system.memory import memory


def written(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


MEMINFO = {"meminfo": "MemTotal:       1000 kB\nMemFree:         10 kB\nMemAvailable:    600 kB\nHugePages_Total:   0\n"}


def test_without_a_limit_the_machine_decides(tmp_path: Path) -> None:
    root = written(tmp_path, {**MEMINFO, "memory.max": "max\n", "memory.current": "5\n"})
    assert memory(root, root / "meminfo") == (600 * 1024, 1000 * 1024)


def test_a_limit_of_version_2_counts_what_is_used_without_the_cache_that_would_go(tmp_path: Path) -> None:
    root = written(tmp_path, {**MEMINFO, "memory.max": "5000\n", "memory.current": "4000\n", "memory.stat": "anon 3000\ninactive_file 700\n"})
    assert memory(root, root / "meminfo") == (1700, 5000)


def test_a_limit_of_version_1_is_read_too_and_its_number_for_none_is_none(tmp_path: Path) -> None:
    files = {
        **MEMINFO,
        "memory/memory.limit_in_bytes": "5000\n",
        "memory/memory.usage_in_bytes": "6000\n",
        "memory/memory.stat": "total_inactive_file 10",
    }
    root = written(tmp_path / "a", files)
    assert memory(root, root / "meminfo") == (0, 5000)
    root = written(tmp_path / "b", {**files, "memory/memory.limit_in_bytes": "9223372036854771712\n"})
    assert memory(root, root / "meminfo").whole == 1000 * 1024


def test_a_machine_whose_limit_leaves_more_than_it_has_itself_goes_by_itself(tmp_path: Path) -> None:
    root = written(tmp_path, {**MEMINFO, "memory.max": f"{2**40}\n", "memory.current": "1\n"})
    assert memory(root, root / "meminfo") == (600 * 1024, 1000 * 1024)
