"""Packages that have no wheel, built where they will run: in a container of the shared image, by an engine of this machine.

All of a model's packages are resolved and installed there, natively. Repositories are fetched by this machine's git with its user's access; none
of their code runs here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

from deployer.core.requirements import minor_of
from deployer.core.state import Image, digest_of
from deployer.errors import ModelInvalid
from deployer.events import Report, stepping
from deployer_images import scoring
from deployer_images.inside import Inside, inside
from deployer_images.installing import install
from deployer_images.layers.built import build
from deployer_images.layers.package_set import PackageSet
from deployer_images.layers.wheels import Wheel
from deployer_images.locks import Lock, locked, name_of
from deployer_images.wanted import Wanted
from deployer_scoring.masking import without_secrets
from deployer_scoring.model.own_paths import path_of

_GIT = re.compile(r"(?:^|@ )git\+(?P<address>(?P<url>[^#\s]+?)(?:@(?P<revision>[^@/#:\s]+))?)(?:#(?P<fragment>\S*))?(?= ;|$)")


def packages_inside(shared: Image, wanted: Wanted, python: str, report: Report, *, login: tuple[str, str] | None, trimmed: bool) -> PackageSet:
    """A model's packages, and their layer kept on this machine, where it's found by their address.

    Args:
        shared: the image that they are for.
        login: for its registry; None leaves it to docker's own configuration.
        trimmed: whether what no import needs is left out.

    Raises:
        BuildFailed, ModelInvalid: one can't be built, or none satisfies what is wanted. TargetUnavailable: no engine, or no index, answers.
    """
    seen = {wanted.directory.resolve(): False} if wanted.directory else {}
    with inside(shared.reference, shared.digest, seen, login) as place:
        with stepping(report, "resolve_packages", "packages", shared.tag) as outcome:
            fetched = _with_sources(wanted, place.directory)
            lock = locked(fetched, python, platform=shared.platform, runtime=scoring.arrays(), place=place)
            outcome.detail = f"{len(lock.all)} packages, in a container of {shared.tag or shared.reference}"
        chosen = tuple(sorted(_package(line, lock) for line in lock.all))
        packages = PackageSet(minor_of(python), shared.platform, chosen, trimmed, built_in=shared.digest)
        build(packages, fetched, report, by=partial(_install, lock, fetched, place))
    return packages


def _package(line: str, lock: Lock) -> Wheel:
    """A package as its address counts it: by the files that there are of it, or by where it is."""
    return Wheel(name_of(line), line.partition("==")[2], line, "", digest_of(sorted(lock.hashes.get(line, ())) or [line]))


def _install(lock: Lock, wanted: Wanted, place: Inside, directory: Path) -> None:
    target = place.directory / "packages"
    install(lock.all, lock, wanted, "--target", str(target), "--python", place.python, "--no-compile-bytecode", place=place)
    shutil.copytree(target, directory, dirs_exist_ok=True)


def _with_sources(wanted: Wanted, directory: Path) -> Wanted:
    """The same with copies of the directories of source that it names, and repositories named by the commit that was fetched."""
    lines, sources = list[str](), dict[str, Path]()
    for number, line in enumerate(wanted.requirements):
        target, own, pinned = directory / f"source-{number}", path_of(line), line
        if own and wanted.directory and (wanted.directory / own).is_dir():
            shutil.copytree(wanted.directory / own, target)
            sources[line] = target
        elif match := _GIT.search(line):
            pinned = f"{line[: match.end('url')]}@{_fetch(match, target)}{line[match.end('address') :]}"
            fragment = dict(each.partition("=")[::2] for each in (match["fragment"] or "").split("&"))
            sources[pinned] = target / fragment.get("subdirectory", "")
        lines.append(pinned)
    return replace(wanted, requirements=tuple(lines), sources=sources)


def _fetch(match: re.Match[str], directory: Path) -> str:
    """Fetch what a requirement's address names into a directory; the commit.

    Raises:
        ModelInvalid: git isn't here, or says no.
    """
    named = without_secrets(match["url"])
    if not shutil.which("git"):
        raise ModelInvalid(f"{named} can't be fetched: git is not on this machine", advice="install git, or have an index give a wheel")
    directory.mkdir()
    for command in (["init", "-q"], ["fetch", "-q", "--depth", "1", match["url"], match["revision"] or "HEAD"], ["checkout", "-q", "FETCH_HEAD"]):
        done = subprocess.run(["git", *command], cwd=directory, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            why = without_secrets(" ".join(done.stderr.split()))[:300]
            raise ModelInvalid(f"git can't fetch {named}", why=why, advice="check the address and the revision, and this machine's access to it")
    return (directory / ".git" / "HEAD").read_text().strip()
