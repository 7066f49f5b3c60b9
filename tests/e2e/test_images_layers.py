"""Images put together without an engine: pushed to Debian's docker-registry, and run: in a root of their own, and by docker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner

from deployer.artifacts import fetch
from deployer.checks import with_mlflow_said
from deployer.cli.program import program
from deployer.core.container import Container, Mount
from deployer.core.requirements import MLFLOW
from deployer.errors import ConfigInvalid
from deployer.events import Event, StepFinished, StepProgressed, silent
from deployer.oci import DOCKER_MANIFEST, Image, Repository, general_tag, labels
from deployer.oci.manifest import DOCKER_LAYER
from deployer_images.builder import BuildOptions, build_and_push
from deployer_images.layers.bases import opened
from deployer_images.layers.images import Destination, push_with_packages
from deployer_images.layers.package_set import packages_of
from deployer_images.layers.published import find
from deployer_images.runtimes import wait_healthy
from deployer_images.runtimes.docker import Docker
from deployer_images.wanted import Wanted
from tests.docker import base_image, docker_engine, free_port, root_directory, serving_registry, unavailable  # noqa: F401
from tests.environments import mlflow_python
from tests.models import saved_model

if TYPE_CHECKING:
    from docker import DockerClient

PLATFORM = "linux/amd64"


@dataclass(frozen=True)
class Made:
    """The shared image and one for a model, in a registry."""

    repository: Repository
    shared: Image
    image: Image
    heard: list[Event]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with serving_registry(tmp_path_factory.mktemp("registry")) as host:
        repository, heard = Repository(host, "scoring"), list[Event]()
        options = BuildOptions(base_image=str(root_directory()), python="3.11")
        shared = build_and_push(options, repository, heard.append)
        yield Made(repository, shared, with_packages("sklearn", shared, repository, heard), heard)


def with_packages(model: str, shared: Image, repository: Repository, heard: list[Event]) -> Image:
    found = with_mlflow_said(fetch(str(saved_model(model)), silent))
    assert not found.facts.needs_mlflow
    assert found.path is not None
    wanted = Wanted.of_model(found.path).without(MLFLOW)
    packages = packages_of(wanted, found.facts.python_version, PLATFORM)
    return push_with_packages(shared, packages, wanted, Destination(repository, (model,), {}, heard.append))


def example(model: str) -> dict[str, dict[str, object]]:
    """A request's body, as MLflow saved it with the model."""
    body: dict[str, dict[str, object]] = json.loads((saved_model(model) / "serving_input_example.json").read_text())
    assert body.keys() == {"dataframe_split"}
    return body


