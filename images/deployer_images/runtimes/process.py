"""The container as a process of this machine: the same entry point, command, variables and model, in an environment that uv makes.

A root, a user and a network of its own are what a process can't have: those parts of the container are left out. Of the caller's environment
nothing reaches it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from deployer.core.container import Container
from deployer.errors import MachineFault
from deployer.oci import labels
from deployer_images.environments import environment, environment_of
from deployer_images.runtimes.running import STOP_SECONDS, Log, OutputFollower, RunningContainer
from deployer_images.uv import OURS
from deployer_images.wanted import Wanted
from deployer_scoring.errors import LoadError, ScoringError
from deployer_scoring.model.locate import SAGEMAKER, find_model
from deployer_scoring.model.mlmodel import parse_mlmodel
from deployer_scoring.model.requirements import python_version

_MODE = "DEPLOYER_PACKAGES"
_INTERPRETER = "DEPLOYER_INTERPRETER"
"""Names the Python of an environment that somebody else has made; it must have the scoring runtime."""
_GUARD = Path(__file__).with_name("guard.py")
_ORPHAN_SECONDS = "5"  # between SIGTERM and SIGKILL, once whoever started it is gone


class Process:
    """Runs scoring containers as local processes."""

    name = "process"

    def start(self, container: Container, *, name: str, log: Log, port: int = 0, inherited: socket.socket | None = None) -> RunningContainer:
        model = _model(container)
        interpreter = _interpreter(container, model, log)
        port = _checked(port) if port else _free_port()
        scratch = Path(tempfile.mkdtemp(prefix="deployer-"))
        variables = {
            "PATH": f"{interpreter.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONSAFEPATH": "1",
            **{key: container.outside(value) for key, value in container.environment.items()},
            "DEPLOYER_PORT": str(port),
            "SAGEMAKER_BIND_TO_PORT": str(port),
            **({"DEPLOYER_MODEL": str(model)} if model else {}),
            **({"DEPLOYER_HANDOVER_FD": str(inherited.fileno())} if inherited else {}),
            **({_MODE: "image"} if _installs_at_start(container) else {}),  # its environment has what would be installed
        }
        # In a container it listens on all addresses, which are the container's alone; here they would be the whole machine's.
        command = [str(interpreter), "-m", "deployer_scoring", *(container.command or ("serve",)), "--host", "127.0.0.1"]
        try:
            return _RunningProcess(name, command, variables, scratch=scratch, port=port, log=log, inherited=inherited)
        except OSError as fault:
            shutil.rmtree(scratch, ignore_errors=True)
            raise MachineFault(f"{name} could not be started as a process", why=str(fault)) from fault


class _RunningProcess(RunningContainer):
    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        scratch: Path,
        port: int,
        log: Log,
        inherited: socket.socket | None,
    ) -> None:
        super().__init__(name)
        self._port = port
        # -I -S: the guard needs nothing but the standard library, and starts in a third of the time.
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), _ORPHAN_SECONDS, str(scratch), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(variables),
            cwd=scratch,
            bufsize=0,
            pass_fds=(inherited.fileno(),) if inherited else (),
            start_new_session=True,  # Ctrl-C in our terminal is ours to handle
        )
        assert self._guard.stdin is not None and self._guard.stdout is not None
        self._lifeline = self._guard.stdin
        self._lines = OutputFollower(_chunks(self._guard.stdout), log, name)

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self._port)

    @property
    def exit_code(self) -> int | None:
        return self._guard.poll()

    def tail(self, count: int = 20) -> tuple[str, ...]:
        if not self.alive():
            self._lines.finish(1.0)
        return self._lines.last(count)

    def stop(self, grace_seconds: float = STOP_SECONDS) -> None:
        for word, patience in ((b"t", grace_seconds), (b"k", 5.0)):
            self._say(word)
            with suppress(subprocess.TimeoutExpired):
                self._guard.wait(patience)
                break
        else:
            self._guard.kill()  # the command dies with it
            self._guard.wait()
        self._lines.finish(1.0)
        self._lifeline.close()

    def _say(self, word: bytes) -> None:
        with suppress(OSError, ValueError):
            self._lifeline.write(word)


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(64 * 1024):
            yield chunk


def _interpreter(container: Container, model: Path | None, log: Log) -> Path:
    """An environment with what the image's label lists, else with what the model asks for."""

    if named := container.environment.get(_INTERPRETER):
        return Path(named)

    def say(sentence: str) -> None:
        log(f"deployer: {sentence}".encode())

    python = container.labels.get(labels.PYTHON) or (_python_of(model) if model else "") or OURS
    packages = labels.package_lines(container.labels)
    if packages is not None and not _installs_at_start(container):
        return environment_of(packages, python, found=Wanted.of_model(model) if model else None, say=say)
    wanted = Wanted.of_model(model) if model else Wanted()
    return environment(wanted.without(container.labels.get(labels.WITHOUT, "").split()), python, say=say)


def _installs_at_start(container: Container) -> bool:
    return container.environment.get(_MODE) == "at-start"


def _python_of(model: Path) -> str:
    """The Python that the model was saved with; "" where it doesn't say. What is broken is for the runtime to say, as in a container."""
    with suppress(ScoringError):
        return parse_mlmodel(model).pyfunc.python_version or python_version(model) or ""
    return ""


def _model(container: Container) -> Path | None:
    """Where the model is on this machine, for what the container would look at: its variable, /opt/ml/model, its one mount; or below that."""
    if named := container.environment.get("DEPLOYER_MODEL"):
        return Path(container.outside(named))
    at_place = next((mount.source for mount in container.mounts if mount.target == str(SAGEMAKER)), None)
    root = at_place or (container.mounts[0].source if container.mounts else None)
    with suppress(LoadError):
        return find_model({}, root) if root else None
    return root


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _checked(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as fault:
            raise MachineFault(
                f"port {port} can't be taken", why=os.strerror(fault.errno or 0), advice="take another, or 0 for any free one"
            ) from fault
    return port
