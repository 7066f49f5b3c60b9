"""What a model needs: its requirements and its Python, from the files that MLflow writes beside the MLmodel.

Only requirement specifiers leave this module. Options of pip (indexes, which may carry credentials, among them) are dropped: indexes
are the business of the machine that installs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

import yaml

from deployer_scoring.errors import MLModelError

REQUIREMENTS, CONDA, PYTHON_ENV = "requirements.txt", "conda.yaml", "python_env.yaml"

# Packages of conda that no index of Python packages has, or that come with every interpreter.
_CONDA_ONLY = {"python", "pip", "setuptools", "wheel", "cudatoolkit", "openjdk", "mkl", "nomkl", "libgcc", "libgcc-ng", "libstdcxx-ng", "blas"}
_CONDA_NAMES = {"pytorch": "torch", "pytorch-cpu": "torch", "tensorflow-gpu": "tensorflow", "py-xgboost": "xgboost"}
_CONDA_DEPENDENCY = re.compile(r"^(?:[\w.-]+::)?([A-Za-z0-9_.-]+)\s*(.*)$")


def requirements(directory: Path) -> tuple[str, ...]:
    """The model's requirements, as pip writes them, in the order of the file.

    Taken from requirements.txt (files that it includes are followed), else from conda.yaml: its pip section, and before it conda's own
    packages, which is how models of 2018 to 2020 name their framework. Empty where the model has neither file.

    Raises:
        MLModelError: A file is broken, or includes one that isn't there.
    """
    if (directory / REQUIREMENTS).exists():
        return tuple(_lines(directory, directory / REQUIREMENTS, "-r", "--requirement"))
    return tuple(_conda_requirements(directory))


def constraints(directory: Path) -> tuple[str, ...]:
    """The versions that requirements.txt constrains by `-c`, without requiring them."""
    found: list[str] = []
    if (directory / REQUIREMENTS).exists():
        for line in _read(directory, directory / REQUIREMENTS).splitlines():
            if included := _included(line, "-c", "--constraint"):
                found.extend(_lines(directory, directory / included, "-c", "--constraint"))
    return tuple(found)


def python_version(directory: Path) -> Optional[str]:
    """The Python that the model was saved with, as python_env.yaml or conda.yaml say; None where neither does.

    The MLmodel's own word (`MLModel.pyfunc.python_version`) goes before this one.
    """
    if python := _yaml(directory, PYTHON_ENV).get("python"):
        return str(python)
    for dependency in _conda_dependencies(directory):
        if isinstance(dependency, str) and (match := re.match(r"^python\s*=+\s*([0-9][0-9.]*)", dependency)):
            return match.group(1).rstrip(".")
    return None


def _lines(directory: Path, file: Path, *include: str) -> Iterator[str]:
    text = _read(directory, file).replace("\\\n", " ")
    for raw in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if included := _included(line, *include):
            yield from _lines(directory, file.parent / included, *include)
        elif line and not line.startswith("-"):
            # Hashes of pip's hash-checking mode stand behind the specifier.
            yield re.split(r"\s--hash\b", line)[0].strip()


def _included(line: str, *options: str) -> Optional[str]:
    match = re.match(rf"^\s*(?:{'|'.join(map(re.escape, options))})(?:\s+|=)(\S+)", line)
    return match.group(1) if match else None


def _conda_requirements(directory: Path) -> Iterator[str]:
    for dependency in _conda_dependencies(directory):
        if isinstance(dependency, dict):
            yield from (str(each) for each in dependency.get("pip") or () if not str(each).startswith("-"))
        elif (match := _CONDA_DEPENDENCY.match(str(dependency))) and match.group(1).lower() not in _CONDA_ONLY:
            name = match.group(1).lower()
            yield _CONDA_NAMES.get(name, name) + _pip_version(match.group(2))


def _pip_version(conda: str) -> str:
    """`=1.2` means 1.2 and its patches to conda, `==1.2` and `1.2=build` mean just that."""
    version = conda.strip()
    if exact := re.match(r"^={1,2}\s*([^=\s*]+)(=\S+)?$", version):
        return f"=={exact.group(1)}" if version.startswith("==") or exact.group(2) or exact.group(1).count(".") > 1 else f"=={exact.group(1)}.*"
    if wildcard := re.match(r"^={1,2}\s*([^=\s*]+?)\.?\*$", version):
        return f"=={wildcard.group(1)}.*"
    return re.sub(r"\s+", "", version)


def _conda_dependencies(directory: Path) -> list[Any]:
    dependencies = _yaml(directory, CONDA).get("dependencies") or []
    if not isinstance(dependencies, list):
        raise MLModelError(CONDA, "dependencies", "is not a list", "Save the model again, or correct the file.")
    return dependencies


def _yaml(directory: Path, name: str) -> Mapping[str, Any]:
    if not (directory / name).exists():
        return {}
    try:
        document = yaml.safe_load(_read(directory, directory / name))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = name if mark is None else f"{name}:{mark.line + 1}"
        raise MLModelError(
            place, None, f"is not valid YAML: {getattr(error, 'problem', error)}", "Correct the line, or save the model again."
        ) from error
    if document is not None and not isinstance(document, dict):
        raise MLModelError(name, None, "is not a mapping", "Save the model again, or correct the file.")
    return document or {}


def _read(directory: Path, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        name = str(file.relative_to(directory)) if directory in file.parents else str(file)
        raise MLModelError(
            name, None, f"can't be read: {error}", "It lists what the model needs: save the model again, or write the file."
        ) from error
