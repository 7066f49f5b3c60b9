"""Environments for a model as MLflow's `--env-manager` names them: uv's, this process's own, virtualenv's with pip, conda's.

Those of virtualenv and conda are made once for the same requirements and kept, like uv's; but pip and conda choose the versions of what isn't
pinned, on the day that the environment is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from packaging.utils import canonicalize_name

from deployer.errors import ConfigInvalid, MachineFault, ModelInvalid
from deployer.requirements import need, refuse_old_python
from deployer_images import cache, scoring
from deployer_images.environments import Say, environment, minor_of
from deployer_images.locks import name_of
from deployer_images.uv import OURS, installed_interpreter
from deployer_scoring.errors import ScoringError
from deployer_scoring.model import requirements as required
from deployer_scoring.model.mlmodel import parse_mlmodel

UV, LOCAL, VIRTUALENV, CONDA = "uv", "local", "virtualenv", "conda"
MANAGERS = (UV, LOCAL, VIRTUALENV, CONDA)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an environment should have."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    python: str
    conda_file: Path | None = None


def interpreter_for(model: Path, manager: str, *, more: Sequence[str] = (), say: Say = lambda _: None) -> Path:
    """The interpreter of an environment that has what the model requires, and the scoring runtime.

    Args:
        model: its directory.
        manager: one of `MANAGERS`; "local" is the interpreter that runs this, with whatever it has.
        more: requirements beside the model's; one for a package that the model requires too replaces it.
        say: told, in a sentence, what takes long.

    Raises:
        ModelInvalid: its requirements can't be read, or nothing satisfies them.
        MachineFault: the manager or a Python isn't on this machine. TargetUnavailable: no index answers.
    """
    if manager == LOCAL:
        return Path(sys.executable)
    wanted = _wanted(model, more)
    if manager == UV:
        return environment(wanted.requirements, wanted.python, constraints=wanted.constraints, say=say)
    if manager == VIRTUALENV:
        return _kept("virtualenvs", wanted, lambda target: _make_virtualenv(target, wanted), say)
    if manager == CONDA:
        program = _conda()
        return _kept("conda", wanted, lambda target: _make_conda(program, target, wanted), say)
    raise ConfigInvalid(f"{manager} is not an environment manager", advice=f"take one of {', '.join(MANAGERS)}")


def _wanted(model: Path, more: Sequence[str]) -> Wanted:
    try:
        listed, held = required.requirements(model), required.constraints(model)
        python = parse_mlmodel(model).pyfunc.python_version or required.python_version(model) or OURS
    except ScoringError as fault:
        raise ModelInvalid(f"the model's requirements can't be read: {fault}") from fault
    refuse_old_python(python, otherwise="--env-manager local tries it with the Python that runs this")
    replaced = {need(line).name for line in more}
    kept = (line for line in listed if need(line).name not in replaced)
    conda = model / required.CONDA
    return Wanted((*kept, *more), held, minor_of(python), conda if conda.is_file() and not more else None)


def _kept(kind: str, wanted: Wanted, make: Callable[[Path], None], say: Say) -> Path:
    described = wanted.conda_file.read_text(encoding="utf-8") if wanted.conda_file and kind == "conda" else ""
    key = cache.key(wanted.python, sorted(wanted.requirements), sorted(wanted.constraints), described, scoring.digest())

    def made(target: Path) -> None:
        say(f"making an environment for Python {wanted.python}; it is kept for the next time")
        make(target)
        _add_runtime(target)

    return cache.made(cache.root() / kind / key, made) / "bin" / "python"


def _make_virtualenv(target: Path, wanted: Wanted) -> None:
    python = installed_interpreter(wanted.python)
    if python is None:
        raise MachineFault(
            f"Python {wanted.python} is not on this machine, and virtualenv can't fetch it",
            advice=f"install it (pyenv install {wanted.python}), or use --env-manager uv, which fetches it",
        )
    tool = shutil.which("virtualenv")
    command = [tool, "--quiet", "--python", str(python)] if tool else [str(python), "-m", "venv"]
    _run([*command, str(target)], "making a virtual environment")
    if wanted.requirements:
        _pip(target, wanted.requirements, wanted.constraints)


def _make_conda(program: Path, target: Path, wanted: Wanted) -> None:
    shutil.rmtree(target)  # conda makes it itself, and only where nothing is
    file = target.with_name(f"{target.name}.yaml")
    file.write_text(wanted.conda_file.read_text(encoding="utf-8") if wanted.conda_file else _conda_file(wanted))
    create = ("create", "--yes") if program.name.startswith("micromamba") else ("env", "create", "--quiet")
    try:
        _run([str(program), *create, "--prefix", str(target), "--file", str(file)], f"making an environment with {program.name}")
    finally:
        file.unlink()


def _conda_file(wanted: Wanted) -> str:
    return yaml.safe_dump({"channels": ["conda-forge"], "dependencies": [f"python={wanted.python}", "pip", {"pip": [*wanted.requirements]}]})


def _conda() -> Path:
    """conda, micromamba or mamba: as MLflow's and conda's own variables name it, else the first on PATH.

    Raises:
        MachineFault: none is here.
    """
    home = os.environ.get("MLFLOW_CONDA_HOME")
    named = [Path(home) / "bin" / "conda"] if home else [Path(path) for name in ("CONDA_EXE", "MAMBA_EXE") if (path := os.environ.get(name))]
    found = [path for path in named if path.is_file()] or [Path(path) for name in ("conda", "micromamba", "mamba") if (path := shutil.which(name))]
    if not found:
        raise MachineFault(
            "neither conda nor micromamba nor mamba is on this machine's PATH",
            advice="install micromamba, set MLFLOW_CONDA_HOME or CONDA_EXE, or use --env-manager uv",
        )
    return found[0]


def _add_runtime(target: Path) -> None:
    """The scoring runtime's source, and those of its packages that aren't there, none of the model's being changed for them."""
    there = _run([*_python_of(target), "-m", "pip", "list", "--format", "freeze"], "looking at what is installed").splitlines()
    have = {name_of(line) for line in there if line}
    if lacking := [line for line in scoring.requirements() if canonicalize_name(name_of(line)) not in have]:
        _pip(target, lacking, [line for line in there if "==" in line])
    runtime = target / "deployer-runtime"
    scoring.copy(runtime)
    (site_packages,) = target.glob("lib/python*/site-packages")
    (site_packages / "zzz-deployer-runtime.pth").write_text(f"{runtime}\n")


def _pip(target: Path, requirements: Sequence[str], constraints: Sequence[str]) -> None:
    limits = target / "constraints.txt"
    limits.write_text("\n".join(constraints))
    command = [
        *_python_of(target),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--disable-pip-version-check",
        "--no-input",
        "--constraint",
        str(limits),
    ]
    _run([*command, *requirements], "installing the requirements")


def _python_of(target: Path) -> tuple[str, ...]:
    return (str(target / "bin" / "python"),)


def _run(command: Sequence[str], doing: str) -> str:
    variables = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_REQUIRE_VIRTUALENV"}
    }
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=variables, pass_fds=cache.held())
    except OSError as fault:
        raise MachineFault(f"{command[0]} can't be run", why=str(fault)) from fault
    if not done.returncode:
        return done.stdout
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    told = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")] or lines[-3:]
    why = "; ".join(dict.fromkeys(told))[:600]
    if "No space left" in why:
        raise MachineFault(f"the disk is full while {doing}", why=why, advice="free some space, or set XDG_CACHE_HOME")
    raise ModelInvalid(f"{doing} failed", why=why, advice="correct the model's requirements, or use --env-manager uv")
