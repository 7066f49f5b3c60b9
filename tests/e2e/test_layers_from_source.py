"""Packages that have no wheel: built in a container of the shared image where an engine answers, refused in words where none does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployer.core.container import Container, Mount
from deployer.core.state import Image, PackagedModel, digest_of
from deployer.errors import ModelInvalid
from deployer.events import silent
from deployer.oci import model_tag
from deployer_images.builder import BuildOptions, build_and_push
from deployer_images.faults import BuildFailed
from deployer_images.layers.engine_images import make_here, planned_here
from deployer_images.layers.package_set import runtime_packages
from deployer_images.layers.wheels import NoWheel
from deployer_images.runtimes import wait_healthy
from deployer_images.runtimes.docker import Docker
from deployer_images.wanted import Wanted
from deployer_targets.local.images import docker_image
from tests.docker import base_image, docker_engine, scoring_image  # noqa: F401
from tests.index import Index, wheel
from tests.sources import SETUP, builders, index_with_sources, requiring

if TYPE_CHECKING:
    from docker import DockerClient

index = index_with_sources
NAME_HERE = "deployer-test-from-source"


@pytest.fixture
def shared(scoring_image: str) -> Image:  # noqa: F811
    """The shared image that the engine has."""
    return docker_image(scoring_image)


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
    index.wheel("nvidia_nccl_cu12", "2.21.5")
    index.wheel("xgboost", "99.0", ["nvidia-nccl-cu12"])
    model = requiring(
        tmp_path,
        "legacy==1.0",
        "xgboost==99.0",
        f"gx @ git+file://{tmp_path}/gx@main#subdirectory=python",
        "project @ file:code/project",
        "code/own-1.0-py3-none-any.whl",
    )
    assert "gx comes from a repository" in str(planned_here(shared, model, NAME_HERE).planned)
    image = make_here(shared, model, NAME_HERE, silent)
    try:
        assert (image.packages or {})["legacy"] == "1.0"
        assert "nvidia-nccl-cu12" not in (image.packages or {}), "what only GPUs load, where none is"
        assert (image.packages or {})["gx"] == f"git+file://{tmp_path}/gx@{commit}#subdirectory=python"
        assert _answers(docker_engine, image, model) == [3.0]
        made = docker_engine.images.get(image.reference)
        assert "hunter2" not in json.dumps([made.attrs, made.history()])
        assert not builders(docker_engine)
    finally:
        docker_engine.images.remove(image.reference, force=True)


@pytest.mark.docker
def test_what_is_added_to_the_shared_image_is_not_built_on_this_machine(shared: Image, index: Index, base_image: str) -> None:  # noqa: F811
    with pytest.raises(NoWheel, match=r"the shared image takes wheels alone: legacy(==1\.0)? is only a source distribution") as refused:
        build_and_push(BuildOptions(push=False, requirements=("legacy==1.0",), base_image=base_image, runtime="docker"), None, silent)
    assert all(way in refused.value.advice for way in ("wheel", "UV_FIND_LINKS", "--for MODEL"))


def test_what_is_added_to_the_shared_image_comes_from_a_folder_of_wheels_too(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out that the refusal names."""
    wanted = Wanted(("legacy==1.0",))
    with pytest.raises(NoWheel, match=r"the shared image takes wheels alone: legacy(==1\.0)? is only"):
        runtime_packages(wanted, "3.11", "linux/amd64")
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", "legacy", "1.0")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    assert "legacy==1.0" in runtime_packages(wanted, "3.11", "linux/amd64").lines


@pytest.mark.docker
def test_a_build_that_fails_says_why_and_leaves_nothing(docker_engine: DockerClient, shared: Image, index: Index, tmp_path: Path) -> None:  # noqa: F811
    model = requiring(tmp_path, "failing==1.0")
    with pytest.raises(BuildFailed, match=r"failing==1\.0 could not be built") as refused:
        make_here(shared, model, NAME_HERE, silent)
    assert "fatal: libfoo.h is not here" in refused.value.lines[-1]
    with pytest.raises(ModelInvalid, match="git can't fetch"):
        make_here(shared, requiring(tmp_path / "other", f"gx @ git+file://{tmp_path}/nothing"), NAME_HERE, silent)
    assert not docker_engine.images.list(name=f"{NAME_HERE}:{model_tag(model.facts)}")
    assert not builders(docker_engine)


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
