"""Which files a lock's packages come in: one wheel each, that runs on the image's Python, platform and libc.

uv lists them with their digests and sizes, and neither fetches nor builds a package for it. The choice among several is pip's: by the order of
their tags.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from deployer.errors import ModelInvalid
from deployer_images.locks import Lock, built_from, name_of, uv_platform
from deployer_images.uv import uv
from deployer_images.wanted import Wanted
from deployer_scoring.model.own_paths import path_of

_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST_LIBC = {"x86_64": 5, "aarch64": 17}


@dataclass(frozen=True, slots=True, order=True)
class Wheel:
    """One package's file.

    Attributes:
        line: as the lock has it, `name==version` or `name @ URL`.
        digest: "sha256:…", what the file is held against when it's fetched.
        size: of the file, compressed; 0 where the index doesn't say.
    """

    name: str
    version: str
    line: str
    file: str
    digest: str
    size: int = 0


class NoWheel(ModelInvalid):
    """Packages that only a build gives: no image is put together from those. `reasons` has of each what it is."""

    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, reasons: Sequence[str]) -> NoWheel:
        refusal = cls(
            f"no layer can be made of the model's packages: {'; '.join(reasons)}",
            advice="have an index give a wheel of it, name a version that has one, or let it be built: by a docker engine "
            "on this machine, or in the container (--packages at-start)",
        )
        refusal.reasons = tuple(reasons)
        return refusal


def wheels(lock: Lock, wanted: Wanted, *, ca_bundle: Path | None = None) -> tuple[tuple[Wheel, ...], tuple[str, ...]]:
    """The wheel of each package of a lock, by name; and of each that has none for that Python and platform a sentence that says why.

    Raises:
        TargetUnavailable: no index answers.
    """
    missing = [*filter(None, map(built_from, lock.all))]
    lines = [line for line in lock.all if not built_from(line)]
    supported = _supported(lock.python, lock.platform)
    own = [line for line in lines if path_of(line)]
    listed = {name_of(package["name"]): package for package in _listed(lock, wanted, [line for line in lines if line not in own], ca_bundle)}
    found = list[Wheel]()
    for line in lines:
        files = [_own(line, wanted)] if line in own else [*_files(line, listed.get(name_of(line), {}))]
        runs = sorted((rank, wheel) for wheel in files if (rank := _rank(wheel.file, supported)) is not None)
        if runs:
            found.append(runs[0][1])
        else:
            other = f"has no wheel for Python {lock.python} on {lock.platform}" if files else "is only a source distribution"
            missing.append(f"{line} {other}")
    return tuple(sorted(found)), tuple(missing)


def _listed(lock: Lock, wanted: Wanted, lines: Sequence[str], ca_bundle: Path | None) -> list[Mapping[str, Any]]:
    if not lines:
        return []
    said = uv(
        *("pip", "compile", "-", "--quiet", "--no-header", "--no-deps", "--format", "pylock.toml", "--python-version", lock.python),
        *uv_platform(lock.platform),
        *wanted.folders,
        stdin="\n".join(lines),
        doing="looking for the packages' wheels",
        ca_bundle=ca_bundle,
        repositories=False,
    )
    return list(tomllib.loads(said).get("packages", ()))


def _files(line: str, package: Mapping[str, Any]) -> Iterator[Wheel]:
    """The wheels among a package's files."""
    for each in (*package.get("wheels", ()), *([package["archive"]] if "archive" in package else ())):
        file = unquote(urlsplit(str(each.get("url") or each.get("path"))).path).rpartition("/")[2]
        if file.endswith(".whl") and (digest := each.get("hashes", {}).get("sha256")):
            yield _wheel(line, file, f"sha256:{digest}", int(each.get("size", 0)))


def _own(line: str, wanted: Wanted) -> Wheel:
    """A wheel in the model's directory."""
    file = Path(unquote(urlsplit(wanted.installable(line).partition(" @ ")[2] or wanted.installable(line)).path))
    content = file.read_bytes()
    return _wheel(line, file.name, "sha256:" + hashlib.sha256(content).hexdigest(), len(content))


def _wheel(line: str, file: str, digest: str, size: int) -> Wheel:
    try:
        name, version, _, _ = parse_wheel_filename(file)
    except InvalidWheelFilename as fault:
        raise NoWheel.of([str(fault)]) from fault
    return Wheel(canonicalize_name(name), str(version), line, file, digest, size)


def _rank(file: str, supported: Mapping[Tag, int]) -> int | None:
    """The place of a wheel's best tag in the order of preference; None where it doesn't run there."""
    return min((supported[tag] for tag in parse_wheel_filename(file)[3] if tag in supported), default=None)


def _supported(python: str, platform: str) -> dict[Tag, int]:
    """Tags that run in the image, best first."""
    architecture, _, libc = uv_platform(platform)[-1].partition("-manylinux_2_")
    platforms = [
        name
        for minor in range(int(libc), _OLDEST_LIBC[architecture] - 1, -1)
        for name in (f"manylinux_2_{minor}_{architecture}", *([f"{_ALIASES[minor]}_{architecture}"] if minor in _ALIASES else []))
    ]
    platforms.append(f"linux_{architecture}")
    major, minor = map(int, python.split("."))
    interpreter = f"cp{major}{minor}"
    tags = (
        *cpython_tags((major, minor), [interpreter], platforms),
        *compatible_tags((major, minor), interpreter, platforms),
    )
    return {tag: rank for rank, tag in reversed([*enumerate(tags)])}
