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
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

from deployer.artifacts import fetch
from deployer.core.container import Container, Mount
from deployer.core.state import DeploymentName
from deployer_targets.local import run_local
from deployer_targets.local.backend import Limits
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.config import LocalConfig
from deployer_targets.local.run_local import LocalRun
from deployer_targets.local.target import Local
from tests.e2e.local.conftest import eventually, files_below
from tests.models import copied_model, saved_model

PROGRAM = """
    import sys
    from pathlib import Path
    from deployer.errors import DeployerError
    from deployer.artifacts import fetch
    from deployer_targets.local import run_local
    from deployer_targets.local.config import LocalConfig
    from deployer_targets.local.target import Local

    def say(line):
        print(line, flush=True)

    target, model = Local(), fetch(sys.argv[1])
    spec = run_local.local_spec(target, model, LocalConfig(), "process")
    try:
        run_local.run(target.container(spec), model_path=model.path, runtime="process", port=int(sys.argv[2]), log=say, ending_seconds=3)
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


def processes(cloud: LocalCloud) -> list[str]:
    """Command lines of all that was started for this cloud and lives."""
    mark, found = os.fsencode(cloud.place.sockets.parent), []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes() + (line := (entry / "cmdline").read_bytes()):
                found.append(line.decode(errors="replace"))
    return found


def test_killed_at_any_moment_it_leaves_no_process(cloud: LocalCloud) -> None:
    """From its own start over the supervisor's, before and after that has forked, to the container's and its first answer."""
    with ExitStack() as stack:
        started = time.monotonic()
        runs = [stack.enter_context(running("doubler")) for _ in range(12)]
        until_forked = [threading.Thread(target=_kill_once_forked, args=(process,)) for process in runs[:3]]
        for thread in until_forked:
            thread.start()
        for number, process in enumerate(runs[3:]):
            time.sleep(max(0.0, started + 0.8 + 0.5 * number - time.monotonic()))
            process.kill()
        for thread in until_forked:
            thread.join()
        for process in runs:
            process.wait()
    eventually(lambda: processes(cloud) == [], 20)
    assert cloud.names() == []


def _kill_once_forked(process: subprocess.Popen[str]) -> None:
    """Kill it as soon as it has a child, which is the supervisor on its way."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        with suppress(OSError):
            if children.read_text().strip():
                process.kill()


@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGINT])
def test_a_supervisor_that_hangs_holds_nobody_up(cloud: LocalCloud, blow: signal.Signals) -> None:
    with running("doubler") as process:
        ready(process)
        (name,) = cloud.names()
        found = cloud.describe(name)
        assert found is not None
        os.kill(found.pid, signal.SIGSTOP)
        began = time.monotonic()
        process.send_signal(blow)
        assert process.wait(30) == 0
        assert time.monotonic() - began < 10
    eventually(lambda: processes(cloud) == [], 20)
    assert cloud.names() == []


def test_what_takes_long_to_be_made_is_not_waited_for(cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that isn't made yet, as its index doesn't answer."""
    model = copied_model("doubler", tmp_path / "model")
    (model / "requirements.txt").write_text("not-there==1\n")
    name = DeploymentName("waits")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        held = cloud.claim(name)
        container = Container("none", ("serve",), 8080, mounts=(Mount(model, "/opt/ml/model"),))
        held.load(name, "one", container, "process", asdict(Limits()), model=None)
        silent.settimeout(60)
        asked, _ = silent.accept()
        with asked:
            began = time.monotonic()
            held.stop(name)
            assert time.monotonic() - began < 5
            eventually(lambda: processes(cloud) == [], 10)


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
