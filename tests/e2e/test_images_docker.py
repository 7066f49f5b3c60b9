"""The scoring image, built and run by a real docker engine, pushed to a real registry."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import ImageNotFound

from deployer.core.container import Container, Mount
from deployer.errors import ConfigInvalid, MachineFault, Refused, RolloutFailed, TargetUnavailable
from deployer.events import Event, StepFinished, StepProgressed, silent
from deployer.oci import DOCKER_MANIFEST, ModelFacts, Repository, choose, general_tag, labels, model_tag
from deployer.oci.manifest import DOCKER_LAYER, sha256
from deployer_images.base import Base
from deployer_images.builder import BuildOptions, build_and_push
from deployer_images.dockerbuild import DockerBuild
from deployer_images.runtimes import RunningContainer, find, wait_healthy
from deployer_images.runtimes.docker import OWNER, Docker
from tests.docker import BASE_IMAGE, base_image, docker_engine, free_port, scoring_image, serving_registry  # noqa: F401
from tests.models import saved_model

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.docker
ROW = {"dataframe_split": {"columns": ["x"], "data": [[1.5], [2]]}}


def container(image: str, model: str = "doubler", **more: Any) -> Container:
    return Container(image, ("serve",), 8080, mounts=(Mount(saved_model(model), "/opt/ml/model"),), **more)


def predictions(running: RunningContainer, body: object) -> object:
    host, port = running.address
    request = urllib.request.Request(f"http://{host}:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["predictions"]


@pytest.fixture
def runtime(docker_engine: DockerClient) -> Iterator[Docker]:  # noqa: F811
    before = owned(docker_engine)
    yield Docker(docker_engine)
    assert owned(docker_engine) <= before, "a container was left"


def owned(engine: DockerClient) -> set[str]:
    """The containers that somebody has started: a local cloud of other modules may still have some."""
    return {each.id for each in engine.containers.list(all=True, filters={"label": OWNER}) if each.id}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for all tests here: sending the base image's layers takes the engine half a minute."""
    with serving_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({}, id="as root, as SageMaker runs it"),
        pytest.param({"user": "1000:1000", "read_only_root": True}, id="as another user with a read-only root"),
        pytest.param({"isolated_network": True}, id="without a network"),
    ],
)
def test_the_image_serves(runtime: Docker, scoring_image: str, how: dict[str, Any]) -> None:  # noqa: F811
    lines: list[bytes] = []
    with runtime.start(container(scoring_image, **how), name="doubler", log=lines.append) as running:
        wait_healthy(running, timeout_seconds=60)
        assert predictions(running, ROW) == [3.0, 4.0]
    assert running.exit_code == 0  # SIGTERM was heard
    assert any(b"ready" in line for line in lines)


def test_the_image_lets_the_port_be_chosen(runtime: Docker, scoring_image: str) -> None:  # noqa: F811
    port = free_port()
    chosen = Container(scoring_image, ("serve",), 9999, {"SAGEMAKER_BIND_TO_PORT": "9999"}, (Mount(saved_model("doubler"), "/opt/ml/model"),))
    with runtime.start(chosen, name="doubler", log=lambda _: None, port=port) as running:
        wait_healthy(running, timeout_seconds=60)
        assert running.address == ("127.0.0.1", port)
        with pytest.raises(MachineFault, match="the port is taken"):
            runtime.start(chosen, name="second", log=lambda _: None, port=port)


def test_a_model_that_cannot_load_is_told_with_its_last_lines(runtime: Docker, scoring_image: str) -> None:  # noqa: F811
    with runtime.start(container(scoring_image, "broken"), name="broken", log=lambda _: None) as running:
        with pytest.raises(RolloutFailed, match="exited with code") as failed:
            wait_healthy(running, timeout_seconds=60)
        assert "a_module_that_is_not_there" in failed.value.why


def test_the_image_is_what_the_platforms_demand(docker_engine: DockerClient, scoring_image: str) -> None:  # noqa: F811
    image = docker_engine.images.get(scoring_image)
    config = image.attrs["Config"]
    assert config["Entrypoint"][-2:] == ["-m", "deployer_scoring"]
    assert config["Cmd"] == ["serve"]
    assert image.labels[labels.ACCEPTS_BIND_TO_PORT] == "true"
    assert {"numpy", "pandas", "uvloop"} <= set(labels.package_versions(image.labels) or {})
    base = docker_engine.images.get(BASE_IMAGE)  # in no registry, so that its id is what there is to say
    assert (image.labels[labels.BASE_NAME], image.labels[labels.BASE_DIGEST]) == (BASE_IMAGE, base.id)
    assert image.attrs["RootFS"]["Layers"][0] == base.attrs["RootFS"]["Layers"][0]


