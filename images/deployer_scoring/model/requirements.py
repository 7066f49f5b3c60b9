"""What a model needs: its requirements and its Python, from the files that MLflow writes beside the MLmodel.

Of pip's options only those leave this module that speak of the model itself: hashes, and folders of the model to look for packages in.
Indexes, which may carry credentials, are the business of the machine that installs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

import yaml

from deployer_scoring.documents import load_yaml
from deployer_scoring.errors import MLModelError
from deployer_scoring.model.conda import program_in, requirement_of
from deployer_scoring.model.own_paths import inside, own
from deployer_scoring.model.text import read_text

REQUIREMENTS, CONDA, PYTHON_ENV = "requirements.txt", "conda.yaml", "python_env.yaml"

_OPTION = re.compile(
    r"^(?:-(?P<short>[rcef])\s*|--(?P<long>requirement|constraint|editable|find-links)(?:\s+|\s*=\s*))(?P<quote>[\"']?)(?P<value>.+?)(?P=quote)\s*$"
)
_LETTERS = {"requirement": "r", "constraint": "c", "editable": "e", "find-links": "f"}
_DEEPEST = 20
MOST = 10_000
"""Requirements of a model."""
_LONGEST = 4096
_MOST_PARENTHESES = 50


class Needs(NamedTuple):
    """What a model's files ask for.

    Attributes:
        requirements: In the order of the file, as PEP 508 has them; what lies in the model's directory as `deployer_scoring.model.own_paths` says.
        constraints: Versions to keep to without requiring the packages.
        links: Folders of the model's to look for packages in, relative to its directory.
        hashes: The digests that a requirement's file must have one of, "sha256:…", by the requirement.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    links: tuple[str, ...]
    hashes: Mapping[str, tuple[str, ...]]


def needs(directory: Path) -> Needs:
    """What requirements.txt lists and constrains (files that it includes are followed), or else conda.yaml: its pip section, and before
    it conda's own packages, which is how models of 2018 to 2020 name their framework; or else python_env.yaml. Nothing where no file says.

    Raises:
        MLModelError: A file is broken, includes one that isn't there, or names what lies outside the model's directory.
    """
    reader, name = _Reader(directory), source(directory)
    if name == REQUIREMENTS:
        reader.read(directory / REQUIREMENTS)
    elif name == CONDA:
        reader.requirements.extend(_conda_packages(directory))
        reader.take(_conda_pip(directory), directory, CONDA)
    else:
        lines = [str(each) for each in _list(directory, PYTHON_ENV, "dependencies") or ()]
        # It names requirements.txt, and says nothing more where that has gone.
        reader.take((each for each in lines if _option(each) != ("r", REQUIREMENTS)), directory, PYTHON_ENV)
    return reader.needs


def source(directory: Path) -> str:
    """The file that says what is needed; empty where there is none."""
    return next((name for name in (REQUIREMENTS, CONDA, PYTHON_ENV) if (directory / name).exists()), "")


def requirements(directory: Path) -> tuple[str, ...]:
    """The model's requirements alone.

    Raises:
        MLModelError: As `needs`.
    """
    return needs(directory).requirements


def build_dependencies(directory: Path) -> tuple[str, ...]:
    """What python_env.yaml would have installed before all else: setuptools, which brings pkg_resources, pip, wheel.

    Raises:
        MLModelError: The file is broken.
    """
    reader = _Reader(directory)
    reader.take(map(str, _list(directory, PYTHON_ENV, "build_dependencies") or ()), directory, PYTHON_ENV)
    return reader.needs.requirements


def python_version(directory: Path) -> Optional[str]:
    """The Python that the model was saved with, as python_env.yaml or conda.yaml say; None where neither does.

    The MLmodel's own word (`MLModel.pyfunc.python_version`) goes before this one.
    """
    if python := _yaml(directory, PYTHON_ENV).get("python"):
        return str(python)
    for dependency in _list(directory, CONDA, "dependencies") or ():
        if isinstance(dependency, str) and (match := re.match(r"^python\s*=+\s*([0-9][0-9.]*)", dependency)):
            return match.group(1).rstrip(".")
    return None


def conda_environment(directory: Path) -> Optional[Mapping[str, Any]]:
    """The model's conda.yaml, with `Needs` in the place of its pip section's lines; None where it has none.

    Raises:
        MLModelError: As `needs`.
    """
    if not (directory / CONDA).exists():
        return None
    reader, listed = _Reader(directory), _list(directory, CONDA, "dependencies") or ()
    reader.take(_conda_pip(directory), directory, CONDA)
    return {
        **_yaml(directory, CONDA),
        "dependencies": [{"pip": reader.needs} if isinstance(each, dict) and "pip" in each else each for each in listed],
    }


def conda_packages(directory: Path) -> tuple[str, ...]:
    """Those requirements that conda.yaml lists as packages of conda's own.

    Raises:
        MLModelError: The file is broken.
    """
    return tuple(_conda_packages(directory)) if source(directory) == CONDA else ()


