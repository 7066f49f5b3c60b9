"""Which files a lock's packages come in: one wheel each, that runs on the image's Python, platform and libc.

uv lists them with their digests and sizes, and neither fetches nor builds a package for it. The choice among several is pip's: by the order of
their tags.
"""

from __future__ import annotations

import hashlib
import json
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from deployer.errors import ModelInvalid
from deployer_images import cache
from deployer_images.indexes import uv_variables
from deployer_images.locks import Lock, built_from, name_of, uv_platform
from deployer_images.uv import any_patch, uv
from deployer_images.wanted import Wanted
from deployer_scoring.model.own_paths import path_of

_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST_LIBC = {"x86_64": 5, "aarch64": 17}
_FRESH_SECONDS = 600
"""For how long PyPI says that its answers are good; a create asks twice, and listing fifty packages takes uv half a second."""


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
        return cls._because(
            reasons,
            "no layer can be made of the model's packages",
            advice="have an index give a wheel of it, name a version that has one, or let it be built: by a docker engine "
            "on this machine, or in the container (--packages at-start)",
        )

    @classmethod
    def beside_the_runtime(cls, reasons: Sequence[str]) -> NoWheel:
        """Of what the shared image is to have for every model: the container that would build it is one of that image."""
        return cls._because(
            reasons,
            "the shared image takes wheels alone",
            advice="have an index give a wheel of it, or a folder one that `pip wheel` made (UV_FIND_LINKS=FOLDER); name a version that has one; or "
            "have the model require it instead: an engine on this machine builds that for the model's own layer, as --for MODEL does at once",
        )

    @classmethod
    def _because(cls, reasons: Sequence[str], what: str, *, advice: str) -> NoWheel:
        refusal = cls(f"{what}: {'; '.join(reasons)}", advice=advice)
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
    offered = _offered(lock, wanted, [line for line in lines if line not in own], ca_bundle)
    found = list[Wheel]()
    for line in lines:
        files = [_own(line, wanted)] if line in own else offered[line]
        runs = sorted((rank, wheel) for wheel in files if (rank := _rank(wheel.file, supported)) is not None)
        named = lock.hashes.get(line)
        meant = [wheel for _, wheel in runs if not named or wheel.digest in named]
        if meant:
            found.append(meant[0])
        elif runs:
            missing.append(f"{line} has no wheel for Python {lock.python} on {lock.platform} with a digest that the model names")
        else:
            other = f"has no wheel for Python {lock.python} on {lock.platform}" if files else "is only a source distribution"
            missing.append(f"{line} {other}")
    return tuple(sorted(found)), tuple(missing)


def _offered(lock: Lock, wanted: Wanted, lines: Sequence[str], ca_bundle: Path | None) -> dict[str, list[Wheel]]:
    """The wheels that indexes have of each; an answer that has some of all is kept for a while."""
    asked = {name: value for name, value in uv_variables(ca_bundle).items() if name.startswith("UV_")}
    key = cache.key(lock.python, lock.platform, sorted(lines), wanted.identity, wanted.folders, sorted(asked.items()))
    file = cache.root() / "wheels" / f"{key}.json"
    if kept := _kept(file):
        return kept
    listed = {name_of(package["name"]): package for package in _listed(lock, wanted, lines, ca_bundle)}
    found = {line: [*_files(line, listed.get(name_of(line), {}))] for line in lines}
    if all(found.values()):
        cache.write(file, json.dumps({line: [astuple(wheel) for wheel in files] for line, files in found.items()}))
    return found


def _kept(file: Path) -> dict[str, list[Wheel]] | None:
    with suppress(OSError, ValueError, TypeError, AttributeError):
        if time.time() - file.stat().st_mtime < _FRESH_SECONDS:
            return {line: [Wheel(*each) for each in files] for line, files in json.loads(file.read_text()).items()}
    return None


def _listed(lock: Lock, wanted: Wanted, lines: Sequence[str], ca_bundle: Path | None) -> list[Mapping[str, Any]]:
    if not lines:
        return []
    said = uv(
        *("pip", "compile", "-", "--quiet", "--no-header", "--no-deps", "--format", "pylock.toml", "--python-version", any_patch(lock.python)),
        *uv_platform(lock.platform),
        *wanted.folders,
        stdin=wanted.listed(lines),
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
