"""The bytecode of a layer of packages or of the runtime, a layer of its own: what an image imports isn't compiled anew in each container.

It is made where an interpreter of that minor is on this machine, from the files of the layer, none of which is run. Nothing checks it against its
source while it is read (unchecked hashes): layers have no times, and nothing in an image changes.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from deployer.core.state import Digest, digest_of
from deployer.events import Report, stepping
from deployer.oci import Compression
from deployer.words import size
from deployer_images import cache
from deployer_images.layers.archive import ArchiveEntry, Layer, reading, write_layer
from deployer_images.layers.built import FACTS, FILE, Built, kept
from deployer_images.layers.installed import models
from deployer_images.layers.package_set import PackageSet
from deployer_images.uv import installed_interpreter

_FORM = 1
"""Counts up when the same files would be compiled otherwise."""
_ASTRAY = ("PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "PYTHONOPTIMIZE", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True, slots=True)
class Bytecode:
    """That of a set of packages, for the minor of Python that the set is for: bytecode is the same for all of a minor."""

    packages: PackageSet

    @property
    def address(self) -> Digest:
        return digest_of(["bytecode", _FORM, self.packages.python, self.packages.address])

    @property
    def tag(self) -> str:
        """Under which a registry keeps the layer."""
        return f"bytecode-{self.address.removeprefix('sha256:')[:40]}"

    @property
    def python(self) -> str:
        return self.packages.python

    @property
    def platform(self) -> str:
        return self.packages.platform

    @property
    def lines(self) -> tuple[str, ...]:
        """No package is in it."""
        return ()


def build_bytecode(bytecode: Bytecode, packages: Path, report: Report) -> Built | None:
    """The layer; None where no interpreter of that minor is on this machine.

    Args:
        packages: the file of the packages' layer.

    Raises:
        MachineFault: the disk is full.
    """
    interpreter = installed_interpreter(bytecode.python)
    if interpreter is None:
        return None
    with stepping(report, "build_bytecode", "bytecode", bytecode.packages.name) as outcome:
        built = kept(bytecode.address, lambda target: _make(bytecode, packages, interpreter, target))
        outcome.detail = size(built.layer.size)
    return built


def write_bytecode(packed: Path, modules: str, interpreter: Path, stream: IO[bytes], compression: Compression = Compression.GZIP) -> Layer:
    """Write the layer of the bytecode of what another layer has below `modules`.

    Args:
        packed: the file of the other layer.
    """
    with tempfile.TemporaryDirectory(dir=cache.folder("builds")) as name:
        root = Path(name)
        with reading(packed) as tar:
            tar.extractall(name, (member for member in tar if member.name.startswith(f"{modules}/")), filter="data")
        _compile(root, root / modules, interpreter)
        return write_layer(_entries(root), stream, compression)


def _make(bytecode: Bytecode, packages: Path, interpreter: Path, target: Path) -> None:
    with (target / FILE).open("wb") as file:
        layer = write_bytecode(packages, models(bytecode.python).modules, interpreter, file, bytecode.packages.compression)
    (target / FACTS).write_text(json.dumps(asdict(layer)))


def _compile(root: Path, modules: Path, interpreter: Path) -> None:
    """What isn't meant to compile (templates, another Python's syntax) is left alone, as pip leaves it."""
    how = ("-q", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/")
    variables = {name: value for name, value in os.environ.items() if name not in _ASTRAY} | {"PYTHONHASHSEED": "0"}
    subprocess.run([interpreter, "-m", "compileall", *how, modules], env=variables, cwd=root, capture_output=True, check=False, pass_fds=cache.held())


def _entries(root: Path) -> Iterator[ArchiveEntry]:
    return (ArchiveEntry(path.relative_to(root).as_posix(), path) for path in sorted(root.rglob("__pycache__/*.pyc")))
