"""Packages' files as an image has them: below /opt/deployer/venv, which is the environment that its server runs in.

uv unpacks the wheels into one folder on this machine. What it writes of the machine there (the interpreter in scripts, where a package came
from, its own notes) is taken out or made that of the image.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import relpath

from deployer_images.installing import install
from deployer_images.layers.archive import ArchiveEntry
from deployer_images.layers.package_set import PackageSet
from deployer_images.layers.trimming import left_out
from deployer_images.locks import Lock, uv_platform
from deployer_images.uv import OURS, any_patch, installed_interpreter, interpreter
from deployer_images.wanted import Wanted

VENV, RUNTIME = "opt/deployer/venv", "opt/deployer/runtime"
_PYTHON = b"#!/opt/deployer/venv/bin/python\n"
# Of an interpreter with a long path uv makes a script of the shell's.
_SHEBANG = re.compile(rb"\A#!(?:/bin/sh\n'''exec' [^\n]*\n' '''\n|[^\n]*python[^\n]*\n)")
_NOTES = frozenset({"REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})
_DATA = frozenset({"etc", "include", "lib", "man", "share"})


@dataclass(frozen=True, slots=True)
class SitePackages:
    """Where packages lie in an image, from its root: the modules, and the folder beside whose `bin` other files belong."""

    modules: str
    beside: str


RUNTIMES = SitePackages(RUNTIME, RUNTIME)


def models(python: str) -> SitePackages:
    """Where an image has the model's packages."""
    return SitePackages(f"{VENV}/lib/python{python}/site-packages", VENV)


def unpack(packages: PackageSet, wanted: Wanted, directory: Path, *, ca_bundle: Path | None = None) -> None:
    """Fetch the wheels and unpack them into a directory; each file must have the digest that the set has for it, and nothing is built.

    Raises:
        ModelInvalid: a file isn't the one that was chosen. TargetUnavailable: no index answers. MachineFault: the disk is full.
    """
    lock = Lock(packages.python, packages.lines, (), packages.platform, {wheel.line: (wheel.digest,) for wheel in packages.wheels})
    python = installed_interpreter(packages.python) or interpreter(OURS)
    where = ("--python", str(python), "--python-version", any_patch(packages.python), *uv_platform(packages.platform))
    options = ("--target", str(directory), "--no-build", "--no-compile-bytecode")
    install(lock.packages, lock, wanted, *options, *where, ca_bundle=ca_bundle)


def entries(directory: Path, place: SitePackages, *, trimmed: bool) -> Iterator[ArchiveEntry]:
    """What was unpacked, as files of the image."""
    files = {PurePosixPath(path.relative_to(directory).as_posix()): path for path in sorted(directory.rglob("*")) if path.is_file()}
    gone = left_out(files, lambda path: files[path].read_bytes()) if trimmed else frozenset()
    data = _data_folders(files)
    kept = {path: file for path, file in files.items() if path not in gone and path != PurePosixPath(".lock") and not _noted(path)}
    changed = {path: _script(file) for path, file in kept.items() if path.parts[0] == "bin"}
    names = {path: relpath(_name(path, data, place), place.modules) for path in kept}
    for path, file in kept.items():
        name = _name(path, data, place)
        if path.name == "RECORD" and path.parent.name.endswith(".dist-info"):
            yield ArchiveEntry(name, _record(file, names, changed))
        else:
            yield ArchiveEntry(name, changed.get(path, file), executable=path in changed or bool(file.stat().st_mode & 0o100))


def _name(path: PurePosixPath, data: frozenset[str], place: SitePackages) -> str:
    apart = path.parts[0] == "bin" or path.parts[0] in data
    return f"{place.beside if apart else place.modules}/{path}"


def _noted(path: PurePosixPath) -> bool:
    return path.name in _NOTES and path.parent.name.endswith(".dist-info")


def _data_folders(files: Mapping[PurePosixPath, Path]) -> frozenset[str]:
    """Folders that belong beside `bin` and not among the packages, as pip has them; a package by such a name has Python files of its own."""
    packages = {path.parts[0] for path in files if len(path.parts) == 2 and path.suffix == ".py"}
    return frozenset({path.parts[0] for path in files if len(path.parts) > 1} & _DATA) - packages


def _script(file: Path) -> bytes:
    return _SHEBANG.sub(_PYTHON, file.read_bytes(), count=1)


def _record(file: Path, names: Mapping[PurePosixPath, str], changed: Mapping[PurePosixPath, bytes]) -> bytes:
    """What a package says that it has, after the changes."""
    rows = set[tuple[str, str, str]]()
    for row in csv.reader(file.read_text(encoding="utf-8").splitlines()):
        path = PurePosixPath(row[0])
        if path in names:
            rows.add((names[path], *_sum(changed[path])) if path in changed else (names[path], row[1], row[2]))
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(sorted(rows))
    return written.getvalue().encode()


def _sum(content: bytes) -> tuple[str, str]:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={digest}", str(len(content))
