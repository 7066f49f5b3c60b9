"""The container under a docker engine: the image itself, its port published on 127.0.0.1 alone.

A container without a network can't publish a port. An isolated one is therefore attached to an internal network of docker's, which leads
nowhere, and is reached at its own address there (Linux only: elsewhere that address is inside docker's virtual machine).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from deployer.core.container import Container
from deployer.errors import TargetUnavailable
from deployer.oci import labels
from deployer_images import engine
from deployer_images.runtimes.running import STOP_SECONDS, Log, OutputFollower, RunningContainer

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container as DockerContainer

OWNER, NAME = "io.deployer.owner", "io.deployer.name"
ISOLATED_NETWORK = "deployer-isolated"
_REAPER = Path(__file__).with_name("reaper.py")

Login = Callable[[str], "tuple[str, str] | None"]
"""User and password for a registry's host; None leaves it to docker's own configuration."""


class Docker:
    """Runs containers under a docker engine."""

    name = "docker"

    def __init__(self, client: DockerClient, login: Login = lambda _: None) -> None:
        self._client = client
        self._login = login

    @classmethod
    def connect(cls, login: Login = lambda _: None) -> Docker:
        """The runtime of the engine that answers.

        Raises:
            TargetUnavailable: none does. ExtraMissing: docker's SDK isn't installed.
        """
        return cls(engine.connect(), login)

    def start(self, container: Container, *, name: str, log: Log, port: int = 0, inherited: socket.socket | None = None) -> RunningContainer:
        from docker.errors import APIError, DockerException

        self._sweep()
        self._have(container.image)
        try:
            made = self._client.containers.create(**self._options(container, name, port))
        except (DockerException, OSError) as fault:
            raise engine.fault(f"making the container of {name}", fault) from fault
        try:
            made.start()
            return _RunningContainer(name, made, container, log, self._socket())
        except (APIError, OSError, KeyError) as fault:
            made.remove(force=True, v=True)
            raise engine.fault(f"starting the container of {name}", fault) from fault

    def _options(self, container: Container, name: str, port: int) -> dict[str, Any]:
        from docker.types import Mount

        if container.labels.get(labels.STAND_IN):
            raise TargetUnavailable(f"{container.image} is a stand-in that holds no files", advice="push a real image, or use --runtime process")
        return {
            "image": container.image,
            "command": list(container.command),
            # It listens on all addresses of its own; the port that leads there is this machine's alone.
            "environment": {"DEPLOYER_ALLOWED_HOSTS": "loopback", **container.environment},
            "mounts": [Mount(mount.target, str(mount.source.resolve()), type="bind", read_only=mount.read_only) for mount in container.mounts],
            "user": container.user,
            "read_only": container.read_only_root,
            "tmpfs": {"/tmp": "rw,nosuid,nodev"} if container.read_only_root else None,
            "ports": None if container.isolated_network else {f"{container.port}/tcp": ("127.0.0.1", port or None)},
            "network": self._isolated_network() if container.isolated_network else None,
            "labels": {OWNER: ourselves(), NAME: name},
            "stop_signal": "SIGTERM",
        }

    def _have(self, image: str) -> None:
        """Pull the image unless the engine has it."""
        from docker.errors import DockerException, ImageNotFound

        try:
            self._client.images.get(image)
        except ImageNotFound:
            login = self._login(image.partition("/")[0])
            try:
                self._client.images.pull(image, auth_config={"username": login[0], "password": login[1]} if login else None)
            except DockerException as fault:
                raise engine.fault(f"pulling {image}", fault) from fault
        except DockerException as fault:
            raise engine.fault(f"looking for {image}", fault) from fault

    def _isolated_network(self) -> str:
        from docker.errors import APIError

        if not self._client.networks.list(names=[f"^{ISOLATED_NETWORK}$"]):
            with suppress(APIError):  # made by somebody else just now
                self._client.networks.create(ISOLATED_NETWORK, internal=True, check_duplicate=True, labels={NAME: ISOLATED_NETWORK})
        return ISOLATED_NETWORK

    def _sweep(self) -> None:
        """Remove what killed runs of this machine left."""
        from docker.errors import DockerException

        with suppress(DockerException):
            for each in self._client.containers.list(all=True, filters={"label": OWNER}, ignore_removed=True):
                if is_gone(each.labels.get(OWNER, "")):
                    with suppress(DockerException):
                        each.remove(force=True, v=True)

    def _socket(self) -> str | None:
        base = os.environ.get("DOCKER_HOST") or engine.host_of_context() or "unix:///var/run/docker.sock"
        return base.removeprefix("unix://") if base.startswith("unix://") else None


class _RunningContainer(RunningContainer):
    def __init__(self, name: str, made: DockerContainer, container: Container, log: Log, unix_socket: str | None) -> None:
        super().__init__(name)
        self._made = made
        self._exit_code: int | None = None
        self._removed = False
        self._reaper = _reaper(unix_socket, str(made.id)) if unix_socket else None
        self._address = _address(made, container)
        self._ended = threading.Event()
        threading.Thread(target=self._wait, name=f"wait for {name}", daemon=True).start()
        self._lines = OutputFollower(cast("Any", made.logs(stream=True, follow=True)), log, name)

    @property
    def address(self) -> tuple[str, int]:
        return self._address

    @property
    def exit_code(self) -> int | None:
        return self._exit_code

    def tail(self, count: int = 20) -> tuple[str, ...]:
        if not self.alive():
            self._lines.finish(1.0)
        return self._lines.last(count)

    def stop(self, grace_seconds: float = STOP_SECONDS) -> None:
        from docker.errors import DockerException, NotFound

        if self._removed:
            return
        try:
            if self.alive():
                # The client waits for the engine's answer longer than the engine waits for the container.
                self._made.client.api.stop(self._made.id, timeout=max(0, round(grace_seconds)))  # type: ignore[union-attr, arg-type]
            self._ended.wait(5.0)
            self._lines.finish(1.0)
            self._made.remove(force=True, v=True)
        except NotFound:
            pass
        except DockerException as fault:
            raise engine.fault(f"stopping the container of {self.name}", fault) from fault
        self._removed = True
        if self._exit_code is None:
            self._exit_code = 137
        self._dismiss_reaper()

    def _wait(self) -> None:
        from docker.errors import DockerException

        code = 137  # removed by somebody else, or the engine is gone
        with suppress(DockerException, OSError, ValueError):
            code = int(self._made.client.api.wait(self._made.id, timeout=None)["StatusCode"])  # type: ignore[union-attr, arg-type]
        self._exit_code = code
        self._ended.set()

    def _dismiss_reaper(self) -> None:
        if self._reaper and self._reaper.stdin:
            with suppress(OSError):
                self._reaper.stdin.write(b"d")
                self._reaper.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._reaper.wait(5.0)


def _address(made: DockerContainer, container: Container) -> tuple[str, int]:
    made.reload()
    settings = made.attrs["NetworkSettings"]
    if container.isolated_network:
        return (settings["Networks"][ISOLATED_NETWORK]["IPAddress"], container.port)
    bound = (settings["Ports"].get(f"{container.port}/tcp") or [None])[0]
    # A container that exited at once has no port any more; its exit code says the rest.
    return ("127.0.0.1", int(bound["HostPort"]) if bound else 0)


def _reaper(unix_socket: str, container: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(_REAPER), unix_socket, container]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, env={}, start_new_session=True, bufsize=0)


def ourselves() -> str:
    """This process, so that no later one with the same number is taken for it."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Whether the process of a container's label, one of this machine's, has ended."""
    host, _, process = owner.partition(":")
    number, _, started = process.partition(":")
    return host == socket.gethostname() and number.isdigit() and _started(int(number)) != started


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" where there is none, or no /proc to say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 0)
            return ""
        return "gone"
