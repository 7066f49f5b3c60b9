"""A docker engine, a base image and a registry for tests that need real ones.

    from tests.docker import base_image, docker_engine, registry, scoring_image  # noqa: F401   pytest finds them in the test's own module

    docker_engine   a client; starts Debian's engine where none answers and root may (scripts/docker-engine), and stops it at the end
    base_image      the name of a small Debian image with Python 3.11, made by debootstrap once and kept by the engine
    scoring_image   the name of the general scoring image on it, built once for each state of its inputs and kept by the engine
    registry        the host and port of Debian's docker-registry, empty, on this machine

On a laptop without docker or root the tests are skipped and say so; with CI=true they fail.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from deployer.errors import DeployerError
from deployer.events import silent
from deployer_images import engine
from deployer_images.builder import BuildOptions, build_and_push
from tests.environments import cache_directory, locked, made_once

if TYPE_CHECKING:
    from docker import DockerClient

ENGINE = Path(__file__).parents[1] / "scripts" / "docker-engine"
BASE_IMAGE = "deployer-test-base:bookworm"
CONTAINER_NAME = "deployer-test-scoring"
_PACKAGES = "python3,python3-venv,ca-certificates"


def unavailable(why: str) -> NoReturn:
    """Skip the test on a laptop; fail in CI, where nothing is skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerClient]:
    """A client of the engine; DOCKER_HOST names it for as long as the tests run."""
    before = os.environ.get("DOCKER_HOST")
    up = subprocess.run([sys.executable, str(ENGINE), "up", "--for", str(os.getpid())], capture_output=True, text=True, check=False)
    if up.returncode:
        unavailable(f"no docker engine: {up.stderr.strip()}")
    for word in shlex.split(up.stdout):
        if word.startswith("DOCKER_HOST="):
            os.environ["DOCKER_HOST"] = word.removeprefix("DOCKER_HOST=")
    try:
        client = engine.connect()
        yield client
        client.close()
    except DeployerError as fault:
        unavailable(f"{fault.message}: {fault.why}")
    finally:
        if up.stdout:
            os.environ.pop("DOCKER_HOST", None)
            os.environ.update({"DOCKER_HOST": before} if before else {})
            subprocess.run([sys.executable, str(ENGINE), "down", "--for", str(os.getpid())], check=False)


@pytest.fixture(scope="session")
def base_image(docker_engine: DockerClient) -> str:
    """The name of an image to build on; its Python is 3.11."""
    with locked(cache_directory() / "base-image.lock"):
        if not docker_engine.images.list(name=BASE_IMAGE):
            _make_base_image(docker_engine)
    return BASE_IMAGE


@pytest.fixture(scope="session")
def scoring_image(docker_engine: DockerClient, base_image: str) -> str:
    """The name of the scoring image for all models, which the engine has; no registry has it."""
    with locked(cache_directory() / "scoring-image.lock"):
        return build_and_push(BuildOptions(push=False, base_image=base_image, python="3.11", container_name=CONTAINER_NAME), None, silent).reference


def _make_base_image(client: DockerClient) -> None:
    """No image can be counted upon to be pulled."""
    repository, _, tag = BASE_IMAGE.partition(":")
    with subprocess.Popen(["tar", "-C", str(root_directory()), "-c", "."], stdout=subprocess.PIPE) as tar:
        client.api.import_image_from_stream(tar.stdout, repository=repository, tag=tag)


def root_directory() -> Path:
    """A small Debian with Python 3.11, made by debootstrap once and kept: 25 s and 150 MB."""
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        unavailable(f"a base image needs root and debootstrap to make: apt-get install debootstrap, or docker tag one of yours as {BASE_IMAGE}")

    def make(root: Path) -> None:
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(root / "var" / "cache" / "apt", ignore_errors=True)

    return made_once(cache_directory() / "base-root-bookworm", make)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """An empty registry without passwords: "localhost:PORT"."""
    with serving_registry(tmp_path) as host:
        yield host


@contextmanager
def serving_registry(directory: Path, more: str = "", *, delete: bool = False, more_storage: str = "") -> Iterator[str]:
    """A registry that keeps its images below a directory, for as long as the block runs.

    Args:
        more: is added to its config, `more_storage` to that of its storage.
        delete: lets images be removed.
    """
    if not shutil.which("docker-registry"):
        unavailable("no registry to test with: apt-get install docker-registry")
    port = free_port()
    config = directory / "registry.yml"
    storage = f"storage:\n  filesystem:\n    rootdirectory: {directory / 'registry'}\n  delete:\n    enabled: {str(delete).lower()}\n{more_storage}"
    config.write_text(f"version: 0.1\n{storage}http:\n  addr: 127.0.0.1:{port}\n{more}")
    with (directory / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        _wait_for(port, process)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")
