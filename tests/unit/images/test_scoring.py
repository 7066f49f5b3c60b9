"""The runtime as it goes into images: what serves, and nothing of what makes models."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import deployer_scoring
from deployer_images import scoring


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the runtime's source, which is the one that goes into images."""
    copy = tmp_path / "deployer_scoring"
    shutil.copytree(Path(deployer_scoring.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(deployer_scoring, "__file__", str(copy / "__init__.py"))
    return copy


@pytest.mark.parametrize(
    ("file", "changes"), [("spark/udf.py", False), ("format/saving.py", False), ("server/protocols/service.py", True), ("scorer.py", True)]
)
def test_an_image_is_another_where_what_serves_is(source: Path, file: str, changes: bool) -> None:
    before = scoring.digest()
    (source / file).write_text((source / file).read_text() + "# a comment\n")
    assert (scoring.digest() != before) is changes


def test_what_goes_into_an_image_imports_by_itself(tmp_path: Path) -> None:
    scoring.copy(tmp_path)
    assert not (tmp_path / "deployer_scoring" / "format").exists()
    modules = [".".join(path.relative_to(tmp_path).with_suffix("").parts) for path in (tmp_path / "deployer_scoring").rglob("*.py")]
    named = [module.removesuffix(".__init__") for module in modules if not module.endswith("__main__")]
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-c", script, *named], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
