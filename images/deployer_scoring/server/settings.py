"""What the runtime is told: command line first, then the environment, then defaults.

Read before the server gives its first answer, so nothing slow to import is used here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Optional

from deployer_scoring.errors import ScoringError

if TYPE_CHECKING:
    from deployer_scoring.server.api_keys import ApiKeys

BATCHING = ("auto", "on", "off")
LOG_FORMATS = ("text", "json")
_ENDING_SECONDS = 5  # between the last answer and the platform's kill
_MOST_CPUS = 10_000


class ServerSettings(NamedTuple):
    """How to serve."""

    host: str = "0.0.0.0"
    port: int = 8080
    """SAGEMAKER_BIND_TO_PORT, --port, DEPLOYER_PORT, in this order; 0 lets the system choose."""
    grpc_port: int = 0
    """--grpc-port, DEPLOYER_GRPC_PORT: where the Open Inference Protocol is answered over gRPC as well; 0: nowhere."""
    workers: int = 0
    """--workers, DEPLOYER_WORKERS: processes that answer; 0 for one for each CPU of the container, as far as its memory reaches."""
    threads: int = 0
    """--threads, DEPLOYER_THREADS: predicts that a worker may run at once where they aren't joined; 0 for as many as MLflow's server."""
    batching: str = "auto"
    """--batching, DEPLOYER_BATCHING: `on` joins waiting requests into one predict, `off` never does, `auto` where rows can't influence each other."""
    max_batch_rows: int = 8192
    """DEPLOYER_MAX_BATCH_ROWS: how many rows are joined into one predict."""
    max_request_bytes: int = 25 * 1024 * 1024
    """DEPLOYER_MAX_REQUEST_BYTES, also once decompressed. SageMaker sends 25 MB at most; a larger body is answered with 413."""
    max_queue: int = 256
    """DEPLOYER_MAX_QUEUE: how many requests may wait for the model in each worker; one more is answered with 503."""
    request_timeout_seconds: float = 60.0
    """DEPLOYER_REQUEST_TIMEOUT_SECONDS, MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT: a longer predict is ended, and answered with 504; 0: none."""
    read_timeout_seconds: float = 30.0
    """DEPLOYER_READ_TIMEOUT_SECONDS: a request that isn't whole by then (and a second for each 64 KiB of it) is answered with 408."""
    drain_seconds: float = 0.5
    """DEPLOYER_DRAIN_SECONDS: how long after SIGTERM new requests are still answered, while load balancers learn of it."""
    grace_seconds: float = 30.0
    """DEPLOYER_GRACE_SECONDS: when the platform kills after SIGTERM: what was begun has until 5 s before."""
    install_at_start: bool = False
    """DEPLOYER_PACKAGES=at-start: the model's requirements are installed before it is loaded."""
    model_source: str = ""
    """DEPLOYER_MODEL_SOURCE: where the model is fetched from before it is loaded, by the list of files on the image; empty: it is here."""
    log_format: str = "text"
    """DEPLOYER_LOG_FORMAT: `json` writes the access log, and the server's own messages, as an object a line."""
    model_name: str = ""
    """--model-name, DEPLOYER_MODEL_NAME: the model's name in the Open Inference Protocol; empty: it answers to any."""
    model_version: str = "1"
    """DEPLOYER_MODEL_VERSION: its version there."""
    multi_model: bool = False
    """SAGEMAKER_MULTI_MODEL=true: no model is loaded at the start; they come by POST /models."""
    api_keys: Optional[ApiKeys] = None
    """DEPLOYER_API_KEYS: one of them has to come with every request but probes; None: anybody is answered."""
    allowed_hosts: str = ""
    """DEPLOYER_ALLOWED_HOSTS: under which names it may be asked (allowed_hosts.py); empty: any, where it listens for more than its machine."""
    cpus: float = 0
    """DEPLOYER_CPUS: those that the platform keeps free for the container, which count where it has no quota; 0: not known."""
    handover: int = 0
    """DEPLOYER_HANDOVER_FD: an open socket over which workers are lent listening sockets (handover.py); 0: none."""

    @property
    def finish_seconds(self) -> float:
        """How long requests that were begun may take once the drain is over."""
        return max(1.0, self.grace_seconds - self.drain_seconds - _ENDING_SECONDS)

    @property
    def stop_seconds(self) -> float:
        """How long after SIGTERM a worker may live: less than the platform waits, so that the server's end is its own."""
        return max(self.drain_seconds + self.finish_seconds, self.grace_seconds - _ENDING_SECONDS) + 2

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str],
        *,
        host: Optional[str] = None,
        port: Optional[int] = None,
        grpc_port: Optional[int] = None,
        workers: Optional[int] = None,
        threads: Optional[int] = None,
        batching: Optional[str] = None,
        model_name: Optional[str] = None,
    ) -> ServerSettings:
        """Settings of an environment and the command line's options.

        Raises:
            ScoringError: A variable holds no number, or an unknown mode.
        """
        defaults = cls()
        grace = _seconds(environ, "DEPLOYER_GRACE_SECONDS", defaults.grace_seconds)
        timeout = "DEPLOYER_REQUEST_TIMEOUT_SECONDS" if environ.get("DEPLOYER_REQUEST_TIMEOUT_SECONDS") else "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"
        return cls(
            host=host or defaults.host,
            port=_port(environ, port, defaults.port),
            grpc_port=_number(environ, "DEPLOYER_GRPC_PORT", 0) if grpc_port is None else grpc_port,
            workers=_number(environ, "DEPLOYER_WORKERS", 0) if workers is None else workers,
            threads=_number(environ, "DEPLOYER_THREADS", 0) if threads is None else threads,
            batching=batching or _one_of(environ, "DEPLOYER_BATCHING", BATCHING),
            max_batch_rows=max(1, _number(environ, "DEPLOYER_MAX_BATCH_ROWS", defaults.max_batch_rows)),
            max_request_bytes=_number(environ, "DEPLOYER_MAX_REQUEST_BYTES", defaults.max_request_bytes),
            max_queue=max(1, _number(environ, "DEPLOYER_MAX_QUEUE", defaults.max_queue)),
            request_timeout_seconds=_seconds(environ, timeout, defaults.request_timeout_seconds),
            read_timeout_seconds=_seconds(environ, "DEPLOYER_READ_TIMEOUT_SECONDS", defaults.read_timeout_seconds),
            drain_seconds=_seconds(environ, "DEPLOYER_DRAIN_SECONDS", defaults.drain_seconds, most=max(grace, defaults.drain_seconds)),
            grace_seconds=grace,
            install_at_start=_one_of(environ, "DEPLOYER_PACKAGES", ("image", "at-start")) == "at-start",
            model_source=environ.get("DEPLOYER_MODEL_SOURCE", ""),
            log_format=_one_of(environ, "DEPLOYER_LOG_FORMAT", LOG_FORMATS),
            model_name=model_name or environ.get("DEPLOYER_MODEL_NAME") or defaults.model_name,
            model_version=environ.get("DEPLOYER_MODEL_VERSION") or defaults.model_version,
            multi_model=environ.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true",
            api_keys=_keys(environ),
            allowed_hosts=_hosts(environ),
            cpus=_cpus(environ),
            handover=_number(environ, "DEPLOYER_HANDOVER_FD", 0),
        )


