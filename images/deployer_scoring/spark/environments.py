"""A model's own Python environment, made on an executor by uv, once for each set of requirements, and kept for later applications."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Optional

from deployer_scoring.errors import LoadError
from deployer_scoring.model.mlmodel import parse_mlmodel
from deployer_scoring.model.requirements import constraints, python_version, requirements
from deployer_scoring.spark.client import locked, own_directory

# What the model process needs itself; the model's requirements decide which versions.
_OWN = ("numpy", "pandas", "pyarrow", "pyyaml", "cloudpickle")


def environment(model: Path) -> Path:
    """The interpreter of the environment of a model, made on first use.

    Raises:
        LoadError: uv isn't on the executor, or can't make it: what it said is in the message.
        MLModelError: The model's requirements can't be read.
    """
    wanted, limits = (*requirements(model), *_OWN), constraints(model)
    python = parse_mlmodel(model).pyfunc.python_version or python_version(model) or sys.version.split()[0]
    key = hashlib.sha256("\n".join([python, *wanted, "-c", *limits]).encode()).hexdigest()[:16]
    directory = own_directory(Path(tempfile.gettempdir()) / f"deployer-environments-{os.getuid()}") / key
    done = directory / "complete"
    with locked(directory.with_suffix(".lock")):
        if not done.exists():
            shutil.rmtree(directory, ignore_errors=True)
            _make(directory, python, wanted, limits)
            done.touch()
    return directory / "bin" / "python"


def _make(directory: Path, python: str, wanted: tuple[str, ...], limits: tuple[str, ...]) -> None:
    uv = _uv()
    if uv is None:
        raise LoadError("env_manager='uv' needs uv on the executors: install it in their Python environment, or use env_manager='local'")
    _run(uv, "venv", "--quiet", "--no-project", "--python", python, str(directory))
    file = directory / "constraints.txt"
    file.write_text("\n".join(limits))
    _run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(directory / "bin" / "python"), "--constraint", str(file), *wanted)


def _run(*command: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=clean)
    if done.returncode:
        raise LoadError(f"the model's Python environment could not be made on this executor: {' '.join(done.stderr.split())[-800:]}")


def _uv() -> Optional[str]:
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv")
