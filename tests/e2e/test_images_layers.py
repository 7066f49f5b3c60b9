"""Images put together without an engine: pushed to Debian's docker-registry, and run: in a root of their own, and by docker."""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner
from docker.errors import ImageNotFound

from deployer.artifacts import fetch
from deployer.checks import with_mlflow_said
from deployer.cli.program import program
from deployer.core.container import Container, Mount
from deployer.core.requirements import MLFLOW
from deployer.core.state import PackagedModel
from deployer.errors import ConfigInvalid
from deployer.events import Event, StepFinished, StepProgressed, silent
from deployer.oci import DOCKER_MANIFEST, Compression, Image, Manifest, NoSharedImage, Repository, choose, general_tag, labels, model_tag
from deployer.oci.manifest import DOCKER_LAYER
from deployer_images.builder import BuildOptions, build_and_push
from deployer_images.layers.archive import ArchiveEntry, write_layer
from deployer_images.layers.bases import opened
from deployer_images.layers.images import ImageDestination, push_with_packages, put
from deployer_images.layers.own_image import OwnImage
from deployer_images.layers.package_set import packages_of
from deployer_images.layers.parts import Part, assembled, send_parts
from deployer_images.layers.planning import make, planned, shared_planned
from deployer_images.layers.published import find
from deployer_images.runtimes import wait_healthy
from deployer_images.runtimes.docker import Docker
from deployer_images.uv import interpreter
from deployer_images.wanted import Wanted
from deployer_scoring import OLDEST_PYTHON
from tests.docker import base_image, docker_engine, free_port, root_directory, serving_registry, unavailable  # noqa: F401
from tests.environments import flavors_python, mlflow_python
from tests.flavors.models import light_models
from tests.index import Index
from tests.models import saved_model
from tests.sources import builders, index_with_sources, requiring

if TYPE_CHECKING:
    from docker import DockerClient

index = index_with_sources
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
    found = with_mlflow_said(fetch(str(directory_of(model)), silent))
    assert not found.facts.needs_mlflow
    assert found.path is not None
    wanted = Wanted.of_model(found.path).without(MLFLOW)
    packages = packages_of(wanted, found.facts.python_version, PLATFORM)
    return push_with_packages(shared, packages, wanted, ImageDestination(repository, (model,), {}, heard.append))


@functools.cache
def directory_of(model: str) -> Path:
    """A model with an example of its input; don't write to it."""
    if model != "xgboost":
        return saved_model(model)
    room = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, room)
    directory = room / model
    shutil.copytree(light_models() / "xgboost_classifier", directory)
    # It was saved beside xgboost-cpu, which MLflow can't know for xgboost; it lists nothing but itself.
    (directory / "requirements.txt").write_text("xgboost-cpu==3.2.0\nscikit-learn\nnumpy\npandas\n")
    frame = {"columns": list("abcdef"), "data": [[0.5, -1.0, 2.0, 0.0, 1.5, 3.0], [-2.0, 0.25, 0.0, 1.0, -0.5, 0.75]]}
    (directory / "serving_input_example.json").write_text(json.dumps({"dataframe_split": frame}))
    return directory


def example(model: str) -> dict[str, dict[str, object]]:
    """A request's body, as MLflow saved it with the model."""
    body: dict[str, dict[str, object]] = json.loads((directory_of(model) / "serving_input_example.json").read_text())
    assert body.keys() == {"dataframe_split"}
    return body


