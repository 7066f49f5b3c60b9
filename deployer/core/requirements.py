"""What a model asks for, as PEP 508 has it: names, versions, markers, and the digest that models with the same needs share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from deployer.core.state import Digest, digest_of
from deployer.errors import ModelInvalid
from deployer_scoring.masking import without_secrets
from deployer_scoring.model.own_paths import path_of
from deployer_scoring.version import OLDEST_PYTHON

_DISTRIBUTIONS: Mapping[str, str] = {
    "sklearn": "scikit-learn",
    "pytorch": "torch",
    "spark": "pyspark",
    "paddle": "paddlepaddle",
    "onnx": "onnxruntime",
}
_MACHINES: Mapping[str, str] = {"amd64": "x86_64", "arm64": "aarch64"}
MLFLOW = frozenset({"mlflow", "mlflow-skinny"})
"""The distributions that bring the module mlflow."""
NEWER_PYTHON = f"save it again on a newer Python, {OLDEST_PYTHON} or later"
"""The advice for a model whose Python is too old."""


@dataclass(frozen=True, slots=True)
class Need:
    """One requirement.

    Attributes:
        name: canonical (PEP 503); empty where the line is a path or URL that doesn't say.
        line: as the model has it, without credentials.
        url: true where it is fetched from an address or a path, so that its version is not the index's.
    """

    name: str
    line: str
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    marker: Marker | None = None
    url: bool = False

    @property
    def pinned(self) -> Version | None:
        """The version of a single `==` or `===` without a wildcard."""
        if len(self.specifier) != 1:
            return None
        only = next(iter(self.specifier))
        return version(only.version) if only.operator in {"==", "==="} and not only.version.endswith(".*") else None

    def applies(self, environment: Mapping[str, str]) -> bool:
        """Whether its marker holds in such an environment."""
        return self.marker is None or self.marker.evaluate(dict(environment))


def need(line: str) -> Need:
    """Read one line; one that isn't PEP 508 (a path, a bare URL) gets the name that a wheel's file or `#egg=` gives away."""
    public = without_secrets(line.strip())
    try:
        parsed = Requirement(line)
    except InvalidRequirement:
        return Need(_named_by_address(line), public, url=True)
    return Need(canonicalize_name(parsed.name), public, parsed.specifier, parsed.marker, url=parsed.url is not None)


def environment(python_version: str, platform: str) -> Mapping[str, str]:
    """The values of PEP 508's marker variables in an image.

    Args:
        python_version: "3.11" or "3.11.7".
        platform: as registries name it, "linux/amd64".
    """
    minor = minor_of(python_version)
    system, _, machine = platform.partition("/")
    return {
        "python_version": minor,
        "python_full_version": python_version if python_version.count(".") > 1 else f"{minor}.0",
        "implementation_name": "cpython",
        "implementation_version": python_version if python_version.count(".") > 1 else f"{minor}.0",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": system or "linux",
        "platform_system": (system or "linux").capitalize(),
        "platform_machine": _MACHINES.get(machine.split("/")[0], machine.split("/")[0]),
        "platform_release": "",
        "platform_version": "",
        "extra": "",
    }


def minor_of(python_version: str) -> str:
    """ "3.11" of "3.11.7"; empty where it's no version."""
    match = re.match(r"\s*(\d{1,3}\.\d{1,3})(?!\d)", python_version)
    return match[1] if match else ""


def python_too_old(python_version: str) -> str:
    """Why the server can't run on that Python, in a sentence without its end; empty where it can, or where it's no version."""
    asked = minor_of(python_version)
    if not asked or Version(asked) >= Version(OLDEST_PYTHON):
        return ""
    return f"the server runs on Python {OLDEST_PYTHON} or later; the model asks for {asked}"


def refuse_old_python(python_version: str, *, otherwise: str = "") -> None:
    """Say at once what an environment or an image for that Python would come to.

    Args:
        otherwise: what else may be done where this is asked.

    Raises:
        ModelInvalid: the server can't run on it.
    """
    if said := python_too_old(python_version):
        raise ModelInvalid(said, advice="; ".join(filter(None, (NEWER_PYTHON, otherwise))))


def version(text: str) -> Version | None:
    """A PEP 440 version, or None where it isn't one."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def distribution_of(framework: str) -> str:
    """The distribution that a flavor's framework comes in: scikit-learn for sklearn."""
    return canonicalize_name(_DISTRIBUTIONS.get(framework, framework))


def pinned_version(requirements: Iterable[str], distribution: str) -> str:
    """The version that the requirements pin of one distribution; empty where they don't."""
    return next((str(each.pinned) for each in map(need, requirements) if each.name == canonicalize_name(distribution) and each.pinned), "")


def digested(requirement: str, directory: Path) -> str:
    """A requirement of what lies in the model's directory with the digest of that: another file under the same name is another requirement."""
    path = path_of(requirement)
    if path is None or "#sha256=" in requirement:
        return requirement
    address, separator, marker = requirement.partition(" ; ")
    return f"{address}#sha256={_digest(directory / path)}{separator}{marker}"


def stated_links(folders: Iterable[str], directory: Path) -> tuple[str, ...]:
    """Folders of packages in the model's directory with the digest of what lies in them, "code#sha256=…"."""
    return tuple(f"{folder}#sha256={_digest(directory / folder)}" for folder in folders)


def lock_digest(requirements: Iterable[str], python_version: str) -> Digest:
    """The digest of what is asked for: models whose requirements and Python's minor version agree share it, and so an environment.

    Order, repetition, spelling of names, spaces and credentials make no difference.
    """
    return digest_of([minor_of(python_version), sorted({_normal(line) for line in requirements if line.strip()})])


def _normal(line: str) -> str:
    public = without_secrets(line.strip())
    try:
        parsed = Requirement(public)
    except InvalidRequirement:
        return public
    parsed.name = canonicalize_name(parsed.name)
    parsed.extras = {canonicalize_name(extra) for extra in parsed.extras}
    return str(parsed)


def _named_by_address(line: str) -> str:
    address = line.partition(";")[0].strip()
    if egg := re.search(r"[#&]egg=([A-Za-z0-9._-]+)", address):
        return canonicalize_name(egg[1])
    try:
        return str(parse_wheel_filename(unquote(urlsplit(address).path).rsplit("/", 1)[-1])[0])
    except (InvalidWheelFilename, ValueError):
        return ""


def _digest(place: Path) -> str:
    """Of a file's bytes, or of the names and bytes of all that is in a directory."""
    if place.is_file():
        return hashlib.sha256(place.read_bytes()).hexdigest()
    whole = hashlib.sha256()
    for file in sorted(file for file in place.rglob("*") if file.is_file() and not {"__pycache__", ".git"} & set(file.parts)):
        whole.update(f"{file.relative_to(place).as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return whole.hexdigest()
