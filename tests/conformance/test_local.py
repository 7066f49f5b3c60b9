"""The local target keeps the contract: real supervisors, real scoring processes."""

from __future__ import annotations

import json
import shutil
import socket
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deployer.conformance import Origin, Place, Sample, TargetContract, TrafficContract
from deployer.core.state import DeploymentName, PackagedModel
from deployer.core.target import Payload, TargetUri
from deployer_targets.local import names
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.target import Local
from tests.models import copied_model, failing_model

OURS = (b"deployer_targets.local.supervisor", b"deployer_scoring")


class LocalPlace(Place):
    stride = 3  # each kind of step is killed; what may come afterwards is tried at every step in memory
    options: ClassVar[Mapping[str, Any]] = {"runtime": "process"}
    generation_option: Mapping[str, Any] = {"env": {"WORD": "two"}}
    live_option: ClassVar[Mapping[str, Any]] = {"max_restarts": 5}
    other_image = "process/another-image:of-the-same-runtime"
    question = Payload(b'{"dataframe_split": {"columns": ["x"], "data": [[1.5]]}}')

    def __init__(self, directory: Path) -> None:
        self.target = Local()
        self.directory = directory
        self.first = Sample(self._model("doubler"), {"predictions": [3.0]})
        self.second = Sample(self._model("tripler"), {"predictions": [4.5]})
        self.broken = self._model("broken")
        self.failing = self.model_at(failing_model(self.directory))

    def connect(self) -> LocalCloud:
        local = Local()
        return local.connect(TargetUri("local"), local.config.parse(self.options, target="local"))

    def origin(self) -> Origin:
        return Origin("deployer_targets.local.target:Local", "local", self.options, {names.DIRECTORY_VARIABLE: str(self.directory / "cloud")})

    def everything_of_ours(self, name: DeploymentName) -> tuple[str, ...]:
        """Processes by their command and surroundings, files, and the records that the supervisor tells anybody who asks its socket."""
        home, models = self.directory / "cloud" / "run" / name, self.directory / "cloud" / "models" / name
        files = [f"{'model' if len(path.name) == 10 else 'unfinished'}/{path.name}" for path in models.glob("*")]
        return tuple(sorted([*files, *(f"record/{each}" for each in _records(home / "socket")), *_processes(home, models), *_sockets(home)]))

    @contextmanager
    def slow_rollouts(self, seconds: float) -> Iterator[None]:
        (self.directory / "slow").write_text(str(seconds))
        try:
            yield
        finally:
            (self.directory / "slow").unlink()

    def _model(self, name: str) -> PackagedModel:
        """A model that takes as long to load as the file `slow` says, if there is one."""
        directory = copied_model(name, self.directory)
        loader = directory / "code" / f"{name}_loader.py"
        pause = f"""
            import pathlib, time
            slow = pathlib.Path({str(self.directory / "slow")!r})
            time.sleep(float(slow.read_text()) if slow.exists() else 0)
        """
        loader.write_text(
            loader.read_text().replace("def _load_pyfunc(path):\n", "def _load_pyfunc(path):\n" + textwrap.indent(textwrap.dedent(pause), "    "))
        )
        return self.model_at(directory)


def _records(path: Path) -> tuple[str, ...]:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        with connection.makefile("rwb") as stream:
            stream.write(b'{"verb": "describe"}\n')
            stream.flush()
            return tuple(json.loads(stream.readline())["ok"]["records"])
    return ()


def _sockets(home: Path) -> tuple[str, ...]:
    return (f"socket/{home.name}",) if (home / "socket").exists() else ()


def _processes(home: Path, models: Path) -> Iterator[str]:
    """Supervisors, and of each container its first process, not those that it starts."""
    parents: dict[str, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes().split(b"\0")
            if OURS[0] in command and [home.name.encode(), str(home.parent).encode()] == command[-4:-2]:
                yield f"supervisor/{process.name}"
            elif command[1:3] == [b"-m", OURS[1]] and f"DEPLOYER_MODEL={models}/".encode() in (process / "environ").read_bytes():
                parents[process.name] = (process / "stat").read_text().rpartition(")")[2].split()[1]
    yield from (f"container/{process}" for process, parent in parents.items() if parent not in parents)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(names.DIRECTORY_VARIABLE, str(directory / "cloud"))
        yield LocalPlace(directory)
        cloud = LocalCloud()
        left = cloud.names()
        for name in left:
            cloud.claim(DeploymentName(name)).stop(name)
    shutil.rmtree(directory)
    assert left == []


class TestLocal(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = {
        "test_every_call_throttled_once": "never: a supervisor serves one user, and refuses no call for being one too many",
        "test_somebody_elses_endpoint_is_refused": "never: the directory of supervisors is open to its user alone, and nobody else's are there",
        "test_somebody_elses_endpoint_is_taken_over_when_asked": "never: for the same reason",
    }
