"""Where a container runs: under a docker engine, or as a process of this machine where there is none.

runtime = find(None)                                         docker where an engine answers, else processes
with runtime.start(container, name="churn", log=print) as running:
    wait_healthy(running, container.health, timeout_seconds=60)
    running.address                                          ("127.0.0.1", 49153)
"""

from __future__ import annotations

from deployer.errors import ConfigInvalid, ExtraMissing, TargetUnavailable
from deployer_images.engine import answers as docker_answers
from deployer_images.runtimes.health import wait_healthy
from deployer_images.runtimes.running import Log, RunningContainer, Runtime

__all__ = ["DOCKER", "PROCESS", "Log", "RunningContainer", "Runtime", "docker_answers", "find", "wait_healthy"]

DOCKER, PROCESS = "docker", "process"


def find(name: str | None = None) -> Runtime:
    """The runtime of that name; without one, docker where an engine answers, else processes. Its own `name` says which it is.

    Raises:
        ConfigInvalid: no runtime is called that.
        TargetUnavailable, ExtraMissing: docker was named, and its engine doesn't answer or its client isn't installed.
    """
    from deployer_images.runtimes.docker import Docker
    from deployer_images.runtimes.process import Process

    if name == PROCESS:
        return Process()
    if name == DOCKER:
        return Docker.connect()
    if name is not None:
        raise ConfigInvalid(f"{name!r} is not a runtime", advice=f"take {DOCKER} or {PROCESS}, or none: docker where an engine answers")
    try:
        return Docker.connect()
    except (TargetUnavailable, ExtraMissing):
        return Process()
