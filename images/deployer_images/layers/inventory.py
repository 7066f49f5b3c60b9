"""What a model's layer would hold, package by package, and whether a registry has it: to read before, and to make it ahead of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deployer.core.accelerators import Accelerator
from deployer.core.state import PackagedModel
from deployer.events import Report
from deployer.oci import Repository, general_tag, image_at
from deployer_images import engine
from deployer_images.builds import builds_for
from deployer_images.layers.package_set import PackageSet, available
from deployer_images.layers.planning import chosen, put_on, wanted_of
from deployer_images.layers.published import find


@dataclass(frozen=True, slots=True)
class Inventory:
    """A model's packages.

    Attributes:
        packages: those that have a wheel; all of them where `missing` is empty.
        missing: of each other one, why it has none.
        built: whether an engine answers that builds these; what the set is, is known once it has.
        repository: where the layer was looked for, as a URI; "" where nowhere.
        compressed: bytes of the layer there; None where it isn't.
        builds: which builds of a framework were chosen, and why; "" where there was nothing to choose.
        warning: why the right one could not be had, if so.
        stand_in: whether that is a registry of stand-ins, which hold no layers: packages are made where a model starts.
    """

    model: str
    packages: PackageSet
    missing: tuple[str, ...] = ()
    built: bool = False
    repository: str = ""
    compressed: int | None = None
    stand_in: bool = False
    builds: str = ""
    warning: str = ""

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
                {"name": each.name, "version": each.version, "file": each.file or None, "digest": each.digest, "size": each.size or None}
                for each in self.packages.wheels
            ],
            "missing": list(self.missing),
            "builds": self.builds or None,
            "warning": self.warning or None,
            "built_by_engine": self.built,
            "repository": self.repository or None,
            "in_registry": self.compressed is not None if self.repository else None,
            "layer_size": self.compressed,
            "stand_in": self.stand_in,
        }


def inventory(
    model: PackagedModel, platform: str, repository: Repository | None, *, trimmed: bool = True, accelerator: Accelerator | None = None
) -> Inventory:
    """Look a model's packages up; nothing is fetched but what indexes say, nothing is built.

    Args:
        accelerator: what it will run on, where that is known: the packages are built for that.

    Raises:
        ModelInvalid: no versions satisfy what it wants. TargetUnavailable: no index, or no registry, answers.
    """
    wanted, python = wanted_of(model)
    builds = builds_for(wanted, python, platform, accelerator)
    packages, missing = available(builds.wanted, python, platform, trimmed=trimmed)
    packages = packages.compressed(repository.compression) if repository else packages
    built = bool(missing) and engine.answers()
    listed = Inventory(model.facts.uri, packages, missing, built=built, builds=builds.said, warning=builds.warning)
    return looked_up(listed, model, repository) if repository else listed


def made(listed: Inventory, model: PackagedModel, repository: Repository, report: Report, accelerator: Accelerator | None = None) -> Inventory:
    """Make the layer, and with it the model's image, and have both in a registry; what it holds in the end.

    Raises:
        NoWheel: some have none, and no engine builds them. What making and sending them raise.
    """
    content = chosen(repository, model, report, trimmed=listed.packages.trimmed, accelerator=accelerator)
    put_on(content, repository, model.facts, report)
    return looked_up(replace(listed, packages=content.packages, missing=(), built=bool(listed.missing)), model, repository)


def looked_up(listed: Inventory, model: PackagedModel, repository: Repository) -> Inventory:
    """The same, with what a registry has of it now.

    Raises:
        TargetUnavailable: the registry doesn't answer.
    """
    layer = None if listed.missing else find(listed.packages, repository)
    shared = general_tag(model.facts.python_version)
    stand_in = layer is None and repository.exists(shared) is not None and image_at(repository, shared).stand_in
    return replace(
        listed, repository=repository.uri, compressed=layer.size if layer else None, stand_in=stand_in, built=listed.built and not stand_in
    )
