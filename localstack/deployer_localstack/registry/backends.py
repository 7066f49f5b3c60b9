"""Starts the registry that keeps the images: Debian's docker-registry, the official image under docker, or the small one of ours."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deployer.errors import MachineFault
from deployer_localstack.http.server import Server
from deployer_localstack.options import INSTANCE_LABEL, INSTANCE_VARIABLE, StartOptions
from deployer_localstack.processes import children
from deployer_localstack.registry.small import SmallRegistry
from deployer_localstack.registry.upstream import Upstream

_DEBIAN = "docker-registry"
_OFFICIAL = "registry:2"
_STARTS_WITHIN = 10.0

_CONFIGURATION = """\
version: 0.1
log:
  level: warn
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {directory}
  delete:
    enabled: true
http:
  addr: 127.0.0.1:{port}
  prefix: {path}/
  relativeurls: true
"""


class RunningRegistry(Protocol):
    """A running registry."""

    @property
    def kind(self) -> str: ...
    @property
    def upstream(self) -> Upstream: ...
    def stop(self) -> None: ...


def start_backend(options: StartOptions) -> RunningRegistry:
    """The registry that the options name; "auto" takes Debian's where it's installed, else the small one.

    Raises:
        MachineFault: the one that was asked for isn't installed or doesn't start.
    """
    storage = options.directory / "registry"
    storage.mkdir(parents=True, exist_ok=True)
    choice = options.registry
    if choice == "auto":
        choice = "debian" if shutil.which(_DEBIAN) else "python"
    if choice == "debian":
        return _start_debian(storage, options.directory)
    if choice == "docker":
        return _start_official(options.directory)
    return _start_small(storage)


@dataclass(slots=True)
class _Small:
    server: Server
    upstream: Upstream
    kind: str = "python"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _start_small(storage: Path) -> RunningRegistry:
    server = Server(0, registry := SmallRegistry(storage))
    upstream = Upstream(server.port)
    registry.path = upstream.path
    server.start("registry")
    return _Small(server, upstream)


@dataclass(slots=True)
class _Debian:
    process: subprocess.Popen[bytes]
    upstream: Upstream
    kind: str = "debian"

    def stop(self) -> None:
        children.stop(self.process, 5)


def _start_debian(storage: Path, directory: Path) -> RunningRegistry:
    if not shutil.which(_DEBIAN):
        raise MachineFault("docker-registry is not installed", advice="apt-get install docker-registry, or --registry python")
    environment = {"PATH": os.environ.get("PATH", ""), INSTANCE_VARIABLE: str(directory), "OTEL_TRACES_EXPORTER": "none"}
    for _ in range(3):
        upstream = Upstream(free_port())
        configuration = storage.with_name("registry.yml")
        configuration.write_text(_CONFIGURATION.format(directory=storage, port=upstream.port, path=upstream.path))
        with storage.with_name("registry.log").open("ab") as log:
            process = children.spawn([_DEBIAN, "serve", str(configuration)], environment=environment, output=log)
        if _answers(upstream, process):
            return _Debian(process, upstream)
        # Somebody else may have taken the port in between.
        children.stop(process, 1)
    raise MachineFault("docker-registry doesn't start", advice=f"see {storage.with_name('registry.log')}, or use --registry python")


@dataclass(slots=True)
class _Official:
    container: object
    upstream: Upstream
    kind: str = "docker"

    def stop(self) -> None:
        self.container.remove(force=True, v=True)  # type: ignore[attr-defined]


def _start_official(directory: Path) -> RunningRegistry:
    engine = children.docker_engine()
    if engine is None:
        raise MachineFault("no docker engine answers", advice="start docker, or use --registry python")
    path = Upstream(0).path
    container = engine.containers.run(
        _OFFICIAL,
        detach=True,
        environment={"REGISTRY_HTTP_RELATIVEURLS": "true", "REGISTRY_STORAGE_DELETE_ENABLED": "true", "REGISTRY_HTTP_PREFIX": f"{path}/"},
        labels={INSTANCE_LABEL: str(directory)},
        ports={"5000/tcp": ("127.0.0.1", 0)},
    )
    container.reload()
    upstream = Upstream(int(container.ports["5000/tcp"][0]["HostPort"]), path)
    if not _answers(upstream, None):
        container.remove(force=True, v=True)
        raise MachineFault("the registry's container doesn't answer", advice="use --registry python")
    return _Official(container, upstream)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(upstream: Upstream, process: subprocess.Popen[bytes] | None) -> bool:
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        connection = upstream.connect(2)
        try:
            connection.request("GET", f"{upstream.path}/v2/")
            if connection.getresponse().status == 200:
                return True
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
        finally:
            connection.close()
    return False
