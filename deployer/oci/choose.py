"""Which scoring image a model gets, and how images are tagged so that it can be found again."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product

from deployer.core.accelerators import Accelerator, built_for_processors
from deployer.core.compatibility import fit, trims
from deployer.core.requirements import lock_digest, minor_of
from deployer.core.state import Image, ModelFacts, short
from deployer.errors import ConfigInvalid
from deployer.oci.manifest import Compression
from deployer.oci.reference import Reference
from deployer.oci.repository import Repository
from deployer.version import __version__

AMD64, ARM64 = "linux/amd64", "linux/arm64"

Open = Callable[[Reference], Repository]
"""Gives the repository, logged in, that a reference elsewhere belongs to."""


class NoSharedImage(ConfigInvalid):
    """There is no image for the model's Python in this version."""


def choose(
    repository: Repository,
    facts: ModelFacts,
    *,
    recorded: str | None,
    named: str | None,
    packages: str,
    elsewhere: Open | None = None,
    accelerator: Accelerator | None = None,
) -> Image:
    """The image for a model: the one named, else the one in service if it fits, else the one built for its requirements, else the general one.

    Whether the general one fits is not asked here: the caller tells the user package by package.

    Args:
        recorded: the reference in service, on an update: a new version of this tool must not roll a fleet.
        named: what the user asks for, a reference or a tag in this repository.
        packages: how strictly an image must fit: see `deployer.core.compatibility`.
        elsewhere: opens the repository of a reference outside this one; without it the registry is asked without credentials.
        accelerator: what it will run on, where that is known: of two that were built for the model, the one for that is taken.

    Raises:
        ConfigInvalid: the named image isn't there. NoSharedImage: none was built yet; the command that builds one.
    """
    if named:
        return _described(repository, _reference(repository, named), elsewhere)
    if recorded and (found := _still_there(repository, recorded, elsewhere)) and fit(facts, found, packages, accelerator).fits:
        return found
    gpu = accelerator is not None and accelerator.gpu
    zstd, platform = repository.compression is Compression.ZSTD, repository.platform
    *own, general = tags_for(facts, packages, gpu=gpu, zstd=zstd, platform=platform)
    for tag in (*own, general):
        if repository.exists(tag):
            found = image_at(repository, tag)
            other = tag in own and ((gpu and built_for_processors(found.packages or {})) or (found.trimmed and not trims(packages)))
            if not other:
                return found
    raise NoSharedImage(
        f"there is no scoring image for Python {python_of(facts)} and version {__version__} in {repository.uri}",
        advice=f"deploy build-and-push-container --for {facts.uri} makes the one that fits this model; without --for, one for every model",
    )


def image_at(repository: Repository, tag: str) -> Image:
    """What a tag of ours stands for: of an index the image for the platform that the repository is seen on, where that isn't known for amd64.

    Raises:
        ConfigInvalid: there is none, or none for that platform.
    """
    return repository.describe(tag, platform=repository.platform or AMD64)


def tags_for(facts: ModelFacts, packages: str, *, gpu: bool = False, zstd: bool = False, platform: str = "") -> tuple[str, ...]:
    """The tags of images that a model may get, the best first, the general one last; where the platform isn't known, those for amd64 first."""
    whole = replace(facts, needs_mlflow=True)
    own = list[str]()
    for trimmed in (True,) if trims(packages) else (False, True):
        for where in (platform,) if platform else (AMD64, ARM64):
            kinds = product((facts, whole), (True, False) if gpu else (False,), (True, False) if zstd else (False,))
            own += [model_tag(each, gpu=for_gpu, trimmed=trimmed, zstd=by_zstd, platform=where) for each, for_gpu, by_zstd in kinds]
    return tuple(dict.fromkeys((*own, general_tag(facts.python_version))))


def general_tag(python_version: str, version: str = __version__) -> str:
    """ "0.1.0-py311": the image for all models of that minor of Python."""
    minor = minor_of(python_version) or _OURS
    return f"{_taggable(version)}-py{minor.replace('.', '')}"


def model_tag(
    facts: ModelFacts, version: str = __version__, *, gpu: bool = False, trimmed: bool = True, zstd: bool = False, platform: str = ""
) -> str:
    """ "0.1.0-py311-5d41402abc": the image for all models with the same requirements, without mlflow where they can do without.

    Args:
        gpu: that for where there is a GPU.
        trimmed: whether what no import needs is left out of its packages.
        zstd: that with layers which not every client reads.
        platform: that for this one.
    """
    left_out = () if facts.needs_mlflow else ("without mlflow",)
    asked = (*facts.requirements, *facts.beside, *left_out)
    kind = f"{'' if trimmed else '-untrimmed'}{'-gpu' if gpu else ''}{'-zstd' if zstd else ''}{'-arm64' if platform.startswith(ARM64) else ''}"
    return f"{general_tag(facts.python_version, version)}-{short(lock_digest(asked, python_of(facts)))}{kind}"


def inputs_tag(python_version: str, inputs: str, version: str = __version__) -> str:
    """ "0.1.0-py311-91ab44c20d": the image made from these inputs."""
    return f"{general_tag(python_version, version)}-{short(inputs)}"


def python_of(facts: ModelFacts) -> str:
    """The minor of Python that a model needs; that of this process where it doesn't say."""
    return minor_of(facts.python_version) or _OURS


_OURS = f"{sys.version_info.major}.{sys.version_info.minor}"


def is_elsewhere(named: str) -> bool:
    """Whether a user names a whole reference; a bare tag or digest is one in the repository itself."""
    return not named.startswith("sha256:") and re.search(r"[:/@]", named) is not None


def _reference(repository: Repository, named: str) -> Reference:
    return Reference.parse(named if is_elsewhere(named) else repository.reference(named))


def _described(repository: Repository, reference: Reference, elsewhere: Open | None) -> Image:
    if repository.holds(reference):
        return repository.describe(reference.which)
    opened = elsewhere(reference) if elsewhere else Repository(reference.registry, reference.repository)
    return opened.describe(reference.which)


def _still_there(repository: Repository, recorded: str, elsewhere: Open | None) -> Image | None:
    try:
        return _described(repository, Reference.parse(recorded), elsewhere)
    except ConfigInvalid:
        return None


def _taggable(version: str) -> str:
    """A version without the `+` that tags can't have."""
    return re.sub(r"[^\w.-]", "-", version, flags=re.ASCII)
