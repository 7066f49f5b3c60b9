"""Starts and stops the daemon, finds out about it, and clears away what a killed one left."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from deployer.core.private import own_directory
from deployer.errors import ExtraMissing, MachineFault
from deployer_localstack import clusters
from deployer_localstack.aws.account import ACCESS_KEY, ACCOUNT, DEFAULT_REGION, ROLE_NAME, SECRET_KEY
from deployer_localstack.azure import account as azure_account
from deployer_localstack.control.client import ControlClient
from deployer_localstack.options import ELSEWHERE, INSTANCE_VARIABLE, TOKEN_VARIABLE, StartOptions, default_directory, token_of

_UP_WITHIN = 120.0
_DOWN_WITHIN = 60.0
_STATE, _LOG, _LOCK = "state.json", "log", "lock"
_EXTRA = ("boto3", "moto", "flask", "flask_cors")  # moto brings cryptography
_DISPOSABLE = ("registry", "endpoints", "objects", "blobs", "registry.yml", "registry.log", _STATE)


@dataclass(frozen=True, slots=True)
class CloudStatus:
    """A local cloud as it is.

    Attributes:
        running: whether it answers; the rest is empty where it doesn't.
        url: of the AWS endpoint.
        registry: host:port of the image registry.
        registry_kind: debian, docker or python.
        runtime: what endpoints run in (auto, docker, process).
        azure: address of the local Azure; empty where it wasn't asked for.
        azure_registry: host:port of its container registry.
        azure_trust: file of the certificates by which that is trusted.
        azure_federated: file of the token of a service account that its application trusts.
        started: whether this very call started it.
        holds: how much of what it has, by kind.
    """

    directory: Path
    running: bool = False
    pid: int = 0
    url: str = ""
    registry: str = ""
    registry_kind: str = ""
    runtime: str = ""
    azure: str = ""
    azure_registry: str = ""
    azure_trust: str = ""
    azure_federated: str = ""
    started: bool = False
    holds: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went with a local cloud.

    Attributes:
        was_running: False where there was none.
        resources: how many by kind ("endpoints": 2, "buckets": 1).
        leftovers: processes and containers of a killed one that were ended.
    """

    was_running: bool
    resources: Mapping[str, int] = field(default_factory=dict)
    leftovers: int = 0

    def __str__(self) -> str:
        named = [f"{count} {kind if count > 1 else _one(kind)}" for kind, count in self.resources.items() if count]
        return ", ".join(named) if named else "nothing"


def up(options: StartOptions | None = None) -> CloudStatus:
    """Start the local cloud; one that runs already in this directory is left as it is.

    Raises:
        MachineFault: the port is taken, the registry that was asked for isn't there, the directory can't be written.
        ExtraMissing: what it stands on isn't installed.
    """
    options = options or StartOptions()
    refuse_without_extra()
    with _locked(options.directory):
        present = status(options.directory)
        if present.running and options.azure and not present.azure:
            raise MachineFault(
                "the local cloud that is up has no Azure", advice="deploy localstack down, which forgets all that is in it, then up --azure"
            )
        if present.running:
            return present
        _clear(options.directory)
        _spawn(options)
    found = status(options.directory)
    return CloudStatus(**{name: getattr(found, name) for name in CloudStatus.__slots__ if name != "started"}, started=True)


def up_with_cluster(options: StartOptions | None = None) -> tuple[CloudStatus, clusters.LocalCluster]:
    """The local cloud, and beside it a Kubernetes by kind, k3d or minikube; what is up already is left as it is.

    Raises:
        MachineFault: none of the three is installed, or it fails; and what `up` raises.
    """
    options = options or StartOptions()
    found = up(options)
    with _locked(options.directory):
        return found, clusters.up(options.directory)


def refuse_without_extra() -> None:
    """Return if all is installed that the daemon stands on.

    Raises:
        ExtraMissing: it isn't.
    """
    if any(find_spec(name) is None for name in _EXTRA):
        raise ExtraMissing.named("localstack", "the local cloud")


def down(directory: Path | None = None) -> Forgotten:
    """Stop the local cloud and all that it started, whatever happened to it; says what is forgotten."""
    directory = directory or default_directory()
    if not directory.exists():
        return Forgotten(was_running=False)
    with _locked(directory):
        present = status(directory)
        if present.running:
            _end(present.pid)
        held = {**present.holds, "clusters": int(clusters.down(directory))}
        leftovers = _clear(directory)
    return Forgotten(present.running, held, leftovers)


def status(directory: Path | None = None) -> CloudStatus:
    """Whether it runs, where, and how much it holds."""
    directory = directory or default_directory()
    try:
        state = json.loads((directory / _STATE).read_text())
        control = ControlClient(state["url"], token_of(directory))
        health = control.health()
        holds = control.holds()
    except (OSError, ValueError, KeyError):
        return CloudStatus(directory)
    # The port may have gone to another cloud since.
    if health.get("directory") != str(directory):
        return CloudStatus(directory)
    return CloudStatus(
        directory,
        running=True,
        pid=health["pid"],
        url=health["url"],
        registry=health["registry"],
        registry_kind=health["registry_kind"],
        runtime=health["runtime"],
        azure=health.get("azure", ""),
        azure_registry=health.get("azure_registry", ""),
        azure_trust=health.get("azure_trust", ""),
        azure_federated=health.get("azure_federated", ""),
        holds=holds,
    )


