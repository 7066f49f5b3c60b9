"""The files that say what a model needs: requirements.txt, constraints.txt, conda.yaml and python_env.yaml, as MLflow writes them."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import yaml

from deployer_scoring.errors import ScoringError
from deployer_scoring.format.packages import canonical, pinned, version_of
from deployer_scoring.model.requirements import CONDA, PYTHON_ENV, REQUIREMENTS

CONSTRAINTS = "constraints.txt"
_MLFLOW = frozenset({"mlflow", "mlflow-skinny", "mlflow-tracing"})


@dataclass(frozen=True)
class Environment:
    """What a model needs: requirements and constraints as pip writes them, and the conda environment that holds them."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    conda: Mapping[str, Any]

    def save(self, directory: Path) -> None:
        (directory / CONDA).write_text(yaml.safe_dump(dict(self.conda), default_flow_style=False), encoding="utf-8")
        if self.constraints:
            (directory / CONSTRAINTS).write_text("\n".join(self.constraints), encoding="utf-8")
        (directory / REQUIREMENTS).write_text("\n".join(self.requirements), encoding="utf-8")
        build = [pinned(each) for each in ("pip", "setuptools", "wheel")]
        python = {"python": platform.python_version(), "build_dependencies": build, "dependencies": [f"-r {REQUIREMENTS}"]}
        (directory / PYTHON_ENV).write_text(yaml.safe_dump(python, sort_keys=False, default_flow_style=False), encoding="utf-8")


def environment_of(requirements: Iterable[str]) -> Environment:
    """The environment of these requirements: mlflow goes first where it is installed here, and each package stands there once."""
    wanted, constraints = parsed(requirements)
    return _environment(wanted, constraints, None)


def environment_of_conda(conda: Union[str, Path, Mapping[str, Any]]) -> Environment:
    """The environment that a conda environment describes: a mapping, or the path of its file.

    Raises:
        ScoringError: The file can't be read, or is no conda environment.
    """
    if isinstance(conda, (str, Path)):
        try:
            conda = yaml.safe_load(Path(conda).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ScoringError(f"the conda environment {conda} can't be read: {error}") from error
    if not isinstance(conda, Mapping):
        raise ScoringError(f"conda_env is a dictionary or the path of a YAML file with one, not {conda!r}")
    listed = [each for each in conda.get("dependencies") or () if isinstance(each, Mapping) and "pip" in each]
    wanted, constraints = parsed(listed[0]["pip"] if listed else [])
    return _environment(wanted, constraints, conda)


def parsed(given: Union[str, Path, Iterable[str]]) -> tuple[list[str], list[str]]:
    """Requirements and constraints, of lines or of the file with this path; files that they include (-r, -c) are followed.

    Raises:
        ScoringError: A file can't be read; a requirement is no string.
    """
    if isinstance(given, (str, Path)):
        return _parsed_file(Path(given))
    lines = list(given)
    if odd := [each for each in lines if not isinstance(each, str)]:
        raise ScoringError(f"requirements are strings, or the path of a file with them, not {odd[0]!r}")
    return _parsed_lines(lines, Path())


def get_default_pip_requirements() -> list[str]:
    """What every pickled model needs: cloudpickle, pinned to what is installed here."""
    return [pinned("cloudpickle")]


def get_default_conda_env() -> dict[str, Any]:
    """The conda environment of `get_default_pip_requirements`, with the Python that runs."""
    return dict(environment_of(get_default_pip_requirements()).conda)


def _environment(wanted: list[str], constraints: list[str], conda: Optional[Mapping[str, Any]]) -> Environment:
    mlflow = version_of("mlflow", "mlflow-skinny")
    if mlflow is not None and not any(_name(each) in _MLFLOW for each in wanted):
        wanted = [f"mlflow=={mlflow}", *wanted]
    wanted = _each_once(wanted) + ([f"-c {CONSTRAINTS}"] if constraints else [])
    return Environment(tuple(wanted), tuple(constraints), _conda(wanted, conda))


def _conda(wanted: list[str], given: Optional[Mapping[str, Any]]) -> dict[str, Any]:
    """The conda environment with these requirements; the given one keeps all the rest."""
    if given is not None:
        others = [each for each in given.get("dependencies") or () if not (isinstance(each, Mapping) and "pip" in each)]
        if not any(isinstance(each, str) and re.match(r"pip\b", each) for each in others):
            others.append("pip")
        return {**given, "dependencies": [*others, {"pip": wanted}]}
    pip = version_of("pip")
    dependencies = [f"python={platform.python_version()}", f"pip<={pip}" if pip else "pip", {"pip": wanted}]
    return {"name": "mlflow-env", "channels": ["conda-forge"], "dependencies": dependencies}


def _each_once(wanted: list[str]) -> list[str]:
    """One line a package: where one is there twice, the line that says more, which is the last of those with a version."""
    lines: dict[str, str] = {}
    for line in wanted:
        name = _name(line)
        if name not in lines or line != name:
            lines[name] = line
    return list(lines.values())


def _name(line: str) -> str:
    """The package of a requirement with its marker; the whole line for what is none (a URL, a path)."""
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^]]*])?\s*([=<>!~;].*)?$", line)
    if not match:
        return line
    _, _, marker = (match.group(3) or "").partition(";")
    return canonical(match.group(1)) + (f";{marker.strip()}" if marker else "")


def _parsed_file(file: Path) -> tuple[list[str], list[str]]:
    try:
        lines = file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScoringError(f"the requirements {file} can't be read: {error}") from error
    return _parsed_lines(lines, file.parent)


def _parsed_lines(lines: Iterable[str], folder: Path) -> tuple[list[str], list[str]]:
    wanted: list[str] = []
    constraints: list[str] = []
    for raw in lines:
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        included = re.match(r"(-r|--requirement|-c|--constraint)(?:\s+|=)(\S+)$", line)
        if included:
            more, limits = _parsed_file(folder / included.group(2))
            is_constraint = included.group(1) in {"-c", "--constraint"}
            wanted += [] if is_constraint else more
            constraints += [*limits, *more] if is_constraint else limits
        elif line:
            wanted.append(line)
    return wanted, constraints
