"""Running uv, and saying in one sentence what it could not do. It is the binary of the PyPI package, never one that happens to be on PATH."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

from deployer.errors import CredentialsInvalid, DeployerError, MachineFault, ModelInvalid, TargetUnavailable
from deployer_images import cache
from deployer_images.indexes import uv_variables

_NO_NETWORK = re.compile(
    r"error sending request|dns error|tcp connect error|timed out|connection (?:refused|reset)|Request failed after|invalid peer cert", re.I
)
_NO_ACCESS = re.compile(r"\b(?:401 Unauthorized|403 Forbidden)\b|returned a?n? ?(?:401|403)")
_NO_SOLUTION = re.compile(
    r"No solution found|not found in the package registry|unsatisfiable|has no wheels|Failed to build|Couldn't parse requirement"
)


def uv(*arguments: str, doing: str, stdin: str = "", ca_bundle: Path | None = None, timeout_seconds: float | None = None) -> str:
    """Run uv and give its standard output.

    Args:
        doing: what is being done, for the error: "resolving the model's requirements".

    Raises:
        ModelInvalid: the requirements can't be satisfied, or one can't be built.
        TargetUnavailable: an index doesn't answer, or not in time. CredentialsInvalid: it wants others.
        MachineFault: the disk is full, or anything else.
    """
    with tempfile.TemporaryDirectory() as elsewhere:  # where no project's pyproject.toml or uv.toml steers it
        try:
            done = subprocess.run(
                [find_uv_bin(), "--no-progress", "--color", "never", *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                cwd=elsewhere,
                env=uv_variables(ca_bundle),
                pass_fds=cache.held(),
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired:
            raise TargetUnavailable(f"no answer after {timeout_seconds:.0f} s while {doing}", advice="check the network and the indexes") from None
    if done.returncode:
        raise _fault(doing, done.stderr)
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


def _fault(doing: str, said: str) -> DeployerError:
    why = _sentence(said)
    if "No space left on device" in said or "os error 28" in said:
        return MachineFault(f"the disk is full while {doing}", why=why, advice="free some space; ~/.cache/uv and ~/.cache/deployer may be removed")
    if _NO_ACCESS.search(said):
        return CredentialsInvalid(
            f"a package index refuses us while {doing}", why=why, advice="check its credentials: the index URL, ~/.netrc or the keyring"
        )
    if _NO_NETWORK.search(said):
        advice = "check the network, the proxy and the certificates (SSL_CERT_FILE), and the indexes that pip or uv are configured with"
        return TargetUnavailable(f"no package index answers while {doing}", why=why, advice=advice)
    if _NO_SOLUTION.search(said):
        return ModelInvalid(f"{doing} found no way to satisfy them", why=why, advice="correct the model's requirements, or save it again")
    return MachineFault(f"uv failed while {doing}", why=why)


def _sentence(said: str) -> str:
    """uv's own words, without its drawing: the error and its causes, the most telling first."""
    lines = [re.sub(r"^\s*(error|cause|caused by|hint|x|×|╰─▶|├─▶|│)[:\s]*", "", line, flags=re.I).strip() for line in said.splitlines()]
    words = [line for line in lines if line and not line.startswith("warning")]
    return "; ".join(dict.fromkeys(words[:4]))[:600]
