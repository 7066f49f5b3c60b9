"""run-local as a program of its own, which is how it is interrupted and killed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deployer.models import fetch
from deployer.state import DeploymentName
from deployer_targets.local import run_local
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.config import LocalConfig
from deployer_targets.local.run_local import LocalRun
from deployer_targets.local.target import Local
from tests.e2e.local.conftest import eventually, files_below
from tests.models import saved_model

PROGRAM = """
    import sys
    from pathlib import Path
    from deployer.errors import DeployerError
    from deployer.models import fetch
    from deployer_targets.local import run_local
    from deployer_targets.local.config import LocalConfig
    from deployer_targets.local.target import Local

    def say(line):
        print(line, flush=True)

    target, model = Local(), fetch(sys.argv[1])
    spec = run_local.local_spec(target, model, LocalConfig(), "process")
    try:
        run_local.run(target.container(spec), model_path=model.path, runtime="process", port=int(sys.argv[2]), log=say)
    except DeployerError as error:
        say(f"{error.code} {error.message} {error.why}")
        sys.exit(error.exit_code)
"""


@contextmanager
def running(model: str, port: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(saved_model(model)), str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ready(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The URL and the curl command, once they are printed."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ready on "):
            return line.split()[2], next(process.stdout).strip()
    raise AssertionError("it ended before it was ready")


def test_it_answers_the_printed_curl_and_ends_with_the_signal(cloud: LocalCloud) -> None:
    with running("doubler") as process:
        url, curl = ready(process)
        words = shlex.split(curl)
        assert words[:3] == ["curl", "-sS", f"{url}/invocations"]
        answer = httpx.post(words[2], content=words[-1], headers=dict([words[4].split(": ")]), trust_env=False)
        assert answer.json() == {"predictions": [2.0, 5.0]}
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert "POST /invocations 200" in process.stdout.read()
        assert process.wait(60) == 0
    assert cloud.names() == []
    assert files_below(cloud.place.sockets) == []


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_however_it_ends(cloud: LocalCloud, blow: signal.Signals) -> None:
    with running("doubler") as process:
        url, _ = ready(process)
        process.send_signal(blow)
        process.wait(60)
    eventually(lambda: cloud.names() == [])
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/ping", trust_env=False)


def test_interrupted_while_it_loads_leaves_nothing(cloud: LocalCloud) -> None:
    with running("slow") as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "loading the model" in line)
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.stdout.read()
        assert process.wait(60) == 130
    assert cloud.names() == []


def test_a_model_that_cannot_load_says_why(cloud: LocalCloud) -> None:
    with running("broken") as process:
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait(60) == 5
    assert "rollout-failed the container can't serve" in said
    assert "No module named 'a_module_that_is_not_there'" in said
    assert cloud.names() == []


def test_a_port_that_is_taken_is_named(cloud: LocalCloud) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with running("doubler", port) as process:
            assert process.stdout is not None
            said = process.stdout.read()
            assert process.wait(60) == 10
    assert f"machine-fault port {port} of 127.0.0.1 can't be had: it is taken" in said
    assert cloud.names() == []


def test_detached_it_stays_and_is_a_deployment_that_can_be_deleted(cloud: LocalCloud) -> None:
    target, model = Local(), fetch(str(saved_model("doubler")))
    assert model.path is not None
    container = target.container(run_local.local_spec(target, model, LocalConfig.parse({}, target="local"), "process"))
    told: list[LocalRun] = []
    started = run_local.run(container, model_path=model.path, runtime="process", detach=True, ready=told.append)
    assert told == [started]
    assert httpx.get(f"{started.url}/ping", trust_env=False).status_code == 200
    (listed,) = target.list(cloud)
    assert (listed.name, listed.status) == (started.name, "ready")
    assert any("ready" in line.text for line in target.logs(DeploymentName(started.name), cloud, follow=False, tail=0))
    cloud.claim(DeploymentName(started.name)).stop(started.name)
    assert cloud.names() == []


def test_a_model_without_example_or_signature_is_asked_for_its_health(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {loader_module: some.module}}")
    assert run_local.curl("http://127.0.0.1:1", tmp_path) == "curl -sS http://127.0.0.1:1/ping"


def test_the_example_is_quoted_for_a_shell(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(
        "flavors: {python_function: {loader_module: some.module}}\nsaved_input_example_info: {serving_input_path: serving.json, type: dataframe}"
    )
    (tmp_path / "serving.json").write_text('{"dataframe_split": {"columns": ["it\'s"], "data": [["$HOME"]]}}')
    body = shlex.split(run_local.curl("http://127.0.0.1:1", tmp_path))[-1]
    assert json.loads(body) == {"dataframe_split": {"columns": ["it's"], "data": [["$HOME"]]}}
