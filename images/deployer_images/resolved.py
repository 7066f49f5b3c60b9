"""What the package index gives for a model, for the check: the environment that would be made, and why there is none."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from deployer.checks import Finding, Surroundings, of_lock, of_requirements
from deployer.checks.binaries import NUMPY_2
from deployer.checks.finding import error, warning
from deployer.core.requirements import need, python_too_old
from deployer.core.state import PackagedModel
from deployer.errors import DeployerError, ModelInvalid
from deployer_images.faults import BuildFailed, NeedsBuild
from deployer_images.locks import Lock, locked
from deployer_images.uv import OURS, uv, whole_version
from deployer_images.wanted import Wanted
from deployer_scoring.model.requirements import source


def resolved(model: PackagedModel, python: str, *, build: bool, timeout_seconds: float) -> tuple[Surroundings, Finding | None]:
    """The environment that a model's requirements resolve to; where they don't, what they allow, and what is in the way.

    Args:
        python: the version that is meant; "" for the one that runs this.
        build: whether packages may be built, which runs their code.

    Raises:
        TargetUnavailable, CredentialsInvalid: what the index says. MachineFault: uv can't be run.
    """
    assert model.path is not None
    wanted = python or OURS
    file, allowed = source(model.path), of_requirements(model.facts.requirements, python)
    if python_too_old(wanted):
        return allowed, None  # which is said anyway
    try:
        asked = Wanted.of_model(model.path)
        lock = locked(asked, wanted, timeout_seconds=timeout_seconds, build=build)
    except NeedsBuild as refusal:
        return allowed, warning("requirements-build", file, refusal.message, refusal.advice)
    except BuildFailed as refusal:
        return allowed, error("requirements-build", file, "; ".join((refusal.message, *refusal.lines[-3:])), refusal.advice)
    except ModelInvalid as refusal:
        said = f"no index has what satisfies them for Python {whole_version(wanted)}: {refusal.why or refusal.message}"
        return allowed, error("requirements-unsatisfiable", file, said, refusal.advice)
    return of_lock(lock.packages, python, _compiled_before(lock, asked, whole_version(wanted))), None


def _compiled_before(lock: Lock, wanted: Wanted, python: str) -> Mapping[str, str]:
    """Of a lock with numpy 2 those packages that require it and are compiled, whose files the index had before it; nothing where it doesn't say."""
    numpy = next((each.pinned for each in map(need, lock.packages) if each.name == "numpy"), None)
    if numpy is None or numpy.major < 2:
        return {}
    lines = [line for line in lock.packages if " @ " not in line]
    try:
        using = set(_using_numpy(_asked(lines, wanted, python, "--annotation-style", "line")))
        files = tomllib.loads(_asked(lines, wanted, python, "--format", "pylock.toml", "--no-annotate"))
    except DeployerError:
        return {}
    return {name: day for name, day in _days(files.get("packages", [])) if name in using and day < NUMPY_2}


def _asked(lines: list[str], wanted: Wanted, python: str, *options: str) -> str:
    return uv(
        *("pip", "compile", "-", "--quiet", "--no-header", "--no-build", "--python-version", python, *options, *wanted.folders),
        stdin="\n".join(lines),
        doing="looking at the packages' files",
        repositories=False,
    )


def _using_numpy(listed: str) -> Iterator[str]:
    """Who requires numpy, by uv's annotation of its line."""
    if found := re.search(r"(?m)^numpy==\S+\s+# via (.*)$", listed):
        yield from (each.strip() for each in found[1].split(",") if not each.strip().startswith("-r"))


def _days(packages: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Name and day of the first of a package's wheels, where these are for one platform."""
    for package in packages:
        wheels = [each for each in package.get("wheels", []) if not str(each.get("url", each.get("path", ""))).endswith("-none-any.whl")]
        if len(wheels) == len(package.get("wheels", [])) and (
            days := sorted(str(each["upload-time"])[:10] for each in wheels if "upload-time" in each)
        ):
            yield str(package["name"]), days[0]
