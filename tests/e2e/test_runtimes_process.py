"""Scoring containers as processes of this machine: environments by uv, real models, no orphans."""

from __future__ import annotations

import base64
import http.server
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployer.container import Container, Mount
from deployer.errors import ConfigInvalid, CredentialsInvalid, MachineFault, ModelInvalid, RolloutFailed, TargetUnavailable, TimedOut
from deployer.oci import labels
from deployer_images import environments, locks, uv
from deployer_images.environments import environment, environment_of
from deployer_images.runtimes import Running, find, wait_healthy
from deployer_images.runtimes.process import Process
from tests.models import copied_model, saved_model

ROW = {"dataframe_split": {"columns": ["x"], "data": [[1.5], [2]]}}


def container(model: Path, **more: object) -> Container:
    return Container("none", ("serve",), 8080, mounts=(Mount(model, "/opt/ml/model"),), **more)  # type: ignore[arg-type]


def predictions(running: Running, body: object) -> object:
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
    lock = locks.locked((), uv.OURS)
    label = {labels.PACKAGES: labels.packages_label(lock.all), labels.PYTHON: uv.OURS}
    model = saved_model("pythonmodel")  # needs mlflow, which the label doesn't have
    running = Process().start(container(model, labels=label), name="misfit", log=lines.append)
    with running, pytest.raises(RolloutFailed, match="exited with code") as failed:
        wait_healthy(running, timeout_seconds=60)
    assert "mlflow" in " ".join(failed.value.lines)


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
    from deployer.container import Container, Mount
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


# Environments


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of ours with nothing in it; uv keeps its own, so that packages are at hand."""
    monkeypatch.setenv("UV_CACHE_DIR", uv.uv("cache", "dir", doing="asking").strip())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "deployer"


def run(python: Path, code: str) -> str:
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True, env={}).stdout.strip()


def test_an_environment_is_made_once_for_each_lock(empty_cache: Path) -> None:
    said: list[str] = []
    first = environment(["click==8.1.7"], "3.11.7", say=said.append)
    assert run(first, "import click, deployer_scoring, importlib.metadata as m; print(m.version('click'))") == "8.1.7"
    assert len(said) == 1
    begun = time.monotonic()
    assert environment(["click == 8.1.7"], "3.11", say=said.append) == first
    assert time.monotonic() - begun < 0.5
    assert len(said) == 1
    assert environment(["click==8.1.6"], "3.11") != first


def test_the_models_packages_win_over_the_runtimes(empty_cache: Path) -> None:
    python = environment(["click==8.1.7"], "3.11")
    where = run(python, "import click, numpy, sys; print(click.__file__); print(numpy.__file__); print(sys.path[-1])").splitlines()
    assert where[0].startswith(str(empty_cache / "environments"))
    assert where[1].startswith(where[2])
    assert where[2].startswith(str(empty_cache / "runtimes"))
    assert not list(Path(where[2]).glob("click*"))  # what the model brings is there once


def test_what_was_killed_half_made_is_made_anew(empty_cache: Path) -> None:
    python = environment_of(["click==8.1.7"], "3.11")
    directory = python.parents[1]
    (directory / ".complete").unlink()
    (directory / "lib" / "python3.11" / "site-packages" / "click" / "__init__.py").unlink()
    assert run(environment_of(["click==8.1.7"], "3.11"), "import click; print(click.echo.__name__)") == "echo"


def test_a_lock_is_kept_for_when_no_index_answers(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = locks.locked(["click<8.2"], "3.11")
    (file,) = (empty_cache / "locks").glob("*.json")
    os.utime(file, (0, 0))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_NO_CACHE", "true")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    assert locks.locked(["click<8.2"], "3.11") == before
    with pytest.raises(TargetUnavailable, match="no package index answers"):
        locks.locked(["click<8.1"], "3.11")


def test_requirements_that_contradict_are_told_in_a_sentence(empty_cache: Path) -> None:
    with pytest.raises(ModelInvalid) as refused:
        environment(["click==8.1.7", "click==8.1.6"], "3.11")
    assert "click==8.1.7" in refused.value.why


def test_a_python_that_is_nowhere_is_named(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "_fetched", lambda _: None)  # downloading one is uv's business
    with pytest.raises(MachineFault, match=r"Python 3\.99 is not on this machine"):
        environments.environment_of(["click==8.1.7"], "3.99")


USER, PASSWORD = "reader", "hunter2secret"


@pytest.fixture
def private_index(tmp_path: Path) -> Iterator[str]:
    """An index with one package that wants a password: its URL, without."""
    wheel = "ours-1.0-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / wheel, "w") as archive:
        archive.writestr("ours.py", "VALUE = 42\n")
        archive.writestr("ours-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
        archive.writestr("ours-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(
            "ours-1.0.dist-info/RECORD", "ours.py,,\nours-1.0.dist-info/METADATA,,\nours-1.0.dist-info/WHEEL,,\nours-1.0.dist-info/RECORD,,\n"
        )
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization") == expected
            found = self.path in ("/simple/ours/", f"/{wheel}")
            body = (tmp_path / wheel).read_bytes() if self.path.endswith(".whl") else f'<a href="/{wheel}">{wheel}</a>'.encode()
            self.send_response(401 if not allowed else 200 if found else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body if allowed and found and self.command == "GET" else b"")

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()


def test_a_private_index_s_password_is_used_and_never_kept(empty_cache: Path, private_index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX", private_index.replace("://", f"://{USER}:{PASSWORD}@"))
    python = environment(["ours==1.0"], "3.11")
    assert run(python, "import ours; print(ours.VALUE)") == "42"
    kept = [path for path in empty_cache.rglob("*") if path.is_file() and not path.is_symlink()]
    assert kept
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes() or PASSWORD in path.name]


def test_a_private_index_that_wants_another_password_says_so(empty_cache: Path, private_index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", private_index.replace("://", "://reader:wrongpassword@"))
    with pytest.raises(CredentialsInvalid) as refused:
        environment(["ours==1.0"], "3.11")
    assert "wrongpassword" not in f"{refused.value} {refused.value.why}"
