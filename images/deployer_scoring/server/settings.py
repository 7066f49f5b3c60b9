"""What the runtime is told: command line first, then the environment, then defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from deployer_scoring.errors import ScoringError


@dataclass(frozen=True)
class Settings:
    """How to serve."""

    host: str = "0.0.0.0"
    port: int = 8080
    """SAGEMAKER_BIND_TO_PORT, --port, DEPLOYER_PORT, in this order; 0 lets the system choose."""
    max_request_bytes: int = 25 * 1024 * 1024
    """DEPLOYER_MAX_REQUEST_BYTES. SageMaker sends 25 MB at most; a larger body is answered with 413."""
    max_queue: int = 100
    """DEPLOYER_MAX_QUEUE: how many requests may wait for the model; one more is answered with 503."""
    drain_seconds: float = 0.5
    """DEPLOYER_DRAIN_SECONDS: how long after SIGTERM new requests are still taken, while load balancers learn of it."""
    install_at_start: bool = False
    """DEPLOYER_ENV=at-start: the model's requirements are installed before it is loaded."""

    @classmethod
    def of(cls, environ: Mapping[str, str], *, host: Optional[str] = None, port: Optional[int] = None) -> Settings:
        """Settings of an environment and the command line's options.

        Raises:
            ScoringError: A variable holds no number, or an unknown mode.
        """
        mode = environ.get("DEPLOYER_ENV") or "image"
        if mode not in {"image", "at-start"}:
            raise ScoringError(f"DEPLOYER_ENV is {mode!r}; it must be image or at-start")
        bound = environ.get("SAGEMAKER_BIND_TO_PORT")
        return cls(
            host=host or cls.host,
            port=_number(environ, "SAGEMAKER_BIND_TO_PORT", 0) if bound else _number(environ, "DEPLOYER_PORT", cls.port) if port is None else port,
            max_request_bytes=_number(environ, "DEPLOYER_MAX_REQUEST_BYTES", cls.max_request_bytes),
            max_queue=max(1, _number(environ, "DEPLOYER_MAX_QUEUE", cls.max_queue)),
            drain_seconds=_seconds(environ, "DEPLOYER_DRAIN_SECONDS", cls.drain_seconds),
            install_at_start=mode == "at-start",
        )


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    try:
        value = int(environ.get(name) or default)
    except ValueError:
        value = -1
    if value < 0:
        raise ScoringError(f"{name} must be a whole number, not {environ[name]!r}")
    return value


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(environ.get(name) or default)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 20:  # the platforms kill after 30 s
        raise ScoringError(f"{name} must be a number of seconds from 0 to 20, not {environ[name]!r}")
    return value
