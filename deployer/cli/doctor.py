"""What `doctor` looks at on this machine."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator

from deployer.cli.about import DISTRIBUTIONS, installed
from deployer.core.target import Diagnosis, Verdict
from deployer.errors import ExtraMissing, TargetUnavailable
from deployer.version import __version__
from deployer.words import size

LITTLE_SPACE = 2_000_000_000
"""Bytes: less than this, and a model's environment or an image may not fit."""


def machine_findings() -> Iterator[Diagnosis]:
    """This tool and its SDKs, the disk, a container engine."""
    yield Diagnosis("deployer", Verdict.OK, f"{__version__}, Python {sys.version.split()[0]}")
    found = [f"{name} {version}" for name in DISTRIBUTIONS if (version := installed(name))]
    yield Diagnosis("SDKs", Verdict.OK, ", ".join(found) or "none installed")
    yield _disk()
    yield _docker()


def _disk() -> Diagnosis:
    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    if free < LITTLE_SPACE:
        return Diagnosis("disk", Verdict.WARNING, f"{size(free)} free at {place}", "make room, or set TMPDIR to a larger disk")
    return Diagnosis("disk", Verdict.OK, f"{size(free)} free at {place}")


def _docker() -> Diagnosis:
    """An engine isn't needed but for building images and for running them here."""
    from deployer_images import engine

    try:
        client = engine.connect(timeout_seconds=5)
    except (ExtraMissing, TargetUnavailable) as error:
        without = "models run as local processes, and images can't be built"
        return Diagnosis("docker", Verdict.WARNING, f"{error.message}: {without}", error.advice)
    try:
        return Diagnosis("docker", Verdict.OK, f"engine {client.version()['Version']}")
    finally:
        client.close()
