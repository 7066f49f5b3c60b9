"""Which build of a framework goes where: without CUDA's gigabytes where no GPU is, and with them where one is.

PyTorch has each version in several builds, told apart by a local version ("2.5.1+cpu") and on pages of their own, one for each build and package.
Such a page is looked at beside the indexes, for PyTorch's own packages alone; the same version of a package is then taken from it, for a local
version counts as the newer one. All else is resolved as it is without.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from deployer.core.accelerators import Accelerator, built_for_processors, cuda_of
from deployer.core.requirements import Need, need
from deployer.errors import MachineFault, ModelInvalid, TargetUnavailable
from deployer.events import Noticed, Report
from deployer.oci import labels
from deployer_images import scoring
from deployer_images.faults import NeedsBuild
from deployer_images.indexes import from_pypi
from deployer_images.inside import Inside
from deployer_images.locks import locked
from deployer_images.wanted import Wanted
from deployer_scoring.masking import learn, without_secrets

VARIABLE = "DEPLOYER_PYTORCH_INDEX"
PYTORCH = "https://download.pytorch.org/whl"
_PACKAGES = ("torch", "torchvision", "torchaudio")
_CUDA = ("cu130", "cu129", "cu128", "cu126", "cu124", "cu121", "cu118")
"""Builds for CUDA that PyTorch 2 has or had."""
_FOR_SEVERAL_GPUS = {"xgboost": ("nvidia-nccl-cu12", "nvidia-nccl-cu13")}
"""What a package requires, and loads only once several GPUs work together."""
_SECONDS = 60

Versions = Mapping[str, str]
"""Name to version of what would be installed."""


@dataclass(frozen=True, slots=True)
class Builds:
    """What is wanted, with the builds for a place.

    Attributes:
        said: which were chosen and why, for people; "" where there was nothing to choose.
        warning: why the right one could not be had, if so.
    """

    wanted: Wanted
    said: str = ""
    warning: str = ""


def builds_for(wanted: Wanted, python: str, platform: str, accelerator: Accelerator | None, *, inside: Inside | None = None) -> Builds:
    """Choose by what the requirements resolve to; where they resolve only by a build, or nothing is known of the place, all stays as it is.

    Args:
        inside: where uv runs, and may build; by default this machine, where it may not.

    Raises:
        ModelInvalid: no versions satisfy them. TargetUnavailable: no index answers.
    """
    if accelerator is None:
        return Builds(wanted)
    choice = _Choice(wanted, python, platform, accelerator, inside)
    try:
        found = choice.resolved(wanted)
    except NeedsBuild:
        return Builds(wanted)
    return choice.with_cuda(found) if accelerator.gpu else choice.without_cuda(found)


def in_several_builds(lines: Iterable[str]) -> bool:
    """Whether there is a choice among what a lock has."""
    return not {need(line).name for line in lines}.isdisjoint({"torch", *_FOR_SEVERAL_GPUS})


def noticed(builds: Builds, report: Report) -> Wanted:
    """What is wanted, once people are told what was chosen."""
    for message in filter(None, (builds.said, builds.warning)):
        report(Noticed(message=message))
    return builds.wanted


def with_pages(wanted: Wanted, lines: Iterable[str]) -> Wanted:
    """The same with the pages of the builds that lines of a lock name; as it is, where they name none."""
    named = [(each.name, local) for each in map(need, lines) if each.name in _PACKAGES and (local := _local(each))]
    index = _index()
    return replace(wanted, pages=tuple(f"{index}/{local}/{name}/" for name, local in named)) if index and named else wanted


@dataclass(frozen=True, slots=True)
class _Choice:
    wanted: Wanted
    python: str
    platform: str
    accelerator: Accelerator
    inside: Inside | None

    def with_cuda(self, found: Versions) -> Builds:
        cuda, place = cuda_of(found), self.accelerator
        fits = not built_for_processors(found) and (cuda is None or place.runs(cuda))
        if fits or "torch" not in found or self._named():
            return Builds(self.wanted)
        builds = [each for each in _CUDA if place.runs(int(each[2:4]))]
        chosen, why = self._of_pytorch(found, builds, lambda packages: not built_for_processors(packages))
        there = f"{place.place} has a GPU{f' and driver {place.driver}' if place.driver else ''}"
        if chosen is None:
            return Builds(self.wanted, "", f"torch {found['torch']} is not the build for it, and {there}: {why}")
        return Builds(chosen, f"torch {self.resolved(chosen)['torch']}: {there}")

    def without_cuda(self, found: Versions) -> Builds:
        wanted, said, warning = self.wanted, list[str](), ""
        if _with_cuda(found) and not self._named():
            chosen, why = self._of_pytorch(found, ["cpu"], built_for_processors)
            if chosen is None:
                warning = f"torch {found['torch']} comes with CUDA, and {self.accelerator.place} has no GPU: {why}"
            else:
                wanted, found = chosen, self.resolved(chosen)
                said.append(f"torch {found['torch']}")
        if (unused := self._unused(found)) and not _with_cuda(found):
            wanted = replace(wanted, excluded=unused)
            said.append(f"without {' and '.join(unused)}")
        return Builds(wanted, f"{', '.join(said)}: {self.accelerator.place} has no GPU" if said else "", warning)

    def resolved(self, wanted: Wanted, timeout_seconds: float | None = None) -> Versions:
        lock = locked(
            wanted,
            self.python,
            platform=self.platform,
            build=self.inside is not None,
            runtime=scoring.arrays(),
            timeout_seconds=timeout_seconds,
            place=self.inside,
        )
        return labels.package_versions({labels.PACKAGES: labels.packages_label(lock.all)}) or {}

    def _of_pytorch(self, found: Versions, builds: Iterable[str], right: Callable[[Versions], bool]) -> tuple[Wanted | None, str]:
        """The same with the pages of the first of these builds that is there in the same versions; or why none is."""
        index = _index()
        if not index:
            return None, f"packages come from an index of your own; {VARIABLE} names one of PyTorch's builds beside it"
        another = f"{VARIABLE} names another index of PyTorch's builds"
        names = [name for name in _PACKAGES if name in found]
        for build in builds:
            paged = replace(self.wanted, pages=tuple(f"{index}/{build}/{name}/" for name in names))
            try:
                other = self.resolved(paged, _SECONDS)
            except TargetUnavailable as fault:
                return None, f"{without_secrets(index)} does not answer ({fault.why or fault.message}); {another}"
            except (ModelInvalid, MachineFault):
                continue  # it has no page of one of them
            if right(other) and all(_public(found[name]) == _public(other.get(name, "")) for name in names):
                return paged, ""
        return None, f"{without_secrets(index)} has no other build of that version; {another}"

    def _unused(self, found: Versions) -> tuple[str, ...]:
        asked = {need(line).name for line in self.wanted.requirements}
        here = (each for name, others in _FOR_SEVERAL_GPUS.items() if name in found for each in others)
        return tuple(each for each in here if each in found and each not in asked)

    def _named(self) -> bool:
        """Whether the model itself says which build of PyTorch it is: by a local version, a file's digest or an address."""
        own = ((line, need(line)) for line in (*self.wanted.requirements, *self.wanted.constraints))
        return any(each.name in _PACKAGES and (each.url or line in self.wanted.hashes or _local(each)) for line, each in own)


def _with_cuda(found: Versions) -> bool:
    return "torch" in found and cuda_of(found) is not None


def _index() -> str:
    """Where PyTorch's builds are; "" where nothing but an index of the user's own is to be asked."""
    index = (os.environ.get(VARIABLE) or (PYTORCH if from_pypi() else "")).rstrip("/")
    learn(index)
    return index


def _local(each: Need) -> str:
    """The local version of a pin; "" where it has none."""
    return (each.pinned.local or "") if each.pinned is not None else ""


def _public(version: str) -> str:
    return version.partition("+")[0]
