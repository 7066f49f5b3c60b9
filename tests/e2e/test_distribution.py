"""What a release sends out: a wheel and an sdist that are built, checked, installed and tried as the release workflow does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_wheel_and_sdist_install_and_answer(tmp_path: Path) -> None:
    command = [str(TOP / "scripts" / "distribution"), str(Path(sys.executable).parents[1]), str(tmp_path / "dist")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.suffix for path in (tmp_path / "dist").glob("deployer_ml-*")) == [".gz", ".whl"]
    assert done.stdout.count("installs, and answers") == 2
