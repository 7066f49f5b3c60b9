"""The runtime as a process of its own, started as a container starts it, for tests that speak to it over a socket."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

_ROOT = Path(__file__).parents[2]
_LISTENING = re.compile(r"listening on .* port (\d+)")


class Served:
    """A running server. Its output is collected while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.output: list[str] = []
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(target=_collect, args=(process.stdout, self.output), daemon=True),
            threading.Thread(target=_collect, args=(process.stderr, self.errors), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self.url = f"http://127.0.0.1:{self._port()}"
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def _port(self) -> str:
        for _ in range(600):
            if found := _LISTENING.search("".join(self.errors)):
                return found.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the server never listened: {''.join(self.errors)}")

    def wait_ready(self) -> None:
        """Return when /ping answers 200, which the model's loading decides."""
        for _ in range(1200):
            assert self.process.poll() is None, "".join(self.errors)
            if self.client.get("/ping").status_code == 200:
                return
            time.sleep(0.05)
        raise AssertionError(f"the model was never loaded: {''.join(self.errors)}")

    def ask(self, body: object, **headers: str) -> httpx.Response:
        return self.client.post("/invocations", json=body, headers=headers)

    def logged(self, part: str, seconds: float = 5) -> list[str]:
        """The lines of the access log that hold a text, waited for: they are written a little after their answers."""
        until = time.monotonic() + seconds
        while not (found := [line for line in list(self.output) if part in line]) and time.monotonic() < until:
            time.sleep(0.02)
        return found

    def said(self, text: str, lines: list[str] | None = None, *, times: int = 1) -> list[str]:
        """The lines of the output (or of `lines`) with this text, waited for: the log is written a little later than the answers are."""
        lines = self.output if lines is None else lines
        for _ in range(100):
            if len(found := [line for line in lines if text in line]) >= times:
                return found
            time.sleep(0.05)
        return []

    def ended(self, timeout: float = 35) -> int:
        """The exit code, once the process has ended and all that it wrote is read."""
        code = self.process.wait(timeout)
        for thread in self._threads:
            thread.join(5)
        return code


def _collect(stream: object, lines: list[str]) -> None:
    lines.extend(iter(stream.readline, ""))  # type: ignore[attr-defined]


@contextmanager
def serving(model: Path | None, *, python: Path | str = sys.executable, ready: bool = True, **variables: str) -> Iterator[Served]:
    """A server of a model, stopped when the block ends.

    Args:
        model: Its directory; None where a variable names it.
        python: The interpreter, which has what the model needs.
        ready: Whether to wait until the model is loaded.
        variables: Environment of the server, beside this process's own.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DEPLOYER_", "SAGEMAKER_", "AZUREML_", "PYTHONDONT"))}
    environment = {
        **clean,
        "PYTHONPATH": str(_ROOT / "images"),
        "DEPLOYER_WORKERS": "1",
        **({"DEPLOYER_MODEL": str(model)} if model else {}),
        **variables,
    }
    command = [str(python), "-m", "deployer_scoring", "serve", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
    try:
        served = Served(process)
        with served.client:
            if ready:
                served.wait_ready()
            yield served
    finally:
        process.kill()
        process.wait()
