"""The local target over a real docker engine: the scoring image that a cloud would run."""

from __future__ import annotations

import os
import secrets
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployer.artifacts import fetch
from deployer.client import DeployClient
from deployer.core.state import Status
from deployer.errors import MachineFault, RolloutFailed
from deployer.events import Event, Resolved, StepFinished
from deployer.oci import general_tag, labels, model_tag
from deployer_images.builder import CONTAINER_NAME
from deployer_images.runtimes.docker import NAME
from deployer_targets.local import run_local
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.config import LocalConfig
from deployer_targets.local.target import Local
from tests.docker import base_image, docker_engine, scoring_image  # noqa: F401
from tests.e2e.local.conftest import Kept, ask, eventually, stopped, stream
from tests.index import serving_index
from tests.models import copied_model, saved_model

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.docker


@pytest.fixture
def containers(docker_engine: DockerClient, scoring_image: str, cloud: LocalCloud) -> Iterator[DockerClient]:  # noqa: F811
    """The engine, which has the scoring image under the name that targets look for; no container of ours is left in the end."""
    tag = scoring_image.rpartition(":")[2]
    there = bool(docker_engine.images.list(name=f"{CONTAINER_NAME}:{tag}"))
    docker_engine.images.get(scoring_image).tag(CONTAINER_NAME, tag)
    yield docker_engine
    if not there:
        docker_engine.images.remove(f"{CONTAINER_NAME}:{tag}")


@pytest.fixture
def name() -> str:
    """A name of its own: other tests may run containers under the same engine."""
    return f"numbers-{secrets.token_hex(4)}"


def running(engine: DockerClient, name: str) -> list[str]:
    """The containers of one deployment."""
    listed = engine.containers.list(all=True, filters={"label": NAME}, ignore_removed=True)
    return [str(each.id) for each in listed if each.labels[NAME].startswith(f"deployer-{name}-")]


def test_docker_runs_what_has_an_image_there(containers: DockerClient, cloud: LocalCloud, name: str) -> None:
    client = DeployClient("local")
    made = client.create_deployment(name, str(saved_model("doubler")))
    assert (made.status, made.options["runtime"]) == (Status.READY, "docker")
    assert len(running(containers, name)) == 1
    with stream(made.url) as asked:
        eventually(lambda: len(asked.answers) > 5)
        client.update_deployment(name, str(saved_model("tripler")))
        with pytest.raises(RolloutFailed) as failure:
            client.update_deployment(name, str(saved_model("broken")), allow_schema_change=True)
    assert asked.failures == []
    assert "a_module_that_is_not_there" in failure.value.why
    assert ask(client, name, 1) == 3
    assert len(running(containers, name)) == 1
    client.update_deployment(name, str(saved_model("doubler")), config={"strategy": "canary", "steps": [50], "pause": "manual"})
    assert Counter(ask(client, name, 1) for _ in range(10)) == {2.0: 5, 3.0: 5}
    client.promote(name)
    assert ask(client, name, 1) == 2
    assert len(running(containers, name)) == 1
    client.delete_deployment(name)
    assert running(containers, name) == []


def test_a_killed_supervisor_leaves_no_container(containers: DockerClient, cloud: LocalCloud, name: str) -> None:
    DeployClient("local").create_deployment(name, str(saved_model("doubler")))
    found = cloud.describe(name)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    eventually(lambda: running(containers, name) == [])
    assert cloud.names() == []


def test_run_local_runs_the_image(containers: DockerClient, cloud: LocalCloud) -> None:
    target, model = Local(), fetch(str(saved_model("doubler")))
    assert model.path is not None
    container = target.container(run_local.local_spec(target, model, LocalConfig.parse({}, target="local")))
    started = run_local.run(container, model_path=model.path, detach=True)
    assert started.runtime == "docker"
    assert len(running(containers, started.name)) == 1
    found = cloud.describe(started.name)
    assert found is not None
    with stopped(found.pid), Kept(started.url) as asked:  # docker publishes the port: nothing of ours stands before it
        assert asked.ask() == (200, [2.0, 5.0])
    with pytest.raises(MachineFault, match=rf"port {found.port} of 127\.0\.0\.1 can't be had: it is taken"):
        run_local.run(container, model_path=model.path, detach=True, port=found.port)
    DeployClient("local").delete_deployment(started.name)
    assert running(containers, started.name) == []


def test_what_the_image_lacks_is_put_on_top_once_for_all_models_with_the_same(
    containers: DockerClient, cloud: LocalCloud, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Event] = []
    client = DeployClient("local", on_event=heard.append)
    first, second = (_requiring_scaled(copied_model(each, tmp_path)) for each in ("doubler", "tripler"))
    tag = f"{CONTAINER_NAME}:{model_tag(fetch(str(first)).facts)}"
    with serving_index(tmp_path / "index") as index:
        index.wheel("scaled", "2.1")
        monkeypatch.setenv("UV_INDEX", index.url)
        planned = client.plan(name, str(first))
        assert "scaled" in {row.package for row in planned.fit.rows}
        assert not containers.images.list(name=tag)
        try:
            made = client.create_deployment(name, str(first))
            assert (made.status, made.options["runtime"]) == (Status.READY, "docker")
            assert ask(client, name, 1) == 2
            (resolved,) = [event.image for event in heard if isinstance(event, Resolved)]
            assert " + packages " in resolved and "stand-in" not in resolved
            (general, own) = (containers.images.get(f"{CONTAINER_NAME}:{each}").labels for each in (general_tag("3.11"), tag.rpartition(":")[2]))
            assert general[labels.INPUTS] != own[labels.INPUTS]  # one is never taken for the other
            heard.clear()
            client.update_deployment(name, str(second))
            assert ask(client, name, 1) == 3
            assert not {"build_packages", "build_image"} & {event.step for event in heard if isinstance(event, StepFinished)}
        finally:
            client.delete_deployment(name)
            containers.images.remove(tag, force=True)


def _requiring_scaled(model: Path) -> Path:
    (model / "requirements.txt").write_text("numpy\npandas\nscaled==2.1\n")
    loader = next((model / "code").glob("*_loader.py"))
    loader.write_text("import scaled\n" + loader.read_text())
    return model


def test_an_image_that_docker_does_not_have_is_named(containers: DockerClient, cloud: LocalCloud, name: str) -> None:
    with pytest.raises(MachineFault, match="docker has no image nobody/has:this"):
        DeployClient("local").create_deployment(name, str(saved_model("doubler")), config={"image_url": "nobody/has:this"})
    assert cloud.names() == []
