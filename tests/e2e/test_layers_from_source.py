"""Packages that have no wheel: built in a container of the shared image where an engine answers, refused in words where none does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployer.artifacts import fetch
from deployer.checks import with_mlflow_said
from deployer.core.container import Container, Mount
from deployer.core.state import Image, PackagedModel, digest_of
from deployer.errors import ModelInvalid
from deployer.events import silent
from deployer.oci import model_tag
from deployer_images.faults import BuildFailed
from deployer_images.layers.engine_images import make_here, planned_here
from deployer_images.layers.wheels import NoWheel
from deployer_images.runtimes import wait_healthy
from deployer_images.runtimes.docker import NAME, Docker
from deployer_targets.local.images import docker_image
from tests.docker import base_image, docker_engine, scoring_image  # noqa: F401
from tests.index import Index, serving_index, wheel
from tests.models import copied_model

if TYPE_CHECKING:
    from docker import DockerClient

NAME_HERE = "deployer-test-from-source"
SETUP = "from setuptools import setup\nsetup(name={name!r}, version='1.0', py_modules=[{name!r}])\n"


@pytest.fixture
def shared(scoring_image: str) -> Image:  # noqa: F811
    """The shared image that the engine has."""
    return docker_image(scoring_image)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
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


def git_repository(directory: Path) -> str:
    """Make one with a package `gx` in a folder; its commit."""
    (directory / "python").mkdir(parents=True)
    (directory / "python" / "setup.py").write_text(SETUP.format(name="gx"))
    (directory / "python" / "gx.py").write_text("")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "gx"]):
        subprocess.run(["git", *command], cwd=directory, check=True)
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.docker
def test_an_engine_builds_them_in_the_image(docker_engine: DockerClient, shared: Image, index: Index, tmp_path: Path) -> None:  # noqa: F811
    commit = git_repository(tmp_path / "gx")
    model = requiring(
        tmp_path,
        "legacy==1.0",
        f"gx @ git+file://{tmp_path}/gx@main#subdirectory=python",
        "project @ file:code/project",
        "code/own-1.0-py3-none-any.whl",
    )
    assert "gx comes from a repository" in str(planned_here(shared, model, NAME_HERE).planned)
    image = make_here(shared, model, NAME_HERE, silent)
    try:
        assert (image.packages or {})["legacy"] == "1.0"
        assert (image.packages or {})["gx"] == f"git+file://{tmp_path}/gx@{commit}#subdirectory=python"
        assert _answers(docker_engine, image, model) == [3.0]
        made = docker_engine.images.get(image.reference)
        assert "hunter2" not in json.dumps([made.attrs, made.history()])
        assert not _builders(docker_engine)
    finally:
        docker_engine.images.remove(image.reference, force=True)


@pytest.mark.docker
def test_a_build_that_fails_says_why_and_leaves_nothing(docker_engine: DockerClient, shared: Image, index: Index, tmp_path: Path) -> None:  # noqa: F811
    model = requiring(tmp_path, "failing==1.0")
    with pytest.raises(BuildFailed, match=r"failing==1\.0 could not be built") as refused:
        make_here(shared, model, NAME_HERE, silent)
    assert "fatal: libfoo.h is not here" in refused.value.lines[-1]
    with pytest.raises(ModelInvalid, match="git can't fetch"):
        make_here(shared, requiring(tmp_path / "other", f"gx @ git+file://{tmp_path}/nothing"), NAME_HERE, silent)
    assert not docker_engine.images.list(name=f"{NAME_HERE}:{model_tag(model.facts)}")
    assert not _builders(docker_engine)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("legacy==1.0", "legacy is only a source distribution"),
        ("gx @ git+https://127.0.0.1:9/gx", "gx comes from a repository"),
        ("project @ file:code/project", "project is a directory of source"),
    ],
)
def test_without_an_engine_they_are_refused_before_anything_is_made(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    shared = Image("registry/scoring@sha256:1", digest_of("shared"), python_version="3.11", runtime="1", packages={})
    with pytest.raises(NoWheel, match=said) as refused:
        planned_here(shared, requiring(tmp_path, line), NAME_HERE)
    assert all(way in refused.value.advice for way in ("wheel", "--packages at-start", "engine"))


def _answers(engine: DockerClient, image: Image, model: PackagedModel) -> object:
    from urllib.request import Request, urlopen

    assert model.path is not None
    container = Container(image.reference, ("serve",), 8080, mounts=(Mount(model.path, "/opt/ml/model"),))
    with Docker(engine).start(container, name="source", log=lambda _: None) as served:
        wait_healthy(served, timeout_seconds=60)
        body = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}).encode()
        host, port = served.address
        with urlopen(Request(f"http://{host}:{port}/invocations", body, {"Content-Type": "application/json"})) as answer:
            return json.load(answer)["predictions"]


def _builders(engine: DockerClient) -> list[str]:
    """Containers that packages are built in."""
    found = engine.containers.list(all=True, filters={"label": NAME}, ignore_removed=True)
    return [str(each.id) for each in found if each.labels[NAME].startswith("tmp")]
