"""Several targets in one process: their libraries stand on the same ones, which a second thread that imports them meanwhile would see half made."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import deployer
from docs.examples.memory_target import Memory

_LIBRARY = """
import time
begin = time.monotonic()
time.sleep(0.2)
end = time.monotonic()
"""


@pytest.mark.usefixtures("cloud")
def test_libraries_are_imported_by_one_thread_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("library_of_here", "library_of_there")
    for name in names:
        (tmp_path / f"{name}.py").write_text(_LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    clients = [deployer.get_deploy_client(f"memory:/{each}") for each in ("here", "there")]
    for client, name in zip(clients, names, strict=True):
        monkeypatch.setattr(client, "target", type("Standing", (Memory,), {"libraries": (name, "a_library_that_is_not_installed")})())
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda client: client.list_deployments(), clients)) == [[], []]
    first, second = sorted((sys.modules.pop(name) for name in names), key=lambda module: float(module.begin))
    assert first.end <= second.begin
