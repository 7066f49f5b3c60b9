"""Installing what a lock names, by uv: exactly that, and where the lock says so, exactly those files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deployer_images.inside import Inside
from deployer_images.locks import Lock
from deployer_images.uv import uv
from deployer_images.wanted import Wanted


def install(packages: Iterable[str], lock: Lock, wanted: Wanted, *where: str, ca_bundle: Path | None = None, place: Inside | None = None) -> None:
    """Install some of a lock's packages.

    Each file must have one of the digests that the lock has for it; where it has some for all, nothing without one is taken.

    Args:
        where: options that say which environment or directory.
        place: where uv runs, and with it what is built; by default this machine.

    Raises:
        ModelInvalid: one can't be built, or its file isn't the one that the lock was made with. TargetUnavailable: no index answers.
    """
    lines = {line: lock.hashes.get(line, ()) for line in packages}
    if not lines:
        return
    hashed = ("--require-hashes",) if all(lines.values()) else ()
    uv(
        *("pip", "install", "--quiet", "--no-deps", *hashed, *where, *wanted.folders, "--requirements", "-"),
        stdin=wanted.listed(" ".join((wanted.installable(line), *(f"--hash={each}" for each in given))) for line, given in lines.items()),
        doing="installing the requirements",
        ca_bundle=ca_bundle,
        place=place,
    )