def environment(directory: Path | None = None) -> Mapping[str, str]:
    """The variables that point boto3, the aws CLI, our targets, and where it has these, Azure's SDKs and kubectl at the local cloud.

    Raises:
        MachineFault: it isn't up.
    """
    present = _running(directory)
    variables = {
        "AWS_ENDPOINT_URL": present.url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        # Empty stands for none: a token of another session would be sent along.
        "AWS_SESSION_TOKEN": "",
        "AWS_DEFAULT_REGION": DEFAULT_REGION,
        "AWS_REGION": DEFAULT_REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        # The option of this name: the role that is there from the start, so that a first `deploy create` works as it stands.
        "DEPLOYER_EXECUTION_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/{ROLE_NAME}",
        TOKEN_VARIABLE: token_of(present.directory),
    }
    if present.azure:
        variables |= azure_account.environment(present.azure, present.azure_registry, present.azure_trust, present.azure_federated)
    if cluster := clusters.present(present.directory):
        variables |= clusters.environment(cluster)
    if any(os.environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")):
        others = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
        variables["NO_PROXY"] = ",".join(filter(None, ["127.0.0.1", others]))
    return variables


def control(directory: Path | None = None) -> ControlClient:
    """Settings, faults and journal of the local cloud.

    Raises:
        MachineFault: it isn't up.
    """
    present = _running(directory)
    return ControlClient(present.url, token_of(present.directory))


def reset(directory: Path | None = None) -> Forgotten:
    """Forget everything but the cloud itself: it goes on at the same addresses.

    Raises:
        MachineFault: it isn't up.
    """
    return Forgotten(was_running=True, resources=control(directory).reset())


def logs(*, follow: bool = False, directory: Path | None = None) -> Iterator[str]:
    """The daemon's own log, line by line; with `follow`, further lines as they come, until the cloud goes down."""
    directory = directory or default_directory()
    try:
        file = (directory / _LOG).open(errors="replace")
    except OSError:
        return
    with file:
        while True:
            if line := file.readline():
                yield line.rstrip("\n")
            elif not follow or not status(directory).running:
                return
            else:
                time.sleep(0.3)


def _running(directory: Path | None) -> CloudStatus:
    present = status(directory)
    if not present.running:
        raise MachineFault(f"no local cloud is up in {present.directory}", advice="deploy localstack up")
    return present


def _spawn(options: StartOptions) -> None:
    command = [sys.executable, "-m", "deployer_localstack", "serve", *_arguments(options)]
    log = options.directory / _LOG
    variables = {**os.environ, INSTANCE_VARIABLE: str(options.directory)}
    # moto asks botocore, which must not look for the user's own endpoints and profiles.
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_CONFIG_FILE"):
        variables.pop(name, None)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=variables, start_new_session=True)
    try:
        if _comes_up(process, options.directory):
            return
        why = next((line for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()), "it wrote nothing")
        raise MachineFault("the local cloud doesn't start", why=why, advice=f"see {log}; --port 0 takes any free port")
    except BaseException:
        # Ctrl-C too leaves nothing half up.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _clear(options.directory)
        raise


def _comes_up(process: subprocess.Popen[bytes], directory: Path) -> bool:
    deadline = time.monotonic() + _UP_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if status(directory).running:
            return True
        time.sleep(0.05)
    return False


def _arguments(options: StartOptions) -> list[str]:
    arguments = ["--directory", str(options.directory), "--port", str(options.port), "--registry-port", str(options.registry_port)]
    arguments += ["--runtime", options.runtime, "--registry", options.registry]
    if options.commands:
        arguments.append("--commands")
    if options.azure:
        arguments += ["--azure", "--azure-port", str(options.azure_port)]
    for name, value in options.settings:
        arguments += ["--set", f"{name}={value}"]
    return arguments


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_WITHIN
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    # Where we are the parent, a zombie would look alive.
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _clear(directory: Path) -> int:
    """End what a killed cloud left running here, and remove its files. The log stays."""
    from deployer_localstack.processes.children import kill_leftovers

    leftovers = kill_leftovers(directory)
    for name in _DISPOSABLE:
        path = directory / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return leftovers


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Two `up` at once start one cloud."""
    own_directory(directory, advice=ELSEWHERE)
    try:
        file = (directory / _LOCK).open("w")
    except OSError as fault:
        raise MachineFault(f"{directory} can't be written", why=str(fault), advice=ELSEWHERE) from fault
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _one(kind: str) -> str:
    return kind.removesuffix("ies") + "y" if kind.endswith("ies") else kind.removesuffix("s")
