"""Models of whose packages some have no wheel, and an index that has these.

index = index_with_sources   pytest finds the fixture in the test's own module
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployer.artifacts import fetch
from deployer.checks import with_mlflow_said
from deployer.core.state import PackagedModel
from deployer.events import silent
from deployer_images.runtimes.docker import NAME, OWNER, is_gone, ourselves
from tests.index import Index, serving_index, wheel
from tests.models import copied_model

if TYPE_CHECKING:
    from docker import DockerClient

SETUP = "from setuptools import setup\nsetup(name={name!r}, version='1.0', py_modules=[{name!r}])\n"


@pytest.fixture
def index_with_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Beside the usual one; it wants a password."""
    with serving_index(tmp_path / "index") as found:
        found.sdist("legacy", "1.0", SETUP.format(name="legacy"), {"legacy.py": "import sys\nBUILT_BY = sys.prefix\n"})
        found.sdist("failing", "1.0", "import sys\nsys.exit('fatal: libfoo.h is not here')\n")
        found.login = ("reader", "hunter2")
        monkeypatch.setenv("UV_INDEX", found.url.replace("://", "://reader:hunter2@"))
        yield found


def requiring(directory: Path, *lines: str) -> PackagedModel:
    """A model that imports what it requires, or fails to load."""
    directory.mkdir(exist_ok=True)
    model = copied_model("doubler", directory)
    wheel(model / "code", "own", "1.0")
    (model / "code" / "project").mkdir()
    (model / "code" / "project" / "setup.py").write_text(SETUP.format(name="project"))
    (model / "code" / "project" / "project.py").write_text("")
    (model / "requirements.txt").write_text("".join(f"{line}\n" for line in ("numpy", "pandas", *lines)))
    names = [line.split()[0].partition("=")[0].rpartition("/")[2].partition("-")[0] for line in lines]
    loader = model / "code" / "doubler_loader.py"
    loader.write_text("".join(f"import {name}\n" for name in names) + loader.read_text())
    return with_mlflow_said(fetch(str(model), silent))


def builders(engine: DockerClient) -> list[str]:
    """Containers that packages are built in by this process or by one that has ended; others may build at the same time."""
    found = [each for each in engine.containers.list(all=True, filters={"label": NAME}, ignore_removed=True) if each.labels[NAME].startswith("tmp")]
    return [str(each.id) for each in found if each.labels[OWNER] == ourselves() or is_gone(each.labels[OWNER])]