def _port(environ: Mapping[str, str], asked: Optional[int], default: int) -> int:
    if environ.get("SAGEMAKER_BIND_TO_PORT"):
        return _number(environ, "SAGEMAKER_BIND_TO_PORT", 0)
    return _number(environ, "DEPLOYER_PORT", default) if asked is None else asked


def _keys(environ: Mapping[str, str]) -> Optional[ApiKeys]:
    setting = environ.get("DEPLOYER_API_KEYS")
    if not setting:
        return None
    from deployer_scoring.server.api_keys import ApiKeys

    return ApiKeys(setting)


def _hosts(environ: Mapping[str, str]) -> str:
    value = environ.get("DEPLOYER_ALLOWED_HOSTS", "")
    for name in value.split(","):
        if set(name) & set("/:@ []"):
            raise ScoringError(f"DEPLOYER_ALLOWED_HOSTS must be *, loopback, or names of hosts with commas between; {name!r} is none of them")
    return value


def _one_of(environ: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = environ.get(name) or known[0]
    if value not in known:
        raise ScoringError(f"{name} is {value!r}; it must be {', '.join(known[:-1])} or {known[-1]}")
    return value


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    try:
        value = int(environ.get(name) or default)
    except ValueError:
        value = -1
    if value < 0:
        raise ScoringError(f"{name} must be a whole number, not {environ[name]!r}")
    return value


def _cpus(environ: Mapping[str, str]) -> float:
    """CPUs as Kubernetes writes them: 2, 0.5 or 500m."""
    said = environ.get("DEPLOYER_CPUS") or "0"
    try:
        value = float(said[:-1]) / 1000 if said.endswith("m") else float(said)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _MOST_CPUS:
        raise ScoringError(f"DEPLOYER_CPUS must be a number of CPUs, as 2, 0.5 or 500m, not {said!r}")
    return value


def _seconds(environ: Mapping[str, str], name: str, default: float, *, most: float = 86_400) -> float:
    try:
        value = float(environ.get(name) or default)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise ScoringError(f"{name} must be a number of seconds from 0 to {most:g}, not {environ[name]!r}")
    return value