def conda_programs(directory: Path) -> tuple[str, ...]:
    """Names of what conda.yaml lists that is no package of Python's and that no package brings, a Java say; no environment of ours has it.

    Raises:
        MLModelError: The file is broken.
    """
    return tuple(filter(None, map(program_in, _conda_own(directory))))


class _Reader:
    """Collects what lines of requirement files say."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.requirements: list[str] = []
        self._constraints: list[str] = []
        self._links: list[str] = []
        self._hashes: dict[str, tuple[str, ...]] = {}

    @property
    def needs(self) -> Needs:
        links = tuple(dict.fromkeys(self._links))
        return Needs(tuple(self.requirements), tuple(self._constraints), links, self._hashes)

    def read(self, file: Path, *, constrains: bool = False, above: tuple[Path, ...] = ()) -> None:
        name = _name(self._directory, file)
        if file in above or len(above) == _DEEPEST:
            why = "includes itself" if file in above else "is included through too many others"
            raise MLModelError(name, None, why, "Write what it lists into one file.")
        lines = _read(self._directory, file).replace("\\\n", " ").split("\n")
        self.take(lines, file.parent, name, constrains=constrains, above=(*above, file))

    def take(self, lines: Iterable[str], folder: Path, name: str, *, constrains: bool = False, above: tuple[Path, ...] = ()) -> None:
        """Lines of a file in this folder, and of the files that they include."""
        for raw in lines:
            line = re.sub(r"(^|\s)#.*$", "", raw).strip()
            option, value = _option(line)
            if option in {"r", "c"}:
                self.read(self._included(value, folder, name), constrains=constrains or option == "c", above=above)
            elif option == "f":
                if "://" not in value and (found := inside(value, self._directory, (folder, self._directory), name)) is not None:
                    self._links.append(found)
            elif option == "e":
                self.requirements.append(own(value, self._directory, folder, name))
            elif line and not line.startswith("-"):
                self._requirement(line, folder, name, constrains=constrains)

    def _requirement(self, line: str, folder: Path, name: str, *, constrains: bool) -> None:
        # pip's options of one requirement stand behind the specifier.
        text, *options = re.split(r"\s+--(?=[a-z])", line)
        if len(text) > _LONGEST or text.count("(") > _MOST_PARENTHESES:  # whoever takes it apart would run out of stack or time
            raise MLModelError(name, None, f"is no requirement: {text[:60]}…", "Correct the line, or save the model again.")
        if len(self.requirements) + len(self._constraints) >= MOST:
            raise MLModelError(name, None, f"lists more than {MOST} requirements", "Save the model again with those that it needs.")
        found = own(text.strip(), self._directory, folder, name)
        (self._constraints if constrains else self.requirements).append(found)
        if hashes := tuple(re.sub(r"^hash\s*[=\s]\s*", "", each).strip() for each in options if each.startswith("hash")):
            self._hashes[found] = hashes

    def _included(self, value: str, folder: Path, name: str) -> Path:
        if "://" in value:
            address = re.sub(r"://[^/@\s]*@", "://", value)
            raise MLModelError(name, None, f"includes {address}, which is not in the model's directory", "Write what it lists into the file.")
        # Unlike packages, files are looked for first beside the one that includes them.
        found = inside(value, self._directory, (folder, self._directory), name)
        return folder / value if found is None else self._directory / found


def _option(line: str) -> tuple[str, str]:
    """The letter of one of pip's options that are heeded, and its value; empty for any other line."""
    match = _OPTION.match(line)
    return (match.group("short") or _LETTERS[match.group("long")], match.group("value")) if match else ("", "")


def _conda_packages(directory: Path) -> Iterator[str]:
    for dependency in _conda_own(directory):
        if found := requirement_of(dependency):
            yield found


def _conda_own(directory: Path) -> Iterator[str]:
    """What conda.yaml lists beside its pip section."""
    for dependency in _list(directory, CONDA, "dependencies") or ():
        if not isinstance(dependency, dict):
            yield str(dependency)


def _conda_pip(directory: Path) -> Iterator[str]:
    for dependency in _list(directory, CONDA, "dependencies") or ():
        if isinstance(dependency, dict):
            listed = dependency.get("pip") or ()
            if not isinstance(listed, (list, tuple)):
                raise MLModelError(CONDA, "dependencies.pip", "is not a list", "Save the model again, or correct the file.")
            yield from map(str, listed)


def _list(directory: Path, name: str, key: str) -> Optional[list[Any]]:
    found = _yaml(directory, name).get(key)
    if found is not None and not isinstance(found, list):
        raise MLModelError(name, key, "is not a list", "Save the model again, or correct the file.")
    return found


def _yaml(directory: Path, name: str) -> Mapping[str, Any]:
    if not (directory / name).exists():
        return {}
    try:
        document = load_yaml(_read(directory, directory / name))
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
        return read_text(file)
    except (OSError, UnicodeDecodeError) as error:
        advice = "It lists what the model needs: save the model again, or write the file."
        raise MLModelError(_name(directory, file), None, f"can't be read: {error}", advice) from error


def _name(directory: Path, file: Path) -> str:
    return str(file.relative_to(directory)) if directory in file.parents else str(file)
