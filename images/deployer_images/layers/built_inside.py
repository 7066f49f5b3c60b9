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

from deployer.core.accelerators import Accelerator
from deployer.core.requirements import minor_of
from deployer.core.state import Image, digest_of
from deployer.errors import ModelInvalid
from deployer.events import Report, stepping
from deployer.oci import Repository
from deployer_images import engine, scoring
from deployer_images.builds import builds_for, noticed
from deployer_images.inside import Inside, inside
from deployer_images.installing import install
from deployer_images.layers.built import build
from deployer_images.layers.package_set import PackageSet, packages_of
from deployer_images.layers.published import find
from deployer_images.layers.wheels import NoWheel, Wheel
from deployer_images.locks import Lock, locked, name_of
from deployer_images.wanted import Wanted
from deployer_scoring.masking import without_secrets
from deployer_scoring.model.own_paths import path_of

_GIT = re.compile(r"(?:^|@ )git\+(?P<address>(?P<url>[^#\s]+?)(?:@(?P<revision>[^@/#:\s]+))?)(?:#(?P<fragment>\S*))?(?= ;|$)")


def chosen_packages(
    shared: Image,
    wanted: Wanted,
    python: str,
    report: Report,
    *,
    repository: Repository | None = None,
    trimmed: bool = True,
    ca_bundle: Path | None = None,
    accelerator: Accelerator | None = None,
) -> PackageSet:
    """The packages to put on an image: wheels; where some have none, those that an engine builds, if there is one.

    Args:
        wanted: with the builds for where it will run (`builds_for`), as far as they are known without building anything.
        repository: what `shared` is in, where the layer will be, too.
        trimmed: whether what no import needs is left out.
        accelerator: what it will run on, where that is known: what an engine builds is resolved for that.

    Raises:
        NoWheel: there is none. What building raises.
    """
    if packages := from_wheels(wanted, python, shared.platform, engine_builds=not shared.stand_in, trimmed=trimmed, ca_bundle=ca_bundle):
        return packages
    return packages_inside(
        shared, wanted, python, report, origin=repository, repository=repository, trimmed=trimmed, ca_bundle=ca_bundle, accelerator=accelerator
    )


def from_wheels(
    wanted: Wanted, python: str, platform: str, *, engine_builds: bool = True, trimmed: bool = True, ca_bundle: Path | None = None
) -> PackageSet | None:
    """The packages by their wheels; None where some have none, and an engine answers that builds these.

    Raises:
        NoWheel: none answers, or none is to be asked. What `packages_of` raises.
    """
    try:
        return packages_of(wanted, python, platform, trimmed=trimmed, ca_bundle=ca_bundle)
    except NoWheel:
        if not (engine_builds and engine.answers()):
            raise
    return None


def packages_inside(
    shared: Image,
    wanted: Wanted,
    python: str,
    report: Report,
    *,
    origin: Repository | None = None,
    repository: Repository | None = None,
    trimmed: bool = True,
    ca_bundle: Path | None = None,
    accelerator: Accelerator | None = None,
) -> PackageSet:
    """A model's packages, built unless their layer is there: in the registry, or on this machine, which keeps it by their address.

    Args:
        shared: the image that they are for.
        origin: the repository that it is pulled from; None leaves that to docker's own configuration.
        repository: where the layer may be.
        accelerator: what it will run on, where that is known: the builds of frameworks are those for it.

    Raises:
        BuildFailed, ModelInvalid: one can't be built, or none satisfies what is wanted. TargetUnavailable: no engine, or no index, answers.
    """
    seen = {wanted.directory.resolve(): False} if wanted.directory else {}
    credentials = origin.login() if origin else None
    with inside(shared.reference, shared.digest, seen, (credentials.username, credentials.password) if credentials else None) as place:
        with stepping(report, "resolve_packages", "packages", shared.tag) as outcome:
            sources = _with_sources(wanted, place.directory)
            fetched = noticed(builds_for(sources, python, shared.platform, accelerator, inside=place), report)
            lock = locked(fetched, python, platform=shared.platform, runtime=scoring.arrays(), ca_bundle=ca_bundle, place=place)
            outcome.detail = f"{len(lock.all)} packages, in a container of {shared.tag or shared.reference}"
        chosen = tuple(sorted(_package(line, lock) for line in lock.all))
        packages = PackageSet(minor_of(python), shared.platform, chosen, trimmed, built_in=shared.digest)
        if repository is None or find(packages, repository) is None:
            build(packages, fetched, report, by=partial(_install, lock, fetched, place, ca_bundle))
    return packages


def _package(line: str, lock: Lock) -> Wheel:
    """A package as its address counts it: by the files that there are of it, or by where it is."""
    return Wheel(name_of(line), line.partition("==")[2], line, "", digest_of(sorted(lock.hashes.get(line, ())) or [line]))


def _install(lock: Lock, wanted: Wanted, place: Inside, ca_bundle: Path | None, directory: Path) -> None:
    target = place.directory / "packages"
    install(lock.all, lock, wanted, "--target", str(target), "--python", place.python, "--no-compile-bytecode", ca_bundle=ca_bundle, place=place)
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
