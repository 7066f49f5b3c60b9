"""Running uv, the binary of the PyPI package, never one that happens to be on PATH."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

from deployer.errors import DeployerError, MachineFault, TargetUnavailable
from deployer_images import cache
from deployer_images.faults import fault_of
from deployer_images.indexes import uv_variables
from deployer_images.inside import Inside

_GIT_FETCHES_NOTHING = {"GIT_ALLOW_PROTOCOL": "none"}


def uv(
    *arguments: str,
    doing: str,
    stdin: str = "",
    ca_bundle: Path | None = None,
    timeout_seconds: float | None = None,
    repositories: bool = True,
    place: Inside | None = None,
) -> str:
    """Run uv and give its standard output.

    Args:
        doing: what is being done, for the error: "resolving the model's requirements".
        repositories: whether git may fetch anything.
        place: where it runs; by default this machine. There it has the time that it takes.

    Raises:
        ModelInvalid: the requirements can't be satisfied. BuildFailed: one can't be built. NeedsBuild: it was told to build nothing.
        TargetUnavailable: an index doesn't answer, or not in time. CredentialsInvalid: it wants others.
        MachineFault: the disk is full, or anything else.
    """
    if place:
        return place.uv(*arguments, doing=doing, stdin=stdin, ca_bundle=ca_bundle)
    with tempfile.TemporaryDirectory() as elsewhere:  # where no project's pyproject.toml or uv.toml steers it
        try:
            done = subprocess.run(
                [find_uv_bin(), "--no-progress", "--color", "never", *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                cwd=elsewhere,
                env=uv_variables(ca_bundle) | ({} if repositories else _GIT_FETCHES_NOTHING),
                pass_fds=cache.held(),
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired:
            raise TargetUnavailable(f"no answer after {timeout_seconds:.0f} s while {doing}", advice="check the network and the indexes") from None
    if done.returncode:
        raise fault_of(doing, done.stderr)
    return done.stdout


OURS = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The minor version of the Python that runs this."""


@functools.cache
def installed_interpreter(minor: str) -> Path | None:
    """A Python of that minor version ("3.11") on this machine: our own, one that uv finds, or one of pyenv's."""
    if minor == OURS:
        return Path(getattr(sys, "_base_executable", sys.executable))
    return _found(minor, "--system", "--no-python-downloads") or _of_pyenv(minor)


def interpreter(minor: str) -> Path:
    """The same, or one that uv fetches.

    Raises:
        MachineFault: there is none, and none can be had.
    """
    found = installed_interpreter(minor) or _fetched(minor)
    if found is None:
        raise MachineFault(
            f"Python {minor} is not on this machine, and uv could not fetch it",
            advice=f"install it (uv python install {minor}), or use the docker runtime, whose image brings its own Python",
        )
    return found


@functools.cache
def whole_version(python: str) -> str:
    """A version of Python with its patch, "3.11.7": as it is where it has one, else that of the interpreter on this machine, if there is one."""
    if match := re.match(r"\s*(\d+\.\d+\.\d+)", python):
        return match[1]
    minor = ".".join(python.strip().split(".")[:2])
    found = installed_interpreter(minor)
    if found is None:
        return minor
    said = subprocess.run([found, "-I", "-c", "import platform; print(platform.python_version())"], capture_output=True, text=True, check=False)
    return whole_version(said.stdout) if re.match(r"\d+\.\d+\.\d+", said.stdout) else minor


def any_patch(minor: str) -> str:
    """What uv is given for a Python where versions are chosen already: packages name the first patch that they run on, ">=3.8.1", and a minor alone
    is its first to uv."""
    return f"{minor}.99"


def _found(minor: str, *options: str) -> Path | None:
    try:
        return Path(uv("python", "find", "--no-project", *options, minor, doing="looking for Python").strip())
    except DeployerError:
        return None


def _fetched(minor: str) -> Path | None:
    try:
        uv("python", "install", minor, doing="fetching Python")
    except DeployerError:
        return None
    return _found(minor, "--managed-python")


def _of_pyenv(minor: str) -> Path | None:
    """pyenv's shims answer only for the versions that are switched on; the others are in its folder all the same."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = sorted(root.glob(f"{minor}.*/bin/python"), key=lambda path: [int(part) for part in re.findall(r"\d+", path.parts[-3])])
    return found[-1] if found else None