def by_mlflow(model: str) -> object:
    """What the real MLflow predicts for the model's example."""
    code = (
        "import json, sys, pandas, mlflow.pyfunc; body = json.load(sys.stdin)['dataframe_split'];"
        "found = mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas.DataFrame(body['data'], columns=body['columns']));"
        "print(json.dumps(found.tolist() if hasattr(found, 'tolist') else found.to_dict('records')))"
    )
    done = subprocess.run(
        [mlflow_python(), "-c", code, saved_model(model)], input=json.dumps(example(model)), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def predictions(host: str, port: int, body: object) -> object:
    request = Request(f"http://{host}:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request) as answer:
        return json.load(answer)["predictions"]


@contextmanager
def running(repository: Repository, image: Image, model: str, directory: Path) -> Iterator[int]:
    """The image's own files in a root of their own, and its own entry point there with its own variables; where it answers."""
    if os.geteuid() != 0:
        unavailable("only root can change its root")
    manifest = repository.manifest(image.digest)
    for layer in manifest.layers:
        blob = directory.with_suffix(".blob")
        with repository.stream_blob(layer.digest) as pieces, blob.open("wb") as file:
            file.writelines(pieces)
        with tarfile.open(blob) as tar:
            tar.extractall(directory, filter="fully_trusted")
    shutil.copytree(saved_model(model), directory / "opt/ml/model")
    config = repository.config(manifest).document["config"]
    port = free_port()
    variables = dict(each.split("=", 1) for each in config["Env"]) | {"SAGEMAKER_BIND_TO_PORT": str(port)}
    command = [shutil.which("chroot") or "/usr/sbin/chroot", str(directory), *config["Entrypoint"], *config["Cmd"]]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            _wait(port, process)
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait(port: int, process: subprocess.Popen[str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stdout is not None
            pytest.fail(f"it ended: {process.stdout.read()[-2000:]}")
        try:
            with urlopen(f"http://127.0.0.1:{port}/ping"):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail("it does not answer")


@pytest.mark.parametrize("model", ["sklearn", "pythonmodel"])
def test_the_image_answers_as_mlflow_does(made: Made, tmp_path: Path, model: str) -> None:
    """A model of a library's, and one of its own class with code and artifacts."""
    image = made.image if model == "sklearn" else with_packages(model, made.shared, made.repository, [])
    assert "mlflow" not in (image.packages or {})
    with running(made.repository, image, model, tmp_path / "root") as port:
        assert predictions("127.0.0.1", port, example(model)) == by_mlflow(model)


@pytest.mark.docker
def test_docker_pulls_and_runs_it(docker_engine: DockerClient, made: Made) -> None:  # noqa: F811
    try:
        container = Container(made.image.reference, ("serve",), 8080, mounts=(Mount(saved_model("sklearn"), "/opt/ml/model"),), read_only_root=True)
        with Docker(docker_engine).start(container, name="layers", log=lambda _: None) as served:
            wait_healthy(served, timeout_seconds=60)
            assert predictions(*served.address, example("sklearn")) == by_mlflow("sklearn")
    finally:
        docker_engine.images.remove(made.image.reference, force=True)


@pytest.mark.docker
def test_docker_loads_and_runs_an_image_of_one_model(docker_engine: DockerClient, made: Made) -> None:  # noqa: F811
    built = deploy("models", "build-docker", "-m", saved_model("sklearn"), "-n", "deployer-test-model:1", "--base", root_directory(), "-q")
    assert built == "deployer-test-model:1"
    try:
        assert docker_engine.images.get(built).labels[labels.MODEL] == fetch(str(saved_model("sklearn"))).digest
        with Docker(docker_engine).start(Container(built, (), 8080, read_only_root=True), name="model", log=lambda _: None) as served:
            wait_healthy(served, timeout_seconds=60)
            assert predictions(*served.address, example("sklearn")) == by_mlflow("sklearn")
    finally:
        docker_engine.images.remove(built, force=True)


@pytest.mark.docker
def test_docker_builds_what_generate_dockerfile_writes(docker_engine: DockerClient, base_image: str, tmp_path: Path) -> None:  # noqa: F811
    deploy("models", "generate-dockerfile", "-m", saved_model("sklearn"), "-d", tmp_path / "out", "--base", base_image)
    built, _ = docker_engine.images.build(path=str(tmp_path / "out"), tag="deployer-test-generated", rm=True, forcerm=True)
    try:
        assert built.labels[labels.PYTHON] == "3.11"
        with Docker(docker_engine).start(Container(str(built.id), (), 8080), name="generated", log=lambda _: None) as served:
            wait_healthy(served, timeout_seconds=60)
            assert predictions(*served.address, example("sklearn")) == by_mlflow("sklearn")
    finally:
        docker_engine.images.remove(str(built.id), force=True)


def test_skopeo_reads_an_archive_of_one_model(made: Made, tmp_path: Path) -> None:
    if not shutil.which("skopeo"):
        unavailable("nothing to read an archive with: apt-get install skopeo")
    base = made.repository.reference(made.shared.digest)
    deploy("models", "build-docker", "-m", saved_model("sklearn"), "-n", "churn:3", "--output", tmp_path / "image.tar", "--base", base)
    for kind in ("oci-archive", "docker-archive"):
        said = json.loads(subprocess.run(["skopeo", "inspect", f"{kind}:{tmp_path / 'image.tar'}"], capture_output=True, check=True).stdout)
        assert said["Architecture"] == "amd64"
        assert len(said["Layers"]) == 5
    copy = ["skopeo", "copy", "--insecure-policy", "--quiet", "--dest-tls-verify=false"]
    subprocess.run([*copy, f"oci-archive:{tmp_path / 'image.tar'}", f"docker://{made.repository.registry}/copied:1"], check=True)
    assert Repository(made.repository.registry, "copied").describe("1").packages == made.image.packages


def deploy(*arguments: object) -> str:
    done = CliRunner().invoke(program, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_it_is_in_the_form_that_every_platform_takes(made: Made) -> None:
    manifest = made.repository.manifest(made.image.digest)
    assert manifest.media_type == DOCKER_MANIFEST
    assert {layer.media_type for layer in manifest.layers} == {DOCKER_LAYER}
    config = made.repository.config(manifest)
    assert len(config.document["rootfs"]["diff_ids"]) == len(manifest.layers) == 4
    assert config.labels[labels.ACCEPTS_BIND_TO_PORT] == config.labels[labels.BYTECODE] == "true"
    assert config.labels[labels.BASE_NAME] == str(root_directory())
    packages = made.image.packages or {}
    assert {"scikit-learn", "skops", "numpy", "uvloop"} <= packages.keys()
    assert not {"mlflow", "mlflow-skinny"} & packages.keys()
    assert made.repository.exists(general_tag("3.11")) == made.shared.digest


def test_a_second_model_with_the_same_packages_sends_none(made: Made) -> None:
    heard: list[Event] = []
    again = with_packages("sklearn", made.shared, made.repository, heard)
    assert again == made.image
    assert [(event.step, event.changed) for event in heard if isinstance(event, StepFinished)] == [("push_packages", False)]
    assert not [event for event in heard if isinstance(event, StepProgressed)]


def test_a_second_build_does_nothing(made: Made) -> None:
    heard: list[Event] = []
    options = BuildOptions(base_image=str(root_directory()), python="3.11")
    assert build_and_push(options, made.repository, heard.append) == made.shared
    assert [(type(event), event.changed) for event in heard if isinstance(event, StepFinished)] == [(StepFinished, False)]


def test_an_image_of_another_repository_is_a_base(made: Made) -> None:
    base = opened(made.repository.reference(made.shared.digest), PLATFORM)
    assert base.base.digest == made.shared.digest
    assert base.interpreter("3.11") == "/usr/bin/python3.11"
    with pytest.raises(ConfigInvalid, match=r"has Python 3\.11, not 3\.12"):
        base.interpreter("3.12")
    with pytest.raises(ConfigInvalid, match="is not to be had"):
        opened(made.repository.reference("nothing"), PLATFORM)
    with pytest.raises(ConfigInvalid, match="is for linux/amd64, not linux/arm64"):
        opened(made.repository.reference(made.shared.digest), "linux/arm64")


def test_an_oci_archive_is_a_base(made: Made, tmp_path: Path) -> None:
    """As `skopeo copy` and `docker buildx build --output type=oci` write it."""
    manifest = made.repository.manifest(made.shared.digest)
    layout = tmp_path / "layout"
    for digest in (manifest.config.digest, *(layer.digest for layer in manifest.layers)):
        file = layout / "blobs" / digest.replace(":", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        with made.repository.stream_blob(digest) as pieces, file.open("wb") as stream:
            stream.writelines(pieces)
    (layout / "blobs" / manifest.digest.replace(":", "/")).write_bytes(manifest.body)
    listed = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.body)}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [listed]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    with tarfile.open(tmp_path / "image.tar", "w") as tar:
        for part in layout.iterdir():
            tar.add(part, part.name)
    for path in (layout, tmp_path / "image.tar"):
        base = opened(str(path), PLATFORM)
        assert base.base.digest == made.shared.digest
        assert [layer.digest for layer in base.layers] == [layer.digest for layer in manifest.layers]
        assert base.interpreter("3.11") == "/usr/bin/python3.11"
    (layout / "blobs" / manifest.layers[0].digest.replace(":", "/")).unlink()
    with pytest.raises(ConfigInvalid, match="is not whole"):
        opened(str(layout), PLATFORM).layers[0].file()
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(ConfigInvalid, match="no OCI archive"):
        opened(str(tmp_path / "text"), PLATFORM)


def test_a_layer_under_another_s_address_is_not_taken(made: Made) -> None:
    wanted = Wanted(("tabulate==0.9.0",))
    packages = packages_of(wanted, "3.11", PLATFORM)
    theirs = packages_of(Wanted(("colorama==0.4.6",)), "3.11", PLATFORM)
    made.repository.put_manifest(made.repository.manifest(made.shared.digest), packages.tag)
    assert find(packages, made.repository) is None
    image = push_with_packages(made.shared, packages, wanted, Destination(made.repository, ("tabulate",), {}, silent))
    assert find(packages, made.repository) is not None
    assert (image.packages or {})["tabulate"] == "0.9.0"
    made.repository.put_manifest(made.repository.manifest(packages.tag), theirs.tag)
    assert find(theirs, made.repository) is None
    assert replace(packages, trimmed=False).tag != packages.tag
