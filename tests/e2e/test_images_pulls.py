"""What was made without an engine is read by those of others: docker, skopeo and containerd pull it from a registry, for either platform."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from deployer.cli.program import program
from deployer_images import scoring
from tests.docker import docker_engine, serving_registry, unavailable  # noqa: F401
from tests.index import serving_index

if TYPE_CHECKING:
    from docker import DockerClient

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
SITE = "opt/deployer/venv/lib/python3.11/site-packages"


@dataclass(frozen=True)
class Pushed:
    """An image of one model for each architecture, by `name`."""

    host: str

    def name(self, architecture: str) -> str:
        return f"{self.host}/churn:{architecture}"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    """On a base that is a directory with the name of a Python: nothing is run."""
    room = tmp_path_factory.mktemp("pulls")
    with serving_registry(room) as host, serving_index(room / "index") as index, pytest.MonkeyPatch.context() as patch:
        for name in (each for each in os.environ if each.startswith(("UV_", "PIP_"))):
            patch.delenv(name)
        patch.setenv("UV_DEFAULT_INDEX", index.url)
        patch.setenv("XDG_CACHE_HOME", str(room / "cache"))
        patch.setenv("UV_CACHE_DIR", str(room / "uv"))
        for libc in MACHINES.values():
            index.wheel("numpy", "2.0", tag=f"cp311-cp311-manylinux_2_17_{libc}", numpy=f"MACHINE = {libc!r}\n")
        index.wheel("pandas", "3.0", ["numpy"])
        for each in {Requirement(line).name for line in scoring.requirements()} - {"numpy", "pandas"}:
            index.wheel(each, "99.0")
        (room / "root/usr/bin").mkdir(parents=True)
        (room / "root/usr/bin/python3.11").write_text("")
        model = room / "model"
        model.mkdir()
        (model / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: churn\n    data: data\n    python_version: 3.11.7\n")
        (model / "data").write_text("42")
        found = Pushed(host)
        for each in MACHINES:
            command = ["models", "build-docker", "-m", str(model), "-n", found.name(each), "--push", "--base", str(room / "root")]
            done = CliRunner().invoke(program, [*command, "--platform", f"linux/{each}"])
            assert done.exit_code == 0, done.output
        yield found


def _read(tar: tarfile.TarFile, name: str) -> str:
    file = tar.extractfile(name)
    assert file is not None
    return file.read().decode()


@pytest.mark.parametrize("architecture", MACHINES)
def test_skopeo_inspects_it(pushed: Pushed, architecture: str) -> None:
    if not shutil.which("skopeo"):
        unavailable("apt-get install skopeo")
    command = ["skopeo", "--override-arch", architecture, "inspect", "--tls-verify=false", f"docker://{pushed.name(architecture)}"]
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (said["Os"], said["Architecture"]) == ("linux", architecture)
    assert len(said["Layers"]) == 5  # the base, the runtime, the packages, their bytecode, the model
    assert said["Labels"]["io.deployer.runtime"] == scoring.VERSION


@pytest.mark.docker
@pytest.mark.parametrize("architecture", MACHINES)
def test_docker_pulls_it(docker_engine: DockerClient, pushed: Pushed, architecture: str, tmp_path: Path) -> None:  # noqa: F811
    image = docker_engine.images.pull(pushed.name(architecture), platform=f"linux/{architecture}")
    container = docker_engine.containers.create(image, platform=f"linux/{architecture}")
    try:
        with (tmp_path / "root.tar").open("wb") as file:
            for piece in container.export():
                file.write(piece)  # type: ignore[arg-type]  # its stub says str
    finally:
        container.remove()
        docker_engine.images.remove(pushed.name(architecture), force=True)
    assert image.attrs["Architecture"] == architecture
    with tarfile.open(tmp_path / "root.tar") as tar:
        assert _read(tar, "opt/ml/model/data") == "42"
        assert MACHINES[architecture] in _read(tar, f"{SITE}/numpy.py")


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """How a containerd of the test's own is asked."""
    missing = [each for each in ("containerd", "ctr") if not shutil.which(each)]
    if missing or os.geteuid() != 0:
        unavailable(f"containerd needs root and {', '.join(missing) or 'nothing else'}: apt-get install containerd")
    room = tmp_path_factory.mktemp("containerd")
    (room / "config.toml").write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    command = ["containerd", "-c", str(room / "config.toml"), "--root", str(room / "root"), "--state", str(room / "state"), "-a", str(room / "sock")]
    with (room / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            asked = ["ctr", "-a", str(room / "sock")]
            deadline = time.monotonic() + 30
            while subprocess.run([*asked, "version"], capture_output=True, check=False).returncode:
                assert time.monotonic() < deadline, (room / "log").read_text()
                time.sleep(0.1)
            yield asked
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.docker
@pytest.mark.parametrize("architecture", MACHINES)
def test_containerd_pulls_it(containerd: list[str], pushed: Pushed, architecture: str) -> None:
    """Into its own store and unpacked, as a node of Kubernetes does."""
    name = pushed.name(architecture)
    pull = [*containerd, "images", "pull", "--plain-http", "--snapshotter", "native", "--platform", f"linux/{architecture}", name]
    subprocess.run(pull, check=True, capture_output=True)
    listed = subprocess.run([*containerd, "images", "ls"], check=True, capture_output=True, text=True).stdout
    assert name in listed
    checked = subprocess.run([*containerd, "images", "check", "--snapshotter", "native"], check=True, capture_output=True, text=True).stdout
    assert any(name in line and "complete" in line for line in checked.splitlines()), checked