def test_the_image_starts_from_bytecode_that_no_clock_can_make_stale(docker_engine: DockerClient, scoring_image: str) -> None:  # noqa: F811
    code = """
        from importlib.util import cache_from_source, find_spec
        from pathlib import Path
        found = [cache_from_source(find_spec(name).origin) for name in ("deployer_scoring", "pandas", "numpy")]
        print([int.from_bytes(Path(file).read_bytes()[4:8], "little") for file in found])
    """
    said = docker_engine.containers.run(scoring_image, [textwrap.dedent(code)], entrypoint=["/opt/deployer/venv/bin/python", "-c"], remove=True)
    assert json.loads(said) == [1, 1, 1]  # PEP 552: by hash, unchecked


def test_no_certificate_and_no_index_is_in_the_image_s_history(docker_engine: DockerClient, scoring_image: str) -> None:  # noqa: F811
    history = json.dumps(docker_engine.images.get(scoring_image).history())
    assert "CERT" not in history
    assert "INDEX" not in history


def test_a_second_build_and_push_does_nothing(docker_engine: DockerClient, scoring_image: str, registry: str) -> None:  # noqa: F811
    repository, options = Repository(registry, "scoring"), BuildOptions(base_image=BASE_IMAGE, python="3.11")
    heard: list[Event] = []
    try:
        first = build_and_push(options, repository, heard.append)
        moved = {event.label for event in heard if isinstance(event, StepProgressed) and event.step == "push_layer"}
        assert moved
        assert moved <= {event.label for event in heard if isinstance(event, StepFinished)}
        manifest = repository.manifest(general_tag("3.11"))
        assert manifest.media_type == DOCKER_MANIFEST
        assert {layer.media_type for layer in manifest.layers} == {DOCKER_LAYER}
        assert sorted(repository.tags())[0] == general_tag("3.11")
        assert len(repository.tags()) == 2

        heard.clear()
        assert build_and_push(options, repository, heard.append) == first
        assert [(type(event), event.changed) for event in heard if isinstance(event, StepFinished)] == [(StepFinished, False)]

        facts = ModelFacts("models:/x/1", sha256(b"m"), python_version="3.11.7", requirements=("numpy", "pandas"))
        assert choose(repository, facts, recorded=None, named=None, packages="compatible") == first
        for tag in repository.tags():
            docker_engine.images.remove(repository.reference(tag))
        with Docker(docker_engine).start(container(first.reference), name="pulled", log=lambda _: None) as running:
            wait_healthy(running, timeout_seconds=60)
            assert predictions(running, ROW) == [3.0, 4.0]
    finally:
        remove(docker_engine, repository)


def test_an_image_for_a_model_has_its_packages_and_is_chosen_for_it(
    docker_engine: DockerClient,  # noqa: F811
    base_image: str,  # noqa: F811
    registry: str,
) -> None:
    facts = ModelFacts("models:/x/1", sha256(b"m"), python_version="3.11.7", requirements=("tabulate==0.9.0",))
    repository = Repository(registry, "scoring-of-a-model")
    beside = f"FROM {base_image}\nLABEL io.deployer.stage=packages io.deployer.build=another\n"
    another, _ = docker_engine.images.build(fileobj=io.BytesIO(beside.encode()))
    try:
        image = build_and_push(BuildOptions(base_image=base_image, model=facts, requirements=("colorama==0.4.6",)), repository, silent)
        assert docker_engine.images.get(str(another.id)), "another build is in the midst of this stage"
        assert repository.tags() == (model_tag(facts),)
        assert (image.packages or {}).items() >= {"tabulate": "0.9.0", "colorama": "0.4.6"}.items()
        assert choose(repository, facts, recorded=None, named=None, packages="exact") == image
        code = "import tabulate, numpy; print(tabulate.__file__, numpy.__file__)"
        where = (
            docker_engine.containers.run(image.reference, [code], entrypoint=["/opt/deployer/venv/bin/python", "-c"], remove=True).decode().split()
        )
        assert where[0].startswith("/opt/deployer/venv/")
        assert where[1].startswith("/opt/deployer/runtime/")
        assert b"Usage: tabulate" in docker_engine.containers.run(image.reference, ["-h"], entrypoint=["tabulate"], remove=True)
    finally:
        remove(docker_engine, repository)
        with suppress(ImageNotFound):
            docker_engine.images.remove(str(another.id), force=True)


