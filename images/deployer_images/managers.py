"""Environments for a model as MLflow's `--env-manager` names them: uv's, this process's own, virtualenv's with pip, conda's.

Those of virtualenv and conda are made once for the same requirements and kept, like uv's; but pip and conda choose the versions of what isn't
pinned, on the day that the environment is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deployer.core.requirements import need, refuse_old_python
from deployer.errors import ConfigInvalid, MachineFault, ModelInvalid
from deployer_images import cache, scoring
from deployer_images.environments import Say, environment, minor_of
from deployer_images.faults import BuildFailed, fault_of
from deployer_images.locks import name_of
from deployer_images.uv import OURS, installed_interpreter
from deployer_images.wanted import Wanted
from deployer_scoring.errors import ScoringError
from deployer_scoring.model import requirements as required
from deployer_scoring.model.mlmodel import parse_mlmodel

UV, LOCAL, VIRTUALENV, CONDA = "uv", "local", "virtualenv", "conda"
MANAGERS = (UV, LOCAL, VIRTUALENV, CONDA)

Described = Mapping[str, Any] | None
"""A conda environment, as `required.conda_environment` gives it; None where the model has none."""


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
    wanted, version = Wanted.of_model(model, more), _python_of(model)
    if manager == UV:
        return environment(wanted, version, say=say)
    python = minor_of(version)
    if manager == VIRTUALENV:
        return _kept("virtualenvs", wanted, python, lambda target: _make_virtualenv(target, wanted, python), say)
    if manager == CONDA:
        program, described = _conda(), required.conda_environment(model) if not more else None
        return _kept("conda", wanted, f"{python} {described}", lambda target: _make_conda(program, target, wanted, python, described), say)
    raise ConfigInvalid(f"{manager} is not an environment manager", advice=f"take one of {', '.join(MANAGERS)}")


def lacking_for_grpc(model: Path) -> tuple[str, ...]:
    """What an environment of a model has to have besides to answer gRPC; what the model requires itself stays as it says.

    Raises:
        ModelInvalid: its requirements can't be read.
    """
    required_already = {need(line).name for line in Wanted.of_model(model).requirements}
    return tuple(line for line in scoring.requirements("grpc") if need(line).name not in required_already)


def _python_of(model: Path) -> str:
    try:
        python = parse_mlmodel(model).pyfunc.python_version or required.python_version(model) or OURS
    except ScoringError as fault:
        raise ModelInvalid(f"the model's Python can't be read: {fault}") from fault
    refuse_old_python(python, otherwise="--env-manager local tries it with the Python that runs this")
    return python


def _kept(kind: str, wanted: Wanted, of: str, make: Callable[[Path], None], say: Say) -> Path:
    """The interpreter of an environment of this kind, of Python alone or with a conda environment's file."""
    key = cache.key(of, sorted(wanted.requirements), wanted.identity, scoring.digest())

    def made(target: Path) -> None:
        say(f"making an environment for Python {of.partition(' ')[0]}; it is kept for the next time")
        make(target)
        _pip(target, _lacking(target, wanted.build), wanted)
        _add_runtime(target)

    return cache.made(cache.root() / kind / key, made) / "bin" / "python"


def _make_virtualenv(target: Path, wanted: Wanted, minor: str) -> None:
    python = installed_interpreter(minor)
    if python is None:
        raise MachineFault(
            f"Python {minor} is not on this machine, and virtualenv can't fetch it",
            advice=f"install it (pyenv install {minor}), or use --env-manager uv, which fetches it",
        )
    tool = shutil.which("virtualenv")
    command = [tool, "--quiet", "--python", str(python)] if tool else [str(python), "-m", "venv"]
    _run([*command, str(target)], "making a virtual environment")
    _pip(target, wanted.build, wanted)  # as pip has it: what the requirements want otherwise replaces it
    _pip(target, wanted.requirements, wanted)


def _make_conda(program: Path, target: Path, wanted: Wanted, python: str, described: Described) -> None:
    shutil.rmtree(target)  # conda makes it itself, and only where nothing is
    with tempfile.TemporaryDirectory() as folder:
        file, limits = Path(folder) / "conda.yaml", Path(folder) / "constraints.txt"
        file.write_text(yaml.safe_dump(_described(wanted, python, described, limits)), encoding="utf-8")
        create = ("create", "--yes") if program.name.startswith("micromamba") else ("env", "create", "--quiet")
        _run([str(program), *create, "--prefix", str(target), "--file", str(file)], f"making an environment with {program.name}")


def _described(wanted: Wanted, python: str, described: Described, limits: Path) -> Mapping[str, Any]:
    """The model's conda environment, or one made up of its requirements; pip finds in it what lies in the model's directory."""
    needs = required.Needs(wanted.requirements, wanted.constraints, (), wanted.hashes)
    given = described or {"channels": ["conda-forge"], "dependencies": [f"python={python}", "pip", {"pip": needs}]}

    def lines(needs: required.Needs) -> list[str]:
        limits.write_text("\n".join(map(wanted.installable, needs.constraints)))
        folders = [f"{option} {folder}" for option, folder in zip(wanted.folders[::2], wanted.folders[1::2], strict=True)]
        return [*folders, *([f"--constraint {limits}"] if needs.constraints else []), *map(wanted.installable, needs.requirements)]

    listed = [{"pip": lines(each["pip"])} if isinstance(each, dict) and "pip" in each else each for each in given.get("dependencies") or ()]
    return {**given, "dependencies": listed}


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
    lacking = _lacking(target, scoring.requirements())
    _pip(target, lacking, Wanted(constraints=tuple(line for line in _installed(target) if "==" in line)))
    runtime = target / "deployer-runtime"
    scoring.copy(runtime)
    (site_packages,) = target.glob("lib/python*/site-packages")
    (site_packages / "zzz-deployer-runtime.pth").write_text(f"{runtime}\n")


def _lacking(target: Path, requirements: Sequence[str]) -> tuple[str, ...]:
    have = {name_of(line) for line in _installed(target)}
    return tuple(line for line in requirements if name_of(line) not in have)


def _installed(target: Path) -> list[str]:
    command = [str(target / "bin" / "python"), "-m", "pip", "list", "--format", "freeze"]
    return [line for line in _run(command, "looking at what is installed").splitlines() if line]


def _pip(target: Path, requirements: Sequence[str], wanted: Wanted) -> None:
    """Install requirements among those that are wanted."""
    if not requirements:
        return
    limits, file = target / "constraints.txt", target / "requirements.txt"
    limits.write_text("\n".join(map(wanted.installable, wanted.constraints)))
    file.write_text(
        "\n".join(" ".join((wanted.installable(line), *(f"--hash={each}" for each in _hashes(line, requirements, wanted)))) for line in requirements)
    )
    command = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--no-input"]
    _run([*command, "--constraint", str(limits), *wanted.folders, "--requirement", str(file)], "installing the requirements")


def _hashes(line: str, requirements: Sequence[str], wanted: Wanted) -> tuple[str, ...]:
    """The digests that a requirement's file must have. pip wants them for all that it installs or for nothing."""
    return wanted.hashes.get(line, ()) if all(each in wanted.hashes for each in requirements) else ()


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
    said = f"{done.stdout}\n{done.stderr}"
    known = fault_of(doing, said)
    if isinstance(known, BuildFailed) or "No space left" in said:
        raise known
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")] or lines[-3:]
    raise ModelInvalid(
        f"{doing} failed", why="; ".join(dict.fromkeys(told))[:600], advice="correct the model's requirements, or use --env-manager uv"
    )
