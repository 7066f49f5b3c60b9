"""DEPLOYER_PACKAGES=at-start: the model's own packages, installed by uv before the model is loaded.

They go into a fresh temporary directory that stands first on sys.path; nothing else is written, so a read-only root will do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Optional

from deployer_scoring.errors import LoadError
from deployer_scoring.masking import learn, masked
from deployer_scoring.model.own_paths import on_this_machine, path_of
from deployer_scoring.model.requirements import build_dependencies, needs
from deployer_scoring.printable import printable

_ADVICE = "build the image with them instead (deploy build-and-push-container --for MODEL), or serve with an image that has them"


def install_requirements(model: Path) -> Optional[Path]:
    """Install what a model requires and put it first on sys.path.

    Returns:
        The directory of the packages, which lives as long as the container; None where the model requires nothing.

    Raises:
        LoadError: uv isn't here, or can't install them; without a network it never can.
        MLModelError: The model's requirements can't be read.
    """
    if not needs(model).requirements:
        return None
    uv = find_uv()
    if uv is None:
        raise LoadError(f"DEPLOYER_PACKAGES=at-start needs uv in the image, which isn't there; {_ADVICE}")
    directory = Path(tempfile.mkdtemp(prefix="deployer-packages-"))
    backend = torch_backend(os.environ, locked=bool(needs(model).hashes))
    command = [uv, "pip", "install", "--quiet", "--no-cache", "--python", sys.executable, "--target", str(directory)]
    with tempfile.TemporaryDirectory() as folder:
        install([*command, *asked(model, Path(folder))], directory, backend)
        if lacking := lacking_in(directory, model, Path(folder)):
            install([*command, *lacking], directory)
    sys.path.insert(0, str(directory))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))  # for processes that a model starts
    return directory


def torch_backend(environ: Mapping[str, str], *, locked: bool) -> Mapping[str, str]:
    """Variables by which uv takes PyTorch's build for what there is here, by the driver that it finds: from PyTorch's own index, beside PyPI.

    None where another index stands for PyPI, where uv is told otherwise, and where digests say which files these are.
    """
    told = ("UV_TORCH_BACKEND", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_NO_INDEX", "UV_CONFIG_FILE", "UV_OFFLINE")
    return {} if locked or any(environ.get(name) for name in told) else {"UV_TORCH_BACKEND": "auto"}


def find_uv() -> Optional[str]:
    """uv beside the Python that runs, or on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv")


def asked(model: Path, folder: Path, more: Iterable[str] = ()) -> list[str]:
    """What uv is asked to install for a model, as options; its files go into a folder that is there as long.

    Where the model's requirements are a lock with digests, no other file is taken.

    Args:
        more: Requirements beside the model's.
    """
    wanted, extra = needs(model), tuple(more)
    lines = [
        " ".join([_installable(line, model, folder), *(f"--hash={each}" for each in wanted.hashes.get(line, ()))]) for line in wanted.requirements
    ]
    limits = [_installable(line, model, folder) for line in wanted.constraints]
    links = [part for link in wanted.links for part in ("--find-links", str((model / link).resolve()))]
    learn(*lines, *extra, *limits, *os.environ.values())
    locked = not extra and all(line in wanted.hashes for line in wanted.requirements)
    return [*_files(folder, [*lines, *extra], limits), *links, *(["--require-hashes"] if locked else [])]


def lacking_in(packages: Path, model: Path, folder: Path) -> list[str]:
    """The same for what python_env.yaml has installed before all else, as far as these installed packages don't bring it; empty where they do."""
    there = [each.name[: -len(".dist-info")].rpartition("-") for each in packages.glob("*.dist-info")]
    names = {_canonical(name) for name, _, _ in there}
    lines = [line for line in build_dependencies(model) if _canonical(line) not in names]
    return _files(folder, lines, [f"{name}=={version}" for name, _, version in there]) if lines else []


def install(command: list[str], directory: Path, variables: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run uv; where it can't with these variables for a reason that is PyTorch's index's, without them.

    Raises:
        LoadError: It can't; then the directory is gone.
    """
    environment = {**os.environ, **variables}
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    if done.returncode and variables and "torch" in done.stderr:
        sys.stderr.write("PyTorch's own index has no build for this: what the other indexes have is installed\n")
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = masked(done.stderr)
        sys.stderr.write(printable(said))
        shutil.rmtree(directory, ignore_errors=True)
        raise LoadError(f"the model's packages could not be installed: {_reason(said)}; {_ADVICE}")


def _installable(line: str, model: Path, folder: Path) -> str:
    path = path_of(line)
    if path is None:
        return line
    place = model / path
    if place.is_dir():  # a build writes into it, and the model's directory may be read-only
        place = Path(shutil.copytree(place, Path(tempfile.mkdtemp(dir=folder)) / "source"))
    return on_this_machine(line, place)


def _files(folder: Path, lines: Iterable[str], limits: Iterable[str]) -> list[str]:
    options = []
    for option, content in (("--requirements", lines), ("--constraint", limits)):
        descriptor, name = tempfile.mkstemp(dir=folder, suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(content))
        options += [option, name]
    return options


def _canonical(requirement: str) -> str:
    """The name in a requirement, as indexes spell it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s=<>!~@\[;]", requirement.strip(), maxsplit=1)[0]).lower()


def _reason(said: str) -> str:
    """Why uv could not install them, by its last words; a builder's own are told from the index's."""
    words = " ".join(line.strip() for line in said.splitlines() if not line.startswith("hint:")).split()
    last = " ".join(words)[-400:]
    if built := re.search(r"Failed to (?:download and )?build `([^`]+)`", said):
        return f"{built.group(1)} could not be built: {last}"
    unreachable = any(word in said.lower() for word in ("dns", "connect", "network", "timed out", "resolve host"))
    return "the package index can't be reached (a network-isolated container never can)" if unreachable else last
