"""Image references, read and written as docker has them: `[registry/]repository[:tag][@digest]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployer.errors import ConfigInvalid

DOCKER_HUB = "docker.io"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_REGISTRY = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d+)?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image is. With neither tag nor digest it stands for the tag `latest`."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference; without a registry it is docker.io's, without a folder there it is one of `library/`.

        Raises:
            ConfigInvalid: it isn't a reference; which part of it is wrong.
        """
        rest, at, digest = text.strip().partition("@")
        if at and not _DIGEST.fullmatch(digest):
            raise _wrong(text, f"{digest!r} is not a digest: sha256: and 64 hex digits")
        tag = ""
        if ":" in rest.rpartition("/")[2]:
            rest, _, tag = rest.rpartition(":")
            if not _TAG.fullmatch(tag):
                raise _wrong(text, f"{tag!r} is not a tag: at most 128 letters, digits, '_', '.' and '-'")
        first, slash, others = rest.partition("/")
        if slash and (first == "localhost" or set(first) & set(".:[") or first != first.lower()):
            registry, repository = first, others
        else:
            registry, repository = DOCKER_HUB, rest if slash else f"library/{rest}"
        if not _REGISTRY.fullmatch(registry):
            raise _wrong(text, f"{registry!r} is not a registry's host")
        if not _REPOSITORY.fullmatch(repository) or len(repository) > 255:
            raise _wrong(text, f"{repository!r} is not a repository: lower case letters and digits, separated by '.', '_', '-' or '/'")
        return cls("docker.io" if registry == "index.docker.io" else registry, repository, tag, digest)

    @property
    def which(self) -> str:
        """What to ask the registry for: the digest, else the tag."""
        return self.digest or self.tag or "latest"

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def _wrong(text: str, why: str) -> ConfigInvalid:
    return ConfigInvalid(f"{text!r} is not an image reference", why=why, advice="write it as registry/repository:tag or registry/repository@sha256:…")
