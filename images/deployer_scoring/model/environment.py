"""DEPLOYER_ENV=at-start: the model's own packages, installed by uv before the model is loaded.

They go into a fresh temporary directory that stands first on sys.path; nothing else is written, so a read-only root will do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Optional

from deployer_scoring.errors import LoadError
from deployer_scoring.masking import learn, masked
from deployer_scoring.model.requirements import constraints, requirements
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
    wanted = requirements(model)
    if not wanted:
        return None
    uv = _uv()
    if uv is None:
        raise LoadError(f"DEPLOYER_ENV=at-start needs uv in the image, which isn't there; {_ADVICE}")
    directory = Path(tempfile.mkdtemp(prefix="deployer-packages-"))
    _install(uv, wanted, constraints(model), directory)
    sys.path.insert(0, str(directory))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))  # for processes that a model starts
    return directory


def _uv() -> Optional[str]:
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv")


def _install(uv: str, wanted: tuple[str, ...], constrained: tuple[str, ...], directory: Path) -> None:
    limits = directory / "constraints.txt"
    limits.write_text("\n".join(constrained))
    command = [uv, "pip", "install", "--quiet", "--no-cache", "--python", sys.executable, "--target", str(directory)]
    command += ["--constraint", str(limits), *wanted]
    learn(*wanted, *constrained, *os.environ.values())
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = masked(done.stderr)
        sys.stderr.write(printable(said))
        shutil.rmtree(directory, ignore_errors=True)
        said = " ".join(said.split())
        unreachable = any(word in said.lower() for word in ("dns", "connect", "network", "timed out", "resolve host"))
        reason = "the package index can't be reached (a network-isolated container never can)" if unreachable else said[-400:]
        raise LoadError(f"the model's packages could not be installed: {reason}; {_ADVICE}")
