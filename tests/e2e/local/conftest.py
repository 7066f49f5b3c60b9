"""A local cloud of a test's own, and a client for it. Nothing of it is left when the test ends, however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from deployer.client import DeployClient
from deployer.core.state import DeploymentName
from deployer.core.target import Payload
from deployer.errors import DeployerError
from deployer.events import Event
from deployer_targets.local.client import LocalCloud

QUESTION = b'{"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.5]]}}'


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloud]:
    """The local cloud below the test's directory."""
    monkeypatch.setenv("DEPLOYER_LOCAL_DIR", str(tmp_path / "cloud"))
    cloud = LocalCloud()
    yield cloud
    for name in cloud.names():
        with suppress(DeployerError):
            cloud.claim(DeploymentName(name)).stop(name)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def client(cloud: LocalCloud, events: list[Event]) -> DeployClient:
    """Deploys there, as processes."""
    return DeployClient("local", {"runtime": "process"}, on_event=events.append)


def ask(client: DeployClient, name: str, x: float = 1.0) -> float:
    """What the model answers to one x."""
    body = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[x]]}}).encode()
    return float(json.loads(client.query(name, Payload(body)).body)["predictions"][0])


def files_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if not path.is_dir()]


class Stream:
    """Requests one after another, over connections that are kept alive or a new one for each: what they were answered, and what failed."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self.answers: list[Any] = []
        self.failures: list[str] = []
        self.stopping = threading.Event()

    def run(self, url: str) -> None:
        with httpx.Client(timeout=30, trust_env=False) as http:
            while not self.stopping.is_set():
                try:
                    answer = http.post(f"{url}/invocations", content=QUESTION, headers=self._headers)
                    if answer.status_code == 200:
                        self.answers.append(answer.json()["predictions"])
                    else:
                        self.failures.append(f"{answer.status_code} {answer.text}")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))


@contextmanager
def stream(url: str, connections: int = 3, **headers: str) -> Iterator[Stream]:
    """Ask all the time, in the background, while the block runs."""
    asked = Stream({"content-type": "application/json", **headers})
    threads = [threading.Thread(target=asked.run, args=(url,)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        asked.stopping.set()
        for thread in threads:
            thread.join()


class Kept:
    """One connection, whatever comes: a second is never opened."""

    def __init__(self, url: str) -> None:
        self._socket = socket.create_connection((urlsplit(url).hostname or "", urlsplit(url).port or 0), timeout=30)
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, body: bytes = QUESTION, host: str = "localhost") -> None:
        head = f"POST /invocations HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)

    def answer(self) -> tuple[int, object]:
        status = int(self._answers.readline().split()[1])
        length = 0
        while line := self._answers.readline().strip().lower():
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return status, json.loads(self._answers.read(length)).get("predictions")

    def ask(self, body: bytes = QUESTION, host: str = "localhost") -> tuple[int, object]:
        self.send(body, host)
        return self.answer()


@contextmanager
def stopped(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def eventually(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `holds` gives once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)
    return found


def containers(cloud: LocalCloud) -> list[int]:
    """The first process of each container; workers are its children."""
    found = scoring_processes(cloud)
    return [process for process in found if int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]) not in found]


def scoring_processes(cloud: LocalCloud) -> list[int]:
    """The processes that serve a model of this cloud, by their command and environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes().split(b"\0")
            if command[1:3] == [b"-m", b"deployer_scoring"] and str(cloud.place.models).encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found
