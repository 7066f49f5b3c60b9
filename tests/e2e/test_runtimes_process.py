"""Scoring containers as processes of this machine: environments by uv, real models, no orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.core.container import Container, Mount
from deployer.errors import ConfigInvalid, MachineFault, RolloutFailed, TargetUnavailable, TimedOut
from deployer.oci import labels
from deployer_images import locks, uv
from deployer_images.runtimes import RunningContainer, find, wait_healthy
from deployer_images.runtimes.process import Process
from deployer_images.wanted import Wanted
from tests.models import copied_model, saved_model

ROW = {"dataframe_split": {"columns": ["x"], "data": [[1.5], [2]]}}


def container(model: Path, **more: object) -> Container:
    return Container("none", ("serve",), 8080, mounts=(Mount(model, "/opt/ml/model"),), **more)  # type: ignore[arg-type]


def predictions(running: RunningContainer, body: object) -> object:
    host, port = running.address
    request = urllib.request.Request(f"http://{host}:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["predictions"]


@pytest.fixture
def lines() -> list[bytes]:
    return []


def test_a_model_answers_and_its_log_is_heard(lines: list[bytes]) -> None:
    with Process().start(container(saved_model("doubler")), name="doubler", log=lines.append) as running:
        wait_healthy(running, timeout_seconds=60)
        assert predictions(running, ROW) == [3.0, 4.0]
        assert running.alive()
        assert running.address[0] == "127.0.0.1"
    assert not running.alive()
    assert running.exit_code == 0
    assert any(b"ready" in line for line in lines)
    running.stop()  # twice is as good as once


def test_a_scikit_learn_model_is_served_in_its_own_environment(lines: list[bytes]) -> None:
    with Process().start(container(saved_model("sklearn")), name="sklearn", log=lines.append) as running:
        wait_healthy(running, timeout_seconds=120)
        example = json.loads((saved_model("sklearn") / "serving_input_example.json").read_text())
        assert predictions(running, example) == [0, 0, 0]


def test_nothing_of_the_callers_environment_is_seen_by_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[bytes]) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    model = copied_model("doubler", tmp_path)
    (loader,) = model.glob("code/*.py")
    loader.write_text(loader.read_text() + "\nimport os\nprint('sees', sorted(os.environ), os.environ.get('OURS'))\n")
    with Process().start(container(model, environment={"OURS": "/opt/ml/model/data.txt"}), name="nosy", log=lines.append) as running:
        wait_healthy(running, timeout_seconds=60)
    (seen,) = [line.decode() for line in lines if line.startswith(b"sees")]
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert "PYTHONPATH" not in seen
    assert seen.endswith(f"{model}/data.txt")  # a path inside is said as it is here


def test_an_image_s_label_decides_the_packages(lines: list[bytes]) -> None:
    lock = locks.locked(Wanted(), uv.OURS)
    label = {labels.PACKAGES: labels.packages_label(lock.all), labels.PYTHON: uv.OURS}
    model = saved_model("sklearn")  # needs scikit-learn, which the label doesn't have
    running = Process().start(container(model, labels=label), name="misfit", log=lines.append)
    with running, pytest.raises(RolloutFailed, match="exited with code") as failed:
        wait_healthy(running, timeout_seconds=60)
    assert "No module named" in " ".join(failed.value.lines)


def test_a_model_that_cannot_load_is_told_with_its_last_lines(lines: list[bytes]) -> None:
    with Process().start(container(saved_model("broken")), name="broken", log=lines.append) as running:
        with pytest.raises(RolloutFailed, match="exited with code") as failed:
            wait_healthy(running, timeout_seconds=60)
        assert "a_module_that_is_not_there" in failed.value.why
        assert failed.value.lines == running.tail()


def test_a_model_that_takes_too_long_is_told_by_its_last_answer(lines: list[bytes]) -> None:
    with (
        Process().start(container(saved_model("slow")), name="slow", log=lines.append) as running,
        pytest.raises(TimedOut, match="did not answer 200"),
    ):
        wait_healthy(running, timeout_seconds=0.5)


def test_the_port_asked_for_is_taken_or_refused(lines: list[bytes]) -> None:
    from tests.docker import free_port

    port, runtime = free_port(), Process()
    with runtime.start(container(saved_model("doubler")), name="first", log=lines.append, port=port) as running:
        assert running.address == ("127.0.0.1", port)
        wait_healthy(running, timeout_seconds=60)
        with pytest.raises(MachineFault, match=f"port {port}"):
            runtime.start(container(saved_model("doubler")), name="second", log=lines.append, port=port)


def test_a_request_that_runs_is_finished_before_the_process_ends(lines: list[bytes]) -> None:
    with Process().start(container(saved_model("slow")), name="slow", log=lines.append) as running:
        wait_healthy(running, timeout_seconds=60)
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.append(predictions(running, {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}})))
        asking.start()
        time.sleep(0.3)
        running.stop(10)
        asking.join(5)
    assert answers == [[2.0]]
    assert running.exit_code == 0


STARTER = """
    import sys, time
    from pathlib import Path
    from deployer.core.container import Container, Mount
    from deployer_images.runtimes import wait_healthy
    from deployer_images.runtimes.process import Process

    running = Process().start(Container("none", ("serve",), 8080, mounts=(Mount(Path(sys.argv[1]), "/opt/ml/model"),)), name="x", log=lambda _: None)
    wait_healthy(running, timeout_seconds=60)
    print(running.address[1], flush=True)
    time.sleep(60)
"""


def test_no_orphan_is_left_when_the_starter_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "starter.py"
    script.write_text(textwrap.dedent(STARTER))
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, script, saved_model("doubler")], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as starter:
        assert starter.stdout is not None
        port = int(starter.stdout.readline())
        assert _listeners(port)
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    _eventually(lambda: not _listeners(port), "the server still listens")


def _listeners(port: int) -> bool:
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in Path("/proc/net/tcp").read_text().splitlines()[1:])


def _eventually(holds: Callable[[], bool], otherwise: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


def test_a_runtime_is_found_by_its_name() -> None:
    assert find("process").name == "process"
    with pytest.raises(ConfigInvalid, match="not a runtime"):
        find("podman")


def test_without_an_engine_processes_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    assert find(None).name == "process"
    with pytest.raises(TargetUnavailable, match="no docker engine answers"):
        find("docker")
