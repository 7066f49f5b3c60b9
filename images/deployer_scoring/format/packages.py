"""The packages installed here: their versions, the modules that they bring, what they require."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Optional


def version_of(*names: str) -> Optional[str]:
    """The version of the first of these packages that is installed, without a local label ("2.7.1+cu128", which no index has)."""
    for name in names:
        try:
            return importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def pinned(name: str) -> str:
    """A requirement for the version installed here; for any where none is."""
    version = version_of(name)
    return f"{name}=={version}" if version else name


def canonical(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def mismatches(requirements: Iterable[str]) -> list[str]:
    """What is installed here in another version than these requirements pin, or not at all, as people read it; mlflow isn't looked at."""
    found = []
    for line in requirements:
        match = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*])?\s*==\s*([^\s;,*]+)\s*$", line)
        if match and not match.group(1).startswith("mlflow"):
            name, wanted = match.group(1), match.group(2).partition("+")[0]
            here = version_of(name, *packages_by_module().get(name, ()))  # xgboost may be there as xgboost-cpu
            if here != wanted:
                found.append(f"{name} {wanted} ({here or 'absent'} here)")
    return found


@lru_cache(maxsize=None)
def packages_by_module() -> dict[str, list[str]]:
    """The packages that bring each top-level module."""
    known = getattr(importlib.metadata, "packages_distributions", None)
    if known is not None:
        return dict(known())
    found: dict[str, list[str]] = {}
    for distribution in importlib.metadata.distributions():  # before Python 3.10
        named = (distribution.read_text("top_level.txt") or "").split()
        for module in named or {file.parts[0].partition(".")[0] for file in distribution.files or () if file.suffix == ".py"}:
            found.setdefault(module, []).append(distribution.metadata["Name"])
    return found


def without_implied(names: Iterable[str]) -> set[str]:
    """The packages that no other one of them requires: scikit-learn brings numpy."""
    wanted = {canonical(name) for name in names}
    return {name for name in wanted if not any(name in required_by(other) and other not in required_by(name) for other in wanted - {name})}


@lru_cache(maxsize=None)
def required_by(name: str) -> frozenset[str]:
    """All packages that a package needs, over any number of steps, its extras apart."""
    found: set[str] = set()
    waiting = [canonical(name)]
    while waiting:
        for each in _requirements(waiting.pop()):
            if each not in found:
                found.add(each)
                waiting.append(each)
    return frozenset(found)


def _requirements(name: str) -> set[str]:
    try:
        lines = importlib.metadata.requires(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return set()
    needed = (line for line in lines if not re.search(r";.*\bextra\b", line))
    return {canonical(match.group()) for line in needed if (match := re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line))}
