"""The docker engine of this machine, by docker's own SDK; no docker command is ever called."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from deployer.errors import DeployerError, ExtraMissing, MachineFault, PermissionDenied, Refused, TargetUnavailable

if TYPE_CHECKING:
    from docker import DockerClient


def connect(timeout_seconds: int = 60) -> DockerClient:
    """A client of the engine that DOCKER_HOST or docker's current context names.

    Raises:
        ExtraMissing: docker's SDK isn't installed. TargetUnavailable: no engine answers.
    """
    try:
        import docker
        from docker.errors import DockerException
    except ImportError:
        raise ExtraMissing.named("docker", "docker") from None
    try:
        if os.environ.get("DOCKER_HOST"):
            client = docker.from_env(timeout=timeout_seconds)
        else:
            client = docker.DockerClient(base_url=host_of_context(), timeout=timeout_seconds)
        client.ping()
    except (DockerException, OSError) as fault:
        raise TargetUnavailable(
            "no docker engine answers", why=words(fault), advice="start docker, set DOCKER_HOST, or use --runtime process"
        ) from fault
    return client


def answers() -> bool:
    """Whether there is an engine to use."""
    with suppress(ExtraMissing, TargetUnavailable):
        connect(timeout_seconds=5).close()
        return True
    return False


def remove(name: str) -> None:
    """Remove an image's name, and what no other has; one that isn't there, or is in use, stays as it is."""
    from docker.errors import DockerException

    with suppress(ExtraMissing, TargetUnavailable, DockerException, OSError), closing(connect()) as client:
        client.images.remove(name)


def fault(doing: str, error: Exception) -> DeployerError:
    """What docker says, as one of our errors."""
    why = words(error)
    said = why.lower()
    if "already allocated" in said or "address already in use" in said:
        return MachineFault(f"the port is taken while {doing}", why=why, advice="take another, or 0 for any free one")
    if "no space left" in said:
        return MachineFault(f"the disk is full while {doing}", why=why, advice="free some space (docker system prune)")
    if "unauthorized" in said or "authentication required" in said or "denied" in said or "no basic auth" in said:
        return PermissionDenied(f"the registry refuses docker while {doing}", why=why, advice="check the registry's credentials")
    if getattr(error, "status_code", None) in (400, 404, 409):
        return Refused(f"docker refuses {doing}", why=why)
    return TargetUnavailable(f"docker failed while {doing}", why=why)


def host_of_context() -> str | None:
    """Docker Desktop, colima and rootless docker put their socket elsewhere and name it in a context; None is the SDK's default."""
    from docker.context import ContextAPI

    with suppress(Exception):  # a broken context file is no reason not to try the default
        host = ContextAPI.get_current_context().Host
        return str(host) if host else None
    return None


def words(error: Exception) -> str:
    """What the engine said of an error, at most 600 characters."""
    explanation = getattr(error, "explanation", None)
    text = explanation.decode(errors="replace") if isinstance(explanation, bytes) else explanation
    return str(text or error).strip()[:600]
