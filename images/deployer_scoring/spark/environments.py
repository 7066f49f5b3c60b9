"""A model's own Python environment, made on an executor by uv, once for each set of requirements, and kept for later applications."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deployer_scoring.errors import LoadError
from deployer_scoring.model.environment import asked, find_uv, lacking_in
from deployer_scoring.model.mlmodel import parse_mlmodel
from deployer_scoring.model.own_paths import path_of
from deployer_scoring.model.requirements import build_dependencies, needs, python_version
from deployer_scoring.spark.client import locked, own_directory

# What the model process needs itself; the model's requirements decide which versions.
_OWN = ("numpy", "pandas", "pyarrow", "pyyaml", "cloudpickle")


def environment(model: Path) -> Path:
    """The interpreter of the environment of a model, made on first use.

    Raises:
        LoadError: uv isn't on the executor, or can't make it: what it said is in the message.
        MLModelError: The model's requirements can't be read.
    """
    python = parse_mlmodel(model).pyfunc.python_version or python_version(model) or sys.version.split()[0]
    key = hashlib.sha256(repr([python, needs(model), build_dependencies(model), _own_files(model)]).encode()).hexdigest()[:16]
    directory = own_directory(Path(tempfile.gettempdir()) / f"deployer-environments-{os.getuid()}") / key
    done = directory / "complete"
    with locked(directory.with_suffix(".lock")):
        if not done.exists():
            shutil.rmtree(directory, ignore_errors=True)
            _make(directory, python, model)
            done.touch()
    return directory / "bin" / "python"


def _own_files(model: Path) -> list[str]:
    """The digests of what the requirements name in the model's directory: another file under the same name makes another environment."""
    wanted = needs(model)
    places = [model / path for line in (*wanted.requirements, *wanted.constraints) if (path := path_of(line))] + [
        model / link for link in wanted.links
    ]
    files = sorted({file for place in places for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file()})
    return [f"{file.relative_to(model)} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]


def _make(directory: Path, python: str, model: Path) -> None:
    uv = find_uv()
    if uv is None:
        raise LoadError("env_manager='uv' needs uv on the executors: install it in their Python environment, or use env_manager='local'")
    _run(uv, "venv", "--quiet", "--no-project", "--python", python, str(directory))
    install = (uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(directory / "bin" / "python"))
    (packages,) = directory.glob("lib/python*/site-packages")
    with tempfile.TemporaryDirectory() as folder:
        _run(*install, *asked(model, Path(folder), _OWN))
        if lacking := lacking_in(packages, model, Path(folder)):
            _run(*install, *lacking)


def _run(*command: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=clean)
    if done.returncode:
        raise LoadError(f"the model's Python environment could not be made on this executor: {' '.join(done.stderr.split())[-800:]}")
