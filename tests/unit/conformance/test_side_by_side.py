"""Promises in threads: pytest stands still while they run, and each test tells what came of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import os
import time

import pytest
from deployer.conformance import SideBySide, waiting_for_its_own


class Nowhere:
    def fresh_name(self): return "name"


@pytest.fixture(scope="module")
def place(): return Nowhere()


@pytest.fixture(scope="module")
def tried(place, request):
    with SideBySide(place, request, threads=4) as tried:
        yield tried


class TestTarget:
    def test_a_quick_one(self, place): pass
    def test_broken(self, place): assert 1 == 2
    def test_known_gap(self, place): pytest.xfail("never")
    def test_slow(self, place):
        before = dict(os.environ)
        time.sleep(0.3)
        assert dict(os.environ) == before
    def test_with_a_fixture(self, place, tmp_path): tmp_path.rmdir()


waiting_for_its_own(TestTarget, alone=())
"""


def test_no_test_ends_before_every_promise_has(tmp_path: Path) -> None:
    (file := tmp_path / "test_target.py").write_text(TESTS)
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "--rootdir", str(tmp_path), str(file)]
    ran = subprocess.run(command, cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False)
    assert "1 failed, 3 passed, 1 xfailed" in ran.stdout, ran.stdout + ran.stderr
    assert "assert 1 == 2" in ran.stdout