def test_a_base_image_that_is_not_there_or_has_another_python_is_named(docker_engine: DockerClient, base_image: str) -> None:  # noqa: F811
    with pytest.raises(ConfigInvalid, match=r"the base image has Python 3\.11, not 3\.12"):
        build_and_push(BuildOptions(push=False, base_image=base_image, python="3.12"), None, silent)
    with pytest.raises((ConfigInvalid, TargetUnavailable), match="the base image localhost:9/nothing"):
        build_and_push(BuildOptions(push=False, base_image="localhost:9/nothing:1", python="3.11"), None, silent)


def test_the_tag_of_a_base_image_is_built_from_by_digest_until_a_rebuild(docker_engine: DockerClient, registry: str) -> None:  # noqa: F811
    repository = Repository(registry, "base")
    name = repository.reference("1")
    heard: list[Event] = []
    builder = DockerBuild(docker_engine, "anything", ("1",), heard.append)

    def published(what: bytes) -> str:
        """Puts another image under the tag, and leaves none of it in the engine; its digest."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo("what")
            member.size = len(what)
            tar.addfile(member, io.BytesIO(what))
        docker_engine.api.import_image_from_data(archive.getvalue(), repository=repository.uri, tag="2")
        docker_engine.api.push(repository.uri, "2")
        repository.put_manifest(repository.manifest("2"), "1")
        docker_engine.images.remove(repository.reference("2"), force=True)
        return str(repository.exists("1"))

    try:
        first = published(b"first")
        found = builder.base(name, "linux/amd64", fresh=False)
        assert found == Base(name, first, repository.reference(first))
        assert [(event.step, event.resource, event.detail) for event in heard if isinstance(event, StepFinished)][-1] == ("base_image", name, first)
        second = published(b"second")
        assert second != first
        assert builder.base(name, "linux/amd64", fresh=False) == found
        assert builder.base(name, "linux/amd64", fresh=True).digest == second
        assert builder.base(name, "linux/amd64", fresh=False).digest == second
        assert builder.base(repository.reference(first), "linux/amd64", fresh=True).source == repository.reference(first)
        with pytest.raises(ConfigInvalid, match="is not to be had"):
            builder.base(repository.reference("3"), "linux/amd64", fresh=False)
    finally:
        remove(docker_engine, repository)


def test_a_base_image_of_this_machine_alone_is_asked_of_no_registry(docker_engine: DockerClient, base_image: str) -> None:  # noqa: F811
    found = DockerBuild(docker_engine, "anything", ("1",), silent).base(base_image, "linux/amd64", fresh=True)
    assert (found.name, found.source) == (base_image, docker_engine.images.get(base_image).id)


def test_an_image_that_is_not_there_is_told(runtime: Docker) -> None:
    with pytest.raises((Refused, TargetUnavailable), match="localhost:9/nothing"):
        runtime.start(container("localhost:9/nothing:1"), name="x", log=lambda _: None)


STARTER = """
    import sys, time
    from pathlib import Path
    from deployer.core.container import Container, Mount
    from deployer_images.runtimes.docker import Docker

    model = Mount(Path(sys.argv[2]), "/opt/ml/model")
    running = Docker.connect().start(Container(sys.argv[1], ("serve",), 8080, mounts=(model,)), name="x", log=print)
    print("started", flush=True)
    time.sleep(60)
"""


def test_no_container_is_left_when_the_starter_is_killed(docker_engine: DockerClient, runtime: Docker, scoring_image: str, tmp_path: Path) -> None:  # noqa: F811
    before, script = owned(docker_engine), tmp_path / "starter.py"
    script.write_text(textwrap.dedent(STARTER))
    command = [sys.executable, str(script), scoring_image, str(saved_model("doubler"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as starter:
        assert starter.stdout is not None
        assert next(line for line in starter.stdout if b"started" in line)
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    _eventually(lambda: owned(docker_engine) <= before, "the container is still there")


def test_an_engine_that_answers_is_found(docker_engine: DockerClient) -> None:  # noqa: F811
    assert find(None).name == find("docker").name == "docker"


def remove(engine: DockerClient, repository: Repository) -> None:
    """What a test put into the engine under its registry's name, which nobody will use again."""
    for image in engine.images.list(name=repository.uri):
        for tag in [*image.tags, *image.attrs.get("RepoDigests", ())]:
            if tag.startswith(repository.uri):
                with suppress(ImageNotFound):  # gone with another of its names
                    engine.images.remove(tag, force=True)


def _eventually(holds: Callable[[], bool], otherwise: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)
