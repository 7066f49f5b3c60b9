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

from deployer.artifacts import fetch
from deployer.cli.program import program
from deployer.errors import ConfigInvalid
from deployer.events import silent
from deployer.oci import Image, Repository, choose, general_tag
from deployer.oci.manifest import DOCKER_LIST, OCI_INDEX
from deployer_images import scoring
from deployer_images.layers.planning import make
from tests.docker import docker_engine, serving_registry, unavailable  # noqa: F401
from tests.index import serving_index

if TYPE_CHECKING:
    from docker import DockerClient

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
IMAGES = pytest.mark.parametrize(("architecture", "compression"), [("amd64", "gzip"), ("arm64", "gzip"), ("amd64", "zstd")])
_READS_ZSTD = 23
"""The first docker engine that does."""
SITE = "opt/deployer/venv/lib/python3.11/site-packages"


@dataclass(frozen=True)
class Pushed:
    """An image of one model for each architecture and compression, by `name`."""

    host: str

    def name(self, architecture: str, compression: str = "gzip") -> str:
        return f"{self.host}/churn:{architecture}-{compression}"


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
        for each, compression in (("amd64", "gzip"), ("arm64", "gzip"), ("amd64", "zstd")):
            command = ["models", "build-docker", "-m", str(model), "-n", found.name(each, compression), "--push", "--base", str(room / "root")]
            done = CliRunner().invoke(program, [*command, "--platform", f"linux/{each}", "--compression", compression])
            assert done.exit_code == 0, done.output
        for compression in ("gzip", "zstd"):
            command = ["models", "build-docker", "-m", str(model), "-n", found.name("index", compression), "--push", "--base", str(room / "root")]
            done = CliRunner().invoke(program, [*command, "--platform", "linux/amd64,linux/arm64", "--compression", compression])
            assert done.exit_code == 0, done.output
        yield found


def _read(tar: tarfile.TarFile, name: str) -> str:
    file = tar.extractfile(name)
    assert file is not None
    return file.read().decode()


@IMAGES
def test_skopeo_inspects_it(pushed: Pushed, architecture: str, compression: str) -> None:
    if not shutil.which("skopeo"):
        unavailable("apt-get install skopeo")
    command = ["skopeo", "--override-arch", architecture, "inspect", "--tls-verify=false", f"docker://{pushed.name(architecture, compression)}"]
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (said["Os"], said["Architecture"]) == ("linux", architecture)
    assert len(said["Layers"]) == 6  # the base, the runtime and its bytecode, the packages and theirs, the model
    assert said["Labels"]["io.deployer.runtime"] == scoring.VERSION


@pytest.mark.parametrize(("compression", "media_type"), [("gzip", DOCKER_LIST), ("zstd", OCI_INDEX)])
def test_an_index_leads_to_the_images_that_are_made_for_each_platform(pushed: Pushed, compression: str, media_type: str) -> None:
    """The same as are made one by one; skopeo goes by the architecture that it is told."""
    repository = Repository(pushed.host, "churn")
    index = repository.manifest(f"index-{compression}")
    assert index.media_type == media_type
    assert index.platforms.keys() == {"linux/amd64", "linux/arm64"}
    assert index.platforms["linux/amd64"] == repository.exists(f"amd64-{compression}")
    assert repository.describe(index.digest, platform="linux/arm64").platform == "linux/arm64"
    with pytest.raises(ConfigInvalid, match="an index of several images"):
        repository.describe(index.digest)
    for architecture in MACHINES:
        command = ["skopeo", "--override-arch", architecture, "inspect", "--tls-verify=false", f"docker://{pushed.name('index', compression)}"]
        assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["Architecture"] == architecture


