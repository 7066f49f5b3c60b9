"""Chooses what a container runs in: docker, a local process for a stand-in image, or (for tests) a bare command."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress

from deployer.core.container import Container
from deployer.errors import TargetUnavailable
from deployer.oci import labels
from deployer_images.runtimes import Log, RunningContainer, Runtime
from deployer_images.runtimes.docker import Docker
from deployer_images.runtimes.process import Process
from deployer_images.runtimes.running import STOP_SECONDS, OutputFollower
from deployer_localstack.options import INSTANCE_VARIABLE, StartOptions
from deployer_localstack.processes import children
from deployer_localstack.registry.backends import free_port
from deployer_localstack.registry.front import Passwords
from deployer_localstack.registry.index import RepositoryAddress

COMMAND_LABEL = "io.deployer.command"
"""A JSON list: the image stands for this command of the machine, which must listen on $SAGEMAKER_BIND_TO_PORT."""

_PASSWORD_SECONDS = 600.0


class Runtimes:
    """Starts containers by what their image says of itself."""

    def __init__(self, options: StartOptions, passwords: Passwords) -> None:
        self._options = options
        self._passwords = passwords

    def start(self, container: Container, repository: RepositoryAddress, *, name: str, log: Log) -> RunningContainer:
        """Start the container; see `deployer_images.runtimes.running.Runtime` for what is raised."""
        return self._runtime(container.labels, repository).start(container, name=name, log=log)

    def _runtime(self, image_labels: Mapping[str, str], repository: RepositoryAddress) -> Runtime:
        choice = self._options.runtime
        if COMMAND_LABEL in image_labels and self._options.commands:
            return CommandRuntime(self._options)
        if image_labels.get(labels.STAND_IN) == "process" and choice != "docker":
            return Process()
        if choice == "process":
            raise TargetUnavailable(
                "this local cloud runs stand-in images only", advice="start it with --runtime auto or docker, where a docker engine answers"
            )
        return Docker.connect(lambda host: self._login(host, repository))

    def _login(self, host: str, repository: RepositoryAddress) -> tuple[str, str] | None:
        if not host.startswith("127.0.0.1:"):
            return None
        password, _ = self._passwords.issue(repository.account, repository.region, _PASSWORD_SECONDS)
        return self._passwords.user, password


class CommandRuntime:
    """Runs the command that an image's label names, as a process of this machine."""

    name = "command"

    def __init__(self, options: StartOptions) -> None:
        self._options = options

    def start(self, container: Container, *, name: str, log: Log, port: int = 0, inherited: socket.socket | None = None) -> RunningContainer:
        chosen = port or free_port()
        model = next((str(mount.source) for mount in container.mounts), "")
        environment = {
            "PATH": os.environ.get("PATH", ""),
            INSTANCE_VARIABLE: str(self._options.directory),
            **{key: container.outside(value) for key, value in container.environment.items()},
            "SAGEMAKER_BIND_TO_PORT": str(chosen),
            "DEPLOYER_MODEL": model,
        }
        return _RunningCommand(name, json.loads(container.labels[COMMAND_LABEL]), environment, chosen, log)


class _RunningCommand(RunningContainer):
    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], port: int, log: Log) -> None:
        super().__init__(name)
        self._port = port
        self._stopping = threading.Lock()
        self._process = children.spawn(command, environment=environment, output=subprocess.PIPE)
        assert self._process.stdout is not None
        self._lines = OutputFollower(iter(self._process.stdout.readline, b""), log, name)

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self._port)

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def tail(self, count: int = 20) -> tuple[str, ...]:
        if not self.alive():
            self._lines.finish(1.0)
        return self._lines.last(count)

    def stop(self, grace_seconds: float = STOP_SECONDS) -> None:
        with self._stopping, suppress(OSError):
            children.stop(self._process, grace_seconds)
            self._lines.finish(1.0)
