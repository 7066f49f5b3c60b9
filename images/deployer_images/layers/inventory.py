"""What a model's layer would hold, package by package, and whether a registry has it: to read before, and to make it ahead of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deployer.core.state import PackagedModel
from deployer.oci import Repository, general_tag
from deployer_images.layers.package_set import PackageSet, available
from deployer_images.layers.planning import wanted_of
from deployer_images.layers.published import find


@dataclass(frozen=True, slots=True)
class Inventory:
    """A model's packages.

    Attributes:
        packages: those that have a wheel; all of them where `missing` is empty.
        missing: of each other one, why it has none.
        repository: where the layer was looked for, as a URI; "" where nowhere.
        compressed: bytes of the layer there; None where it isn't.
        stand_in: whether that is a registry of stand-ins, which hold no layers: packages are made where a model starts.
    """

    model: str
    packages: PackageSet
    missing: tuple[str, ...] = ()
    repository: str = ""
    compressed: int | None = None
    stand_in: bool = False

    def document(self) -> Mapping[str, Any]:
        """It as JSON has it."""
        whole = not self.missing
        return {
            "model": self.model,
            "python": self.packages.python,
            "platform": self.packages.platform,
            "trimmed": self.packages.trimmed,
            "address": self.packages.address if whole else None,
            "tag": self.packages.tag if whole else None,
            "size": self.packages.size or None,
            "packages": [
                {"name": each.name, "version": each.version, "file": each.file, "digest": each.digest, "size": each.size or None}
                for each in self.packages.wheels
            ],
            "missing": list(self.missing),
            "repository": self.repository or None,
            "in_registry": self.compressed is not None if self.repository else None,
            "layer_size": self.compressed,
            "stand_in": self.stand_in,
        }


def inventory(model: PackagedModel, platform: str, repository: Repository | None, *, trimmed: bool = True) -> Inventory:
    """Look a model's packages up; nothing is fetched but what indexes say, nothing is built.

    Raises:
        ModelInvalid: no versions satisfy what it wants. TargetUnavailable: no index, or no registry, answers.
    """
    listed = Inventory(model.facts.uri, *available(*wanted_of(model), platform, trimmed=trimmed))
    return looked_up(listed, model, repository) if repository else listed


def looked_up(listed: Inventory, model: PackagedModel, repository: Repository) -> Inventory:
    """The same, with what a registry has of it now.

    Raises:
        TargetUnavailable: the registry doesn't answer.
    """
    layer = None if listed.missing else find(listed.packages, repository)
    shared = general_tag(model.facts.python_version)
    stand_in = layer is None and repository.exists(shared) is not None and repository.describe(shared).stand_in
    return replace(listed, repository=repository.uri, compressed=layer.size if layer else None, stand_in=stand_in)
