"""`deploy models serve` as users run it: a program of its own that is asked over its socket, and ended by Ctrl-C."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import pytest

from tests.docker import free_port
from tests.models import saved_model

DEPLOY = str(Path(sys.executable).with_name("deploy"))


@contextmanager
def serving(directory: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """The process, its URL, and the curl command that it prints."""
    command = [DEPLOY, "models", "serve", "-p", "0", *arguments]
    environment = {**os.environ, "DEPLOYER_LOCAL_DIR": str(directory / "local")}
    with (
        (directory / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            assert first.startswith("ready on "), (directory / "log").read_text()
            yield process, first.split()[2], shlex.split(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize("manager", ["uv", "local"])
def test_it_answers_the_printed_curl_until_it_is_interrupted(tmp_path: Path, manager: str) -> None:
    with serving(tmp_path, "-m", str(saved_model("doubler")), "--env-manager", manager) as (process, url, curl):
        assert curl[:3] == ["curl", "-sS", f"{url}/invocations"]
        answer = httpx.post(curl[2], content=curl[-1], headers={"content-type": "application/json"}, trust_env=False)
        assert answer.json() == {"predictions": [2.0, 5.0]}
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/ping", trust_env=False)


def test_its_flags_reach_the_server(tmp_path: Path) -> None:
    grpc_port = free_port()
    flags = ("--env-manager", "local", "--workers", "2", "--timeout", "1", "--host", "127.0.0.1", "--batching", "off", "--grpc-port", str(grpc_port))
    with serving(tmp_path, "-m", str(saved_model("slow")), *flags) as (_, url, _):
        with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
            ready = channel.unary_unary("/inference.GRPCInferenceService/ServerReady")(b"", timeout=30, wait_for_ready=True)
        assert ready == b"\x08\x01"
        body = {"dataframe_split": {"columns": ["x"], "data": [[20]]}}
        late = httpx.post(f"{url}/invocations", json=body, timeout=30, trust_env=False)
        assert late.status_code == 504
    assert re.search(r"2 worker", (tmp_path / "log").read_text())


def test_a_model_that_can_not_load_ends_it_with_the_reason(tmp_path: Path) -> None:
    command = [DEPLOY, "models", "serve", "-p", "0", "-m", str(saved_model("broken")), "--no-conda"]
    environment = {**os.environ, "DEPLOYER_LOCAL_DIR": str(tmp_path / "local")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.returncode == 5
    assert "No module named 'a_module_that_is_not_there'" in done.stderr