@functools.cache
def by_mlflow(model: str) -> object:
    """What the real MLflow predicts for the model's example."""
    code = (
        "import json, sys, pandas, mlflow.pyfunc; body = json.load(sys.stdin)['dataframe_split'];"
        "found = mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas.DataFrame(body['data'], columns=body['columns']));"
        "found = found if isinstance(found, list) else found.tolist() if hasattr(found, 'tolist') else found.to_dict('records');"
        "print(json.dumps(found))"
    )
    done = subprocess.run(
        [flavors_python() if model == "xgboost" else mlflow_python(), "-c", code, directory_of(model)],
        input=json.dumps(example(model)),
        capture_output=True,
        text=True,
        check=True,
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
    shutil.copytree(directory_of(model), directory / "opt/ml/model")
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


MODELS = pytest.mark.parametrize("model", ["sklearn", "xgboost", "pythonmodel"])
"""Of libraries, and one of its own class with code and artifacts."""


@MODELS
def test_the_image_answers_as_mlflow_does(made: Made, tmp_path: Path, model: str) -> None:
    image = with_packages(model, made.shared, made.repository, [])
    assert "mlflow" not in (image.packages or {})
    with running(made.repository, image, model, tmp_path / "root") as port:
        assert predictions("127.0.0.1", port, example(model)) == by_mlflow(model)


@MODELS
@pytest.mark.docker
def test_docker_pulls_and_runs_it(docker_engine: DockerClient, made: Made, model: str) -> None:  # noqa: F811
    image = with_packages(model, made.shared, made.repository, [])
    try:
        container = Container(image.reference, ("serve",), 8080, mounts=(Mount(directory_of(model), "/opt/ml/model"),), read_only_root=True)
        with Docker(docker_engine).start(container, name=f"layers-{model}", log=lambda _: None) as served:
            wait_healthy(served, timeout_seconds=60)
            assert predictions(*served.address, example(model)) == by_mlflow(model)
    finally:
        docker_engine.images.remove(image.reference, force=True)


@pytest.mark.docker
def test_docker_loads_and_runs_an_image_of_one_model(docker_engine: DockerClient, made: Made, index: Index, tmp_path: Path) -> None:  # noqa: F811
    """On a base of one's own; a package of the model's is built by the engine, in an image that nobody sees."""
    model = requiring(tmp_path, "legacy==1.0")
    built = deploy("models", "build-docker", "-m", model.path, "-n", "deployer-test-model:1", "--base", root_directory(), "-q")
    assert built == "deployer-test-model:1"
    try:
        assert docker_engine.images.get(built).labels[labels.MODEL] == model.digest
        with Docker(docker_engine).start(Container(built, (), 8080, read_only_root=True), name="model", log=lambda _: None) as served:
            wait_healthy(served, timeout_seconds=60)
            assert predictions(*served.address, example("doubler")) == by_mlflow("doubler")
        assert not docker_engine.images.list(name="deployer-build")
        assert not builders(docker_engine)
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


@pytest.mark.docker
def test_an_engine_builds_what_has_no_wheel_for_every_verb(docker_engine: DockerClient, made: Made, index: Index, tmp_path: Path) -> None:  # noqa: F811
    """Once: the others find the layer in the registry."""
    model = requiring(tmp_path, "legacy==1.0")
    there, base = ("--registry", made.repository.registry), made.repository.reference(made.shared.digest)
    try:
        looked = json.loads(deploy("models", "packages", model.path, *there, "-c", "scoring", "-o", "json"))
        assert (looked["missing"], looked["built_by_engine"], looked["in_registry"]) == (["legacy is only a source distribution"], True, False)
        ahead = json.loads(deploy("models", "packages", model.path, *there, "-c", "scoring", "--build", "-o", "json"))
        assert (ahead["missing"], ahead["in_registry"]) == ([], True)
        assert "legacy" in {each["name"] for each in ahead["packages"]}
        layer = made.repository.manifest(ahead["tag"]).layers[0].digest
        assert layer in digests(made.repository, model_tag(model.facts))

        deploy("models", "build-docker", "-m", model.path, "-n", "whole:1", "--push", *there, "--base", base)
        assert layer in digests(Repository(made.repository.registry, "whole"), "1")

        built = deploy(
            "build-and-push-container", *there, "-c", "scoring", "--for", model.path, "--runtime", "layers", "--base", root_directory(), "-q"
        )
        assert layer in digests(made.repository, built.rpartition("@")[2])
        assert not builders(docker_engine)
    finally:
        with suppress(ImageNotFound):
            docker_engine.images.remove(base, force=True)


@pytest.mark.parametrize(
    "verb",
    [
        ("models", "packages", "--build"),
        ("models", "build-docker", "--push", "-n", "whole:2"),
        ("models", "build-docker", "--output", "{directory}/image.tar"),
        ("build-and-push-container", "-c", "scoring", "--runtime", "layers", "--for"),
    ],
    ids=" ".join,
)
def test_without_an_engine_they_are_refused_in_words(
    made: Made, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    model = requiring(tmp_path, "failing==1.0")
    before = made.repository.tags()
    option = () if verb[-1] == "--for" else ("-m",)
    shared = made.repository.reference(made.shared.digest)
    base = () if "packages" in verb else ("--base", shared if "build-docker" in verb else str(root_directory()))
    line = [*(each.format(directory=tmp_path) for each in verb), *option, str(model.path), "--registry", made.repository.registry, *base]
    refused = CliRunner().invoke(program, line)
    assert refused.exit_code == 2, refused.output
    assert "failing is only a source distribution" in refused.output
    assert all(way in refused.output for way in (("✗",) if "packages" in verb else ("wheel", "docker engine", "--packages at-start")))
    assert made.repository.tags() == before
    assert not (tmp_path / "image.tar").exists()


def test_skopeo_reads_an_archive_of_one_model(made: Made, tmp_path: Path) -> None:
    if not shutil.which("skopeo"):
        unavailable("nothing to read an archive with: apt-get install skopeo")
    base = made.repository.reference(made.shared.digest)
    deploy("models", "build-docker", "-m", saved_model("sklearn"), "-n", "churn:3", "--output", tmp_path / "image.tar", "--base", base)
    for kind in ("oci-archive", "docker-archive"):
        said = json.loads(subprocess.run(["skopeo", "inspect", f"{kind}:{tmp_path / 'image.tar'}"], capture_output=True, check=True).stdout)
        assert said["Architecture"] == "amd64"
        assert len(said["Layers"]) == 6
    copy = ["skopeo", "copy", "--insecure-policy", "--quiet", "--dest-tls-verify=false"]
    subprocess.run([*copy, f"oci-archive:{tmp_path / 'image.tar'}", f"docker://{made.repository.registry}/copied:1"], check=True)
    assert Repository(made.repository.registry, "copied").describe("1").packages == made.image.packages


def digests(repository: Repository, which: str) -> set[str]:
    """Of an image's layers."""
    return {layer.digest for layer in repository.manifest(which).layers}


def deploy(*arguments: object) -> str:
    done = CliRunner().invoke(program, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


@pytest.fixture
def others(made: Made, tmp_path: Path) -> Repository:
    """A repository whose shared image stands on `python:3.11-slim` of its registry, which has that base for another Python, too."""
    whole = opened(made.repository.reference(made.shared.digest), PLATFORM)
    root = replace(whole, layers=whole.layers[:1], config={**whole.config, "rootfs": {"diff_ids": [whole.layers[0].diff_id]}, "history": []})
    bases, repository = Repository(made.repository.registry, "python"), Repository(made.repository.registry, "others")
    with (tmp_path / "python").open("wb") as stream:
        layer = write_layer(python_files(OLDEST_PYTHON), stream, quickly=True)
    base = assembled(root, [Part("python", layer, lambda: tmp_path / "python")], {"Env": [], "ExposedPorts": {}, "Labels": {}})
    send_parts(base.parts, bases, silent)
    put(base.image, ImageDestination(bases, (f"{OLDEST_PYTHON}-slim",), {}, silent))
    shared = assembled(whole, [], {"Env": [], "ExposedPorts": {}, "Labels": {labels.BASE_NAME: f"{bases.registry}/python:3.11-slim"}})
    send_parts(shared.parts, repository, silent)
    put(shared.image, ImageDestination(repository, (general_tag("3.11"),), {}, silent))
    return repository


def python_files(minor: str) -> Iterator[ArchiveEntry]:
    """An interpreter of this machine with its standard library, where the official images have theirs."""
    home = interpreter(minor).resolve().parents[1]
    yield ArchiveEntry(f"usr/local/bin/python{minor}", home / "bin" / f"python{minor}", executable=True)
    for library in home.glob(f"lib/libpython{minor}*.so.*"):
        yield ArchiveEntry(f"usr/lib/x86_64-linux-gnu/{library.name}", library)
    standard = home / "lib" / f"python{minor}"
    for path in standard.rglob("*"):
        inside = path.relative_to(standard)
        if path.is_file() and not {"test", "site-packages", "__pycache__", "idlelib"} & {*inside.parts} and not inside.parts[0].startswith("config-"):
            yield ArchiveEntry(f"usr/local/lib/python{minor}/{inside}", path)


def of_minor(minor: str, directory: Path) -> PackagedModel:
    """A model that says it was saved by this Python, and takes what versions of its packages there are for it."""
    saved = shutil.copytree(directory_of("doubler"), directory / "model")
    mlmodel = (saved / "MLmodel").read_text()
    (saved / "MLmodel").write_text(re.sub(r"python_version: 3\.\d+\.\d+", f"python_version: {minor}.1", mlmodel))
    (saved / "requirements.txt").write_text("numpy\npandas\n")
    return with_mlflow_said(fetch(str(saved), silent))


def test_an_image_for_another_python_is_put_together_on_the_way_and_answers(others: Repository, tmp_path: Path) -> None:
    """A model is saved by another Python than the only shared image is for; for a third there is no base."""
    model = of_minor(OLDEST_PYTHON, tmp_path / "older")
    with pytest.raises(NoSharedImage):
        choose(others, model.facts, recorded=None, named=None, packages="auto")
    below = shared_planned(others, model.facts)
    assert below is not None
    with pytest.raises(ConfigInvalid, match=r"no shared image for Python 3\.13 can be made as that for 3\.11 was: .*python:3\.13-slim") as refused:
        make(others, of_minor("3.13", tmp_path / "newer"), silent)
    assert "build-and-push-container --python 3.13 --base IMAGE" in refused.value.advice
    assert f"others:{general_tag(OLDEST_PYTHON)}, made now, + packages" in str(planned(others, below, model).planned)
    image = make(others, model, silent)
    shared = others.describe(general_tag(OLDEST_PYTHON))
    assert (image.python_version, shared.python_version) == (OLDEST_PYTHON, OLDEST_PYTHON)
    assert choose(others, model.facts, recorded=None, named=None, packages="auto").digest == image.digest
    with running(others, image, "doubler", tmp_path / "root") as port:
        assert predictions("127.0.0.1", port, example("doubler")) == by_mlflow("doubler")


def test_it_is_in_the_form_that_every_platform_takes(made: Made) -> None:
    manifest = made.repository.manifest(made.image.digest)
    assert manifest.media_type == DOCKER_MANIFEST
    assert {layer.media_type for layer in manifest.layers} == {DOCKER_LAYER}
    config = made.repository.config(manifest)
    assert len(config.document["rootfs"]["diff_ids"]) == len(manifest.layers) == 5
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


@pytest.mark.parametrize("serving", list(Compression))
@pytest.mark.parametrize("wanted", list(Compression))
@pytest.mark.parametrize("listed", [False, True])
def test_a_model_that_serves_is_put_on_another_base_without_its_files(made: Made, serving: Compression, wanted: Compression, listed: bool) -> None:
    model, repository = fetch(str(saved_model("doubler")), silent), made.repository
    usual = repository.manifest(made.shared.digest)

    def base(name: str) -> Image:
        document = {**usual.document, "annotations": {"for": f"{name} {serving} {wanted} {listed}"}}
        return repository.describe(repository.put_manifest(Manifest(usual.media_type, json.dumps(document).encode())))

    below = base("before")
    before, after = (Repository(repository.registry, repository.name, compression=each) for each in (serving, wanted))
    first = OwnImage(below, model, before, repository, listed=listed)
    first.push(lambda done, total: None)
    sent: list[int] = []
    second = OwnImage(base("after"), replace(model, path=None), after, repository, kept=below.reference, listed=listed)
    assert second.push(lambda done, total: sent.append(done))
    assert not sent
    assert after.manifest(second.tag).layers[-1] == before.manifest(first.tag).layers[-1]


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
    image = push_with_packages(made.shared, packages, wanted, ImageDestination(made.repository, ("tabulate",), {}, silent))
    assert find(packages, made.repository) is not None
    assert (image.packages or {})["tabulate"] == "0.9.0"
    made.repository.put_manifest(made.repository.manifest(packages.tag), theirs.tag)
    assert find(theirs, made.repository) is None
    assert replace(packages, trimmed=False).tag != packages.tag
