"""Servers of one model, each as its users start it: ours, MLflow's, BentoML's."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.environments import environment

TOP = Path(__file__).resolve().parents[3]
_BENTOML = ("bentoml==1.4.39", "scikit-learn", "skops", "orjson")
_START_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Command:
    """How a server of a model is started.

    Attributes:
        arguments: Its command line; `{port}` stands for the port.
        variables: What its environment has beside ours.
        health: The path that answers 200 once the model is loaded.
        path: Where predictions are asked for.
    """

    name: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    health: str = "/ping"
    path: str = "/invocations"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers; `first_answer` and `ready` are seconds from its start to any HTTP answer, and to the healthy one."""

    command: Command
    process: subprocess.Popen[bytes]
    port: int
    first_answer: float
    ready: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.command.path}"

    def pss(self) -> float:
        """MiB of memory of all its processes, what they share counted once."""
        return sum(_pss(pid) for pid in self.processes()) / 1024

    def processes(self) -> list[int]:
        """Its processes, parents before children."""
        found = [self.process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found


def deployer(model: Path, python: Path, *, workers: int = 1, batching: str = "auto") -> Command:
    """Ours, in the very environment of the model."""
    variables = {"DEPLOYER_MODEL": str(model), "DEPLOYER_WORKERS": str(workers), "DEPLOYER_BATCHING": batching}
    arguments = (str(python), "-m", "deployer_scoring", "serve", "--host", "127.0.0.1", "--port", "{port}")
    return Command("deployer", arguments, {**variables, "PYTHONPATH": str(TOP / "images")})


def mlflow(model: Path, python: Path, *, workers: int = 1) -> Command:
    """MLflow's own server, in the same environment."""
    command = (str(python.with_name("mlflow")), "models", "serve", "--model-uri", str(model), "--host", "127.0.0.1", "--port", "{port}")
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{python.parent}:{os.environ['PATH']}"}
    return Command("mlflow", (*command, "--env-manager", "local", "--workers", str(workers)), variables)


def bentoml(model: Path) -> Command:
    """BentoML's server of the same estimator, batching, with an array as input: its fastest form."""
    python = environment(_BENTOML)
    command = (str(python.with_name("bentoml")), "serve", "tests.bench.scoring.bento:Iris", "--host", "127.0.0.1", "--port", "{port}")
    variables = {"BENCH_MODEL": str(model), "PYTHONPATH": str(TOP), "BENTOML_DO_NOT_TRACK": "True", "PATH": f"{python.parent}:{os.environ['PATH']}"}
    return Command("bentoml", (*command, "--api-workers", "1", "--working-dir", str(TOP)), variables, health="/readyz", path="/predict")


@contextmanager
def serving(command: Command, *, cores: float | None = None) -> Iterator[Server]:
    """A server, until the block ends.

    Args:
        command: What is started.
        cores: The processor time that all its processes have together, by a control group; None for all that there is.

    Raises:
        RuntimeError: It never became healthy; with the end of what it said.
    """
    port = _free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DEPLOYER_", "PYTHON", "VIRTUAL_ENV"))}
    arguments = [argument.format(port=port) for argument in command.arguments]
    with limited(cores) as prefix, tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = subprocess.Popen([*prefix, *arguments], env={**clean, **command.variables}, stdout=log, stderr=log, start_new_session=True)
        try:
            first = _seconds_until(process, port, command.health, log, begin, healthy=False)
            yield Server(command, process, port, first, _seconds_until(process, port, command.health, log, begin, healthy=True))
        finally:
            _stop(process)


@contextmanager
def limited(cores: float | None) -> Iterator[list[str]]:
    """A command's prefix that puts it, before it starts, into a control group with so many cores. Needs root.

    Raises:
        PermissionError: Control groups can't be made here.
    """
    if cores is None:
        yield []
        return
    group, quota = _control_group(), int(cores * 100_000)
    group.mkdir()
    try:
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{quota} 100000")
        else:
            (group / "cpu.cfs_period_us").write_text("100000")
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$0" "$@"']
    finally:
        for _ in range(50):  # it can go once its last process is gone
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def _control_group() -> Path:
    top = Path("/sys/fs/cgroup")
    return (top if (top / "cgroup.controllers").exists() else top / "cpu") / f"deployer-bench-{os.getpid()}"


def _pss(pid: int) -> int:
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _seconds_until(process: subprocess.Popen[bytes], port: int, path: str, log: IO[bytes], begin: float, *, healthy: bool) -> float:
    while (now := time.perf_counter() - begin) < _START_SECONDS:
        if process.poll() is not None:
            break
        if (status := _status(port, path)) == 200 or (status and not healthy):
            return time.perf_counter() - begin
        time.sleep(0.002)
    log.seek(0)
    raise RuntimeError(f"{process.args!r} did not answer {path} within {now:.0f} s: {log.read().decode(errors='replace')[-2000:]}")


def _status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
