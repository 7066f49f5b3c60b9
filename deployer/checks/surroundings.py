"""The environment that a model is held against: Python, and which versions are there or may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from deployer.core.requirements import Need, environment, minor_of, need
from deployer.core.state import Image

_VERSION = re.compile(r"(?:~=|==|!=|<=|>=|<|>)\s*([^,\s*]+?)(?:\.\*)?(?=,|\s|$)")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the model would be loaded.

    Attributes:
        name: for messages: "the requirements", "the image deployer-scoring:0.1.0-py311".
        python: its minor version, "3.11"; "" where nobody says.
        packages: the versions of each distribution that it has or may have, by canonical name.
        complete: whether nothing else is there; false where requirements bring others that nobody has resolved.
        compiled_before: of compiled packages that use numpy and that an index had before numpy 2, the day on which it got them.
    """

    name: str
    python: str = ""
    packages: Mapping[str, SpecifierSet] = field(default_factory=dict)
    complete: bool = False
    compiled_before: Mapping[str, str] = field(default_factory=dict)

    def excludes(self, distribution: str, wanted: str) -> str:
        """What is there of a distribution, "numpy==1.23.5", where that can't be one of the `wanted` versions; "" where it can or isn't known."""
        there = self.packages.get(canonicalize_name(distribution))
        if there is None or _overlap(there, SpecifierSet(wanted)):
            return ""
        return f"{distribution}{there}"

    def pinned(self, distribution: str) -> Version | None:
        """The one version that is there, where that is known."""
        return _pin(self.packages.get(canonicalize_name(distribution)))


def of_requirements(requirements: Iterable[str], python: str) -> Surroundings:
    """What the model's own requirements allow, their markers evaluated for Linux."""
    minor = minor_of(python)
    where = environment(python, "linux/amd64") if minor else None
    needs = [each for line in requirements if (each := need(line)).name and (where is None or each.applies(where))]
    return Surroundings("the requirements", minor, _merged(needs))


def of_lock(packages: Iterable[str], python: str, compiled_before: Mapping[str, str] | None = None) -> Surroundings:
    """What an index gives for the requirements: exact versions of everything."""
    name = "what the requirements resolve to"
    return Surroundings(name, minor_of(python), _merged(map(need, packages)), complete=True, compiled_before=compiled_before or {})


def of_image(image: Image) -> Surroundings:
    """What an image has; only its Python where it doesn't list its packages."""
    name = f"the image {image.tag or image.reference.partition('@')[0].rpartition('/')[2]}"
    packages: dict[str, SpecifierSet] = {canonicalize_name(each): _exactly(version) for each, version in (image.packages or {}).items()}
    return Surroundings(name, minor_of(image.python_version), packages, complete=image.packages is not None)


def _merged(needs: Iterable[Need]) -> dict[str, SpecifierSet]:
    merged: dict[str, SpecifierSet] = {}
    for each in needs:
        merged[each.name] = merged.get(each.name, SpecifierSet()) & each.specifier
    return merged


def _exactly(version: str) -> SpecifierSet:
    try:
        return SpecifierSet(f"=={version}")
    except InvalidSpecifier:
        return SpecifierSet()  # an address


def _pin(specifier: SpecifierSet | None) -> Version | None:
    for each in specifier or ():
        if each.operator in {"==", "==="} and not each.version.endswith("*"):
            try:
                return Version(each.version)
            except InvalidVersion:
                return None
    return None


def _overlap(one: SpecifierSet, other: SpecifierSet) -> bool:
    """Whether a version may satisfy both: tried with every version that either names, and those next to it."""
    named = [Version(text) for text in _VERSION.findall(f"{one},{other}") if _is_version(text)]
    tried = {each for version in named for each in _around(version)}
    return not tried or any(one.contains(each, prereleases=True) and other.contains(each, prereleases=True) for each in tried)


def _around(version: Version) -> Iterable[Version]:
    """The version, a later patch of it, and one before it."""
    release = version.release
    yield version
    yield Version(".".join(map(str, (*release, 1))))
    yield Version(f"{'.'.join(map(str, (*release[:-1], release[-1] - 1, 999)))}") if release[-1] else Version("0.0.1")


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
