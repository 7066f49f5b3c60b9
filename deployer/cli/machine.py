"""What `doctor` looks at on this machine."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator

from deployer.cli.about import DISTRIBUTIONS, installed
from deployer.cli.words import size
from deployer.target import Finding, Verdict
from deployer.version import __version__

LITTLE_SPACE = 2_000_000_000
"""Bytes: less than this, and a model's environment or an image may not fit."""


def machine_findings() -> Iterator[Finding]:
    """This tool and its SDKs, the disk, a container engine."""
    yield Finding("deployer", Verdict.OK, f"{__version__}, Python {sys.version.split()[0]}")
    found = [f"{name} {version}" for name in DISTRIBUTIONS if (version := installed(name))]
    yield Finding("SDKs", Verdict.OK, ", ".join(found) or "none installed")
    yield _disk()
    yield _docker()


def _disk() -> Finding:
    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    if free < LITTLE_SPACE:
        return Finding("disk", Verdict.WARNING, f"{size(free)} free at {place}", "make room, or set TMPDIR to a larger disk")
    return Finding("disk", Verdict.OK, f"{size(free)} free at {place}")


def _docker() -> Finding:
    """An engine isn't needed but for building images and for running them here."""
    without = "targets work all the same; run-local and the local cloud use local processes"
    try:
        import docker
    except ModuleNotFoundError:
        return Finding("docker", Verdict.WARNING, f"its client is not installed; {without}", 'pip install "deployer-ml[docker]"')
    try:
        client = docker.from_env(timeout=5)
        try:
            return Finding("docker", Verdict.OK, f"engine {client.version()['Version']}")
        finally:
            client.close()
    except Exception as error:  # a finding never raises
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        return Finding("docker", Verdict.WARNING, f"no engine answers; {without}", f"start it to build images ({reason})")
