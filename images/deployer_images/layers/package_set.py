"""The packages of one layer, and the address that they give it.

Whoever resolves to the same wheels for the same Python and platform gets the same address, and so shares the layer: which model asked, in which
words, and where it lies makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from deployer.core.requirements import minor_of
from deployer.core.state import Digest, digest_of, short
from deployer.oci import Compression
from deployer_images import scoring
from deployer_images.faults import NeedsBuild
from deployer_images.layers.wheels import NoWheel, Wheel, wheels
from deployer_images.locks import locked
from deployer_images.wanted import Wanted

LAYOUT = 1
"""Counts up when the same wheels would give another layer (docs/adr/0012)."""


@dataclass(frozen=True, slots=True)
class PackageSet:
    """Wheels for one minor of Python on one platform.

    Attributes:
        trimmed: whether what no import needs is left out (`deployer_images.layers.trimming`).
        compression: of the layer.
        built_in: the image in which those without a wheel are built, by its digest; "" where all have one.
    """

    python: str
    platform: str
    wheels: tuple[Wheel, ...]
    trimmed: bool = True
    built_in: str = ""
    compression: Compression = Compression.GZIP

    @property
    def address(self) -> Digest:
        chosen = sorted([wheel.name, wheel.version, wheel.digest] for wheel in self.wheels)
        return digest_of([LAYOUT, self.python, self.platform, self.trimmed, chosen, *filter(None, [self.built_in, *self._form])])

    @property
    def _form(self) -> list[str]:
        return [] if self.compression is Compression.GZIP else [self.compression]

    def compressed(self, compression: Compression) -> PackageSet:
        """The same by another way; what an engine has built stays as it was built."""
        return self if self.built_in else replace(self, compression=compression)

    @property
    def tag(self) -> str:
        """Under which a registry keeps the layer."""
        return f"packages-{self.address.removeprefix('sha256:')[:40]}"

    @property
    def name(self) -> str:
        """Ten digits, for people."""
        return short(self.address)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(wheel.line for wheel in self.wheels)

    @property
    def size(self) -> int:
        """Bytes of its wheels, which a layer comes close to; 0 where an index doesn't say how large one is."""
        sizes = [wheel.size for wheel in self.wheels]
        return sum(sizes) if all(sizes) else 0


def packages_of(wanted: Wanted, python: str, platform: str, *, trimmed: bool = True, ca_bundle: Path | None = None) -> PackageSet:
    """The packages that a model wants, and numpy and pandas in versions that go with them. Nothing is fetched but what indexes say, nothing built.

    Args:
        python: the version of Python, with its patch where that is known.

    Raises:
        NoWheel: some come only from source. ModelInvalid: no versions satisfy what is wanted. TargetUnavailable: no index answers.
    """
    packages, missing = available(wanted, python, platform, trimmed=trimmed, ca_bundle=ca_bundle)
    if missing:
        raise NoWheel.of(missing)
    return packages


def available(
    wanted: Wanted, python: str, platform: str, *, trimmed: bool = True, ca_bundle: Path | None = None
) -> tuple[PackageSet, tuple[str, ...]]:
    """The same, those that have a wheel; of each other one why it has none. Where only a build says which they are, there are no others."""
    return _chosen(wanted, python, platform, runtime=scoring.arrays(), trimmed=trimmed, ca_bundle=ca_bundle)


def runtime_packages(wanted: Wanted, python: str, platform: str, *, ca_bundle: Path | None = None) -> PackageSet:
    """The packages of the shared image: all that the runtime needs, and what is wanted beside that.

    Raises:
        NoWheel: some have none. What `packages_of` raises.
    """
    packages, missing = _chosen(wanted, python, platform, runtime=scoring.requirements(), ca_bundle=ca_bundle)
    if missing:
        raise NoWheel.beside_the_runtime(missing)
    return packages


def _chosen(
    wanted: Wanted, python: str, platform: str, *, runtime: tuple[str, ...], trimmed: bool = True, ca_bundle: Path | None = None
) -> tuple[PackageSet, tuple[str, ...]]:
    minor = minor_of(python)
    try:
        lock = locked(wanted, python, platform=platform, ca_bundle=ca_bundle, build=False, runtime=runtime)
    except NeedsBuild as refusal:
        return PackageSet(minor, platform, (), trimmed), refusal.packages
    found, missing = wheels(lock, wanted, ca_bundle=ca_bundle)
    return PackageSet(minor, platform, found, trimmed), missing
