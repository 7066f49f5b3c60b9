"""The scoring runtime that goes into images and environments: the `deployer_scoring` that is installed here, and what it needs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement

import deployer_scoring

VERSION = deployer_scoring.__version__
_AUTHORING = frozenset({"format", "spark"})
"""What makes models, and what scores frames of Spark: nothing that serves a model imports them, so an image is the same without."""
_ARRAYS = frozenset({"numpy", "pandas"})


@cache
def requirements(extra: str = "scoring") -> tuple[str, ...]:
    """What the runtime needs to run, or with `grpc` what it needs besides: an extra of our own distribution, markers that don't hold left out."""
    found = []
    for line in importlib.metadata.requires("deployer-ml") or ():
        requirement = Requirement(line)
        if requirement.marker and requirement.marker.evaluate({"extra": extra}) and not requirement.marker.evaluate({"extra": ""}):
            requirement.marker = None
            found.append(str(requirement))
    return tuple(sorted(found))


def arrays() -> tuple[str, ...]:
    """Those of them that a model shares its arrays with: compiled against one another, they are chosen and kept together."""
    return tuple(line for line in requirements() if Requirement(line).name in _ARRAYS)


def digest() -> str:
    """Hex SHA-256 of the files that serve, names included: another source is another runtime, whatever its version says."""
    running = hashlib.sha256()
    for path in _files():
        content = path.read_bytes()
        running.update(f"{path.relative_to(_root())}\0{len(content)}\0".encode() + content)
    return running.hexdigest()


def copy(directory: Path) -> None:
    """Put what serves into a directory, as a package that can be imported from there."""
    for path in _files():
        target = directory / "deployer_scoring" / path.relative_to(_root())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _root() -> Path:
    return Path(deployer_scoring.__file__).parent


def _files() -> list[Path]:
    served = (path for path in _root().rglob("*") if path.relative_to(_root()).parts[0] not in _AUTHORING)
    return sorted(path for path in served if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc")
