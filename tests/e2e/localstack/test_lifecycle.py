"""Up, down, and what is left when the cloud is killed: nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from uv import find_uv_bin

import deployer_localstack as localstack
from deployer.errors import MachineFault
from deployer_localstack.processes.children import leftover_processes

from .conftest import BUCKET, User, eventually


def test_up_is_fast_idempotent_and_says_where(start: Callable[..., localstack.CloudStatus], tmp_path: Path) -> None:
    began = time.monotonic()
    first = start(directory=tmp_path)
    seconds = time.monotonic() - began
    print(f"up in {seconds:.1f} s")
    assert first.started
    second = start(directory=tmp_path)
    assert not second.started
    assert (second.pid, second.url, second.registry) == (first.pid, first.url, first.registry)
    assert localstack.status(tmp_path).running
    assert localstack.environment(tmp_path)["AWS_ENDPOINT_URL"] == first.url


def test_two_ups_at_once_start_one_cloud(start: Callable[..., localstack.CloudStatus], tmp_path: Path) -> None:
    found: list[localstack.CloudStatus] = []
    threads = [threading.Thread(target=lambda: found.append(start(directory=tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({status.pid for status in found}) == 1
    assert sorted(status.started for status in found) == [False, True]


def test_down_stops_everything_and_says_what_it_forgets(start: Callable[..., localstack.CloudStatus], tmp_path: Path, name: str) -> None:
    user = User(start(directory=tmp_path))
    user.endpoint(name)
    assert len(leftover_processes(tmp_path)) >= 3
    forgotten = localstack.down(tmp_path)
    assert forgotten.was_running
    assert forgotten.resources["endpoints"] == 1
    assert forgotten.resources["buckets"] == 1
    assert "1 endpoint," in str(forgotten)
    assert leftover_processes(tmp_path) == []
    assert not localstack.status(tmp_path).running
    assert not (tmp_path / "registry").exists()
    again = localstack.down(tmp_path)
    assert not again.was_running
    assert list(localstack.logs(directory=tmp_path)) is not None
    with pytest.raises(MachineFault, match="no local cloud is up"):
        localstack.environment(tmp_path)


def test_what_a_killed_cloud_ran_dies_with_it(start: Callable[..., localstack.CloudStatus], tmp_path: Path, name: str) -> None:
    user = User(start(directory=tmp_path))
    user.endpoint(name)
    os.kill(user.status.pid, signal.SIGKILL)
    eventually(lambda: leftover_processes(tmp_path) == [])
    again = start(directory=tmp_path)
    assert again.started
    assert again.holds["endpoints"] == 0
    assert not list((tmp_path / "endpoints").glob("*"))


def test_down_ends_processes_that_outlived_a_killed_cloud(tmp_path: Path) -> None:
    environment = {**os.environ, "DEPLOYER_LOCALSTACK_INSTANCE": str(tmp_path)}
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)
    eventually(lambda: leftover_processes(tmp_path))
    forgotten = localstack.down(tmp_path)
    assert forgotten.leftovers == 1
    assert orphan.wait(30) == -signal.SIGKILL


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = localstack.StartOptions(directory=tmp_path, port=taken.getsockname()[1])
        with pytest.raises(MachineFault, match="doesn't start") as caught:
            localstack.up(options)
    assert "in use" in caught.value.why
    assert leftover_processes(tmp_path) == []


def test_a_reset_forgets_all_and_goes_on(start: Callable[..., localstack.CloudStatus], tmp_path: Path, name: str) -> None:
    user = User(start(directory=tmp_path))
    user.endpoint(name)
    user.control.add_fault("throttle", service="none")
    user.control.settings(deleting_seconds=9.0)
    forgotten = localstack.reset(tmp_path)
    assert forgotten.resources["models"] == 1
    assert user.sagemaker.list_endpoints()["Endpoints"] == []
    assert user.s3.list_buckets()["Buckets"] == []
    assert user.ecr.describe_repositories()["repositories"] == []
    assert user.control.faults() == []
    assert user.control.settings()["deleting_seconds"] == 0.2
    user.endpoint(name, answer="again")
    assert user.ask(name) == "again:?"


def test_the_aws_cli_sees_the_same_cloud(shared: User, name: str, tmp_path: Path) -> None:
    command = ["aws"] if shutil.which("aws") else [find_uv_bin(), "tool", "run", "--from", "awscli", "aws"]
    shared.endpoint(name, answer="cli")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **localstack.environment(shared.status.directory)}

    def aws(*arguments: str) -> str:
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=True, timeout=300)
        return done.stdout.strip()

    query = ("--query", "EndpointStatus", "--output", "text")
    assert aws("sagemaker", "describe-endpoint", "--endpoint-name", name, *query) == "InService"
    aws("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", name, "--body", "Pw==", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text().startswith("cli:")
    assert f"{name}-1.tar.gz" in aws("s3", "ls", f"s3://{BUCKET}/")
    assert aws("ecr", "get-login-password")
    missing = subprocess.run(
        [*command, "sagemaker", "describe-endpoint", "--endpoint-name", "none"], env=environment, capture_output=True, text=True, check=False
    )
    assert "(ValidationException)" in missing.stderr
