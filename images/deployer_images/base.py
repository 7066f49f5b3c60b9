"""What an image stands on, to the byte: a tag moves, so it is read once a build, built from by digest, and written into the image's labels.

The docker engine that builds is the one that says what a tag stands for: it fetches the base with its own mirrors and credentials, and a
name that it has already, of an image that was made on this machine and is in no registry, is never asked of a stranger's registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.oci import Reference, labels


@dataclass(frozen=True, slots=True)
class Base:
    """A base image.

    Attributes:
        name: the reference that was asked for, in full.
        digest: what it stands for: that of the registry's manifest or index; the engine's id of an image that came from no registry.
        source: what to build from.
    """

    name: str
    digest: str
    source: str

    @classmethod
    def named(cls, text: str) -> Base | None:
        """The base of a reference that has a digest, and needs no looking up; None of one by tag alone.

        Raises:
            ConfigInvalid: it isn't a reference.
        """
        reference = Reference.parse(text)
        return _in_registry(reference, reference.digest) if reference.digest else None

    @classmethod
    def of_engine(cls, text: str, attributes: Mapping[str, Any]) -> Base:
        """The base of a reference by tag, by what the engine says of the image that it has under it."""
        digest = registry_digest(text, attributes)
        return _in_registry(Reference.parse(text), digest) if digest else cls(text, attributes["Id"], attributes["Id"])

    @property
    def labels(self) -> dict[str, str]:
        return {labels.BASE_NAME: self.name, labels.BASE_DIGEST: self.digest}


def registry_digest(text: str, attributes: Mapping[str, Any]) -> str:
    """The digest by which the image's registry knows it, where the engine has it from there or sent it there."""
    wanted = Reference.parse(text).name
    known = (Reference.parse(each) for each in attributes.get("RepoDigests") or ())
    return next((each.digest for each in known if each.name == wanted), "")


def _in_registry(reference: Reference, digest: str) -> Base:
    tag = reference.tag or ("" if reference.digest else reference.which)
    return Base(reference.name + (f":{tag}" if tag else ""), digest, f"{reference.name}@{digest}")