def test_a_deployment_gets_the_image_of_its_platform_out_of_the_shared_index(pushed: Pushed, tmp_path: Path) -> None:
    """And its packages on top of that, under a tag that the other platform's doesn't take."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3.11").write_text("")
    command = ["build-and-push-container", "--registry", pushed.host, "--base", str(tmp_path), "--python", "3.11"]
    both = [*command, "--platform", "linux/amd64,linux/arm64", "--runtime", "layers", "-o", "name"]
    first, again = (CliRunner().invoke(program, both) for _ in range(2))
    assert (first.exit_code, again.exit_code) == (0, 0), first.output + again.output
    repository = Repository(pushed.host, "deployer-scoring")
    index = repository.manifest(general_tag("3.11"))
    assert {f"{repository.uri}@{each}" for each in index.platforms.values()} == set(first.stdout.split()) == set(again.stdout.split())

    one = CliRunner().invoke(program, [*command, "--runtime", "layers", "-o", "name"])
    assert one.stdout.split() == [f"{repository.uri}@{index.platforms['linux/amd64']}"], "the index has it"
    assert repository.exists(general_tag("3.11")) == index.digest

    (tmp_path / "model").mkdir()
    (tmp_path / "model/MLmodel").write_text("flavors:\n  python_function:\n    loader_module: churn\n    data: data\n    python_version: 3.11.7\n")
    (tmp_path / "model/requirements.txt").write_text("pandas==3.0\n")
    (tmp_path / "model/data").write_text("42")
    model = fetch(str(tmp_path / "model"), silent)

    def chosen(platform: str) -> Image:
        return choose(repository.on(platform), model.facts, recorded=None, named=None, packages="auto")

    for platform in ("linux/arm64", "linux/amd64"):
        assert chosen(platform).digest == index.platforms[platform]
        made = make(repository.on(platform), model, silent)
        assert chosen(platform) == made
        assert made.platform == platform
    assert chosen("linux/arm64").tag == f"{chosen('linux/amd64').tag}-arm64"
    assert chosen("").platform == "linux/amd64", "whoever doesn't know"


def test_an_index_is_refused_where_it_can_t_be(tmp_path: Path) -> None:
    for more in ([], ["--output", str(tmp_path / "image.tar")]):
        done = CliRunner().invoke(program, ["models", "build-docker", "-m", str(tmp_path), "--platform", "linux/amd64,linux/arm64", *more])
        assert done.exit_code == ConfigInvalid.exit_code
        assert "an index of several platforms goes to a registry" in done.output
    done = CliRunner().invoke(program, ["models", "build-docker", "-m", str(tmp_path), "--push", "--platform", "linux/amd64,linux/riscv64"])
    assert "'linux/riscv64' is none of linux/amd64, linux/arm64" in done.output


@pytest.mark.docker
@IMAGES
def test_docker_pulls_it(docker_engine: DockerClient, pushed: Pushed, architecture: str, compression: str, tmp_path: Path) -> None:  # noqa: F811
    if compression == "zstd" and int(docker_engine.version()["Version"].partition(".")[0]) < _READS_ZSTD:
        from docker.errors import DockerException

        with pytest.raises(DockerException):  # what the documentation says of such an engine
            docker_engine.images.pull(pushed.name(architecture, compression))
        return
    image = docker_engine.images.pull(pushed.name(architecture, compression), platform=f"linux/{architecture}")
    container = docker_engine.containers.create(image, platform=f"linux/{architecture}")
    try:
        with (tmp_path / "root.tar").open("wb") as file:
            for piece in container.export():
                file.write(piece)  # type: ignore[arg-type]  # its stub says str
    finally:
        container.remove()
        docker_engine.images.remove(pushed.name(architecture, compression), force=True)
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
@IMAGES
def test_containerd_pulls_it(containerd: list[str], pushed: Pushed, architecture: str, compression: str) -> None:
    """Into its own store and unpacked, as a node of Kubernetes does."""
    name = pushed.name("index" if architecture == "arm64" else architecture, compression)
    pull = [*containerd, "images", "pull", "--plain-http", "--snapshotter", "native", "--platform", f"linux/{architecture}", name]
    subprocess.run(pull, check=True, capture_output=True)
    listed = subprocess.run([*containerd, "images", "ls"], check=True, capture_output=True, text=True).stdout
    assert name in listed
    checked = subprocess.run([*containerd, "images", "check", "--snapshotter", "native"], check=True, capture_output=True, text=True).stdout
    assert any(name in line and "complete" in line for line in checked.splitlines()), checked
