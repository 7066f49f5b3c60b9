"""From what a model asks for to exact versions: its own packages, and what the scoring runtime needs beside them.

The model's packages win. The runtime's are chosen to go with them, and only those that the model doesn't bring are the runtime's own: they
lie in a directory apart, at the end of the path.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from packaging.utils import canonicalize_name

from deployer.core.requirements import minor_of, need, refuse_old_python
from deployer.errors import DeployerError, ModelInvalid, TargetUnavailable
from deployer.oci import lock_digest
from deployer_images import cache, scoring
from deployer_images.faults import NeedsBuild
from deployer_images.inside import Inside
from deployer_images.uv import OURS, installed_interpreter, interpreter, uv, whole_version
from deployer_images.wanted import Wanted
from deployer_scoring.masking import without_secrets
from deployer_scoring.model.own_paths import SOURCE, path_of

_FRESH_SECONDS = 24 * 3600
_PLATFORMS = {"linux/amd64": "x86_64-manylinux_2_28", "linux/arm64": "aarch64-manylinux_2_28"}


_NOT_BY_CONDA = (
    "nothing is installed by conda: name it in requirements.txt as PyPI has it; a library that is no package of Python's goes into a base image "
    "(build-and-push-container --base IMAGE) and out of conda.yaml"
)


@dataclass(frozen=True, slots=True)
class Lock:
    """Exact versions for one minor of Python, as `name==version` (or `name @ URL`), sorted.

    Attributes:
        packages: the model's.
        runtime: what the scoring runtime needs and the model doesn't bring.
        platform: "linux/arm64", or "" for this machine.
        hashes: the digests of the files of each, "sha256:…"; nothing of what has none, a repository say.
    """

    python: str
    packages: tuple[str, ...]
    runtime: tuple[str, ...]
    platform: str = ""
    hashes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def all(self) -> tuple[str, ...]:
        """Everything that is installed, the runtime's included: what an image's label says."""
        return tuple(sorted((*self.packages, *self.runtime)))


def locked(
    wanted: Wanted,
    python: str,
    *,
    platform: str = "",
    ca_bundle: Path | None = None,
    timeout_seconds: float | None = None,
    build: bool = True,
    runtime: tuple[str, ...] | None = None,
    place: Inside | None = None,
) -> Lock:
    """The exact versions for what is wanted, by uv, with the indexes that uv or pip are configured with.

    An answer is kept for a day; an older one serves where no index answers. URLs lose their credentials before they are written anywhere.

    Args:
        python: the version of Python, "3.11.7"; where its patch isn't said, that of the interpreter on this machine counts.
        platform: "linux/amd64", "linux/arm64", or "" for this machine.
        timeout_seconds: how long each run of uv may take.
        build: whether a package may be built, which runs its code, where nothing else says what it requires. Without, versions that have no
            wheel are as if they weren't there, and nothing is fetched from a repository.
        runtime: what is needed beside the model's packages; by default all that the scoring runtime needs.
        place: where uv runs, and with it what is built; by default this machine.

    Raises:
        ModelInvalid: no versions satisfy them, or the runtime doesn't run on that Python. TargetUnavailable: no index answers.
        NeedsBuild: without a build they are not known.
    """
    refuse_old_python(python)
    whole = whole_version(python)
    beside = scoring.requirements() if runtime is None else runtime
    key = cache.key(lock_digest(wanted.requirements, python), whole, wanted.identity, platform, beside, *([place.image] if place else []))
    built = cache.root() / "locks" / f"{key}.json"
    if kept := _fresh(built):
        return kept  # was it built, that was then
    file = built if build else built.with_suffix(".wheels.json")
    if kept := _fresh(file):
        return kept
    kept = _kept(file)
    if not build and (source := [*filter(None, map(built_from, wanted.requirements))]):
        raise NeedsBuild.of(source)
    ask = partial(
        _compiled, wanted=wanted, python=whole, platform=platform, ca_bundle=ca_bundle, timeout_seconds=timeout_seconds, build=build, place=place
    )
    try:
        asked = sorted(wanted.requirements)
        packages = ask(asked, given=("--constraint", wanted.constraints)) if asked else {}
        packages |= _beside(packages, wanted.build, ask)
        needed = _beside(packages, beside, ask)
    except TargetUnavailable:
        if kept:
            return kept
        raise
    hashes = {line: given for line, given in {**packages, **needed}.items() if given}
    lock = Lock(minor_of(python), tuple(sorted(packages)), tuple(sorted(needed)), platform, hashes)
    cache.write(file, json.dumps(asdict(lock)))
    return lock


def built_from(line: str) -> str:
    """What a line of requirements or of a lock is, where it has to be built: "gx comes from a repository"; empty for wheels and names."""
    each = need(line)
    address = _address(each.line)
    if not each.url or not re.search(r"[/\\:]", address):  # a name, or no requirement at all
        return ""
    name, path = each.name or path_of(line) or address, address.partition("#")[0].partition("?")[0]
    if re.search(r"\b(git|hg|svn|bzr)\+", address):
        return f"{name} comes from a repository"
    if path.endswith(".whl"):
        return ""
    return f"{name} is a source distribution" if SOURCE.search(path) else f"{name} is a directory of source"


def uv_platform(platform: str) -> tuple[str, ...]:
    """The options that tell uv for which platform to choose wheels; none for this machine."""
    return ("--python-platform", _PLATFORMS[platform]) if platform else ()


def name_of(line: str) -> str:
    """The canonical name in a line of a lock."""
    return canonicalize_name(re.split(r"[\s=@\[;]", line, maxsplit=1)[0])


def over(below: Iterable[str], above: Iterable[str]) -> tuple[str, ...]:
    """The lines of both, those above in place of what is below of the same package: what an image has once packages lie on top of others."""
    return tuple({name_of(line): line for line in (*below, *above)}.values())


Hashed = dict[str, tuple[str, ...]]
"""Lines of a lock, and the digests of their files."""


def _beside(packages: Hashed, more: Sequence[str], ask: Callable[..., Hashed]) -> Hashed:
    """What is needed beside these packages and goes with them: by their declared ranges, or, where these allow no choice, against them."""
    have = {name_of(line) for line in packages}
    lacking = [line for line in more if name_of(line) not in have]
    if not lacking:
        return {}
    try:
        found = ask(lacking, given=("--constraint", tuple(packages)))
    except NeedsBuild:
        raise
    except ModelInvalid:
        found = ask(lacking, given=("--override", tuple(packages)))
    return {line: hashes for line, hashes in found.items() if name_of(line) not in have}


def _compiled(
    requirements: Sequence[str],
    *,
    given: tuple[str, tuple[str, ...]],
    wanted: Wanted,
    python: str,
    platform: str,
    ca_bundle: Path | None,
    timeout_seconds: float | None,
    build: bool,
    place: Inside | None,
) -> Hashed:
    option, lines = given

    def ask(stdin: str, *more: str) -> str:
        # Any interpreter will do to resolve for another version; only a source distribution's metadata needs one at all.
        interpreters = place.python if place else str(installed_interpreter(minor_of(python)) or interpreter(OURS))
        return uv(
            *("pip", "compile", "-", "--quiet", "--no-header", "--no-annotate", "--python", interpreters, "--python-version", python),
            *uv_platform(platform),
            *more,
            *(("--generate-hashes",) if build else ("--no-build",)),
            *wanted.folders,
            stdin=stdin,
            doing="resolving the requirements",
            ca_bundle=ca_bundle,
            timeout_seconds=timeout_seconds,
            repositories=build,
            place=place,
        )

    with tempfile.TemporaryDirectory(dir=place.directory if place else None) as directory:
        file = Path(directory) / "given.txt"
        file.write_text("\n".join(map(wanted.installable, lines)))
        without = file.with_name("excluded.txt")
        without.write_text("\n".join(wanted.excluded))
        more = (*((option, str(file)) if lines else ()), *(("--excludes", str(without)) if wanted.excluded else ()))
        try:
            listed = ask(wanted.listed(map(wanted.installable, requirements)), *more)
        except ModelInvalid as refusal:
            if match := re.search(r"no index has ([A-Za-z0-9._-]+)==\S+$", refusal.message):
                with suppress(DeployerError):
                    refusal.message += f", the newest is {ask(match[1], '--no-deps').split()[0]}"
            if (match := re.search(r"no index has(?: a package)? ([A-Za-z0-9._-]+)", refusal.message)) and name_of(match[1]) in wanted.conda:
                refusal.message = f"conda.yaml lists {match[1]} as a package of conda's, and {refusal.message}"
                refusal.advice = _NOT_BY_CONDA
            raise
    found = dict(_lines(listed, [*requirements, *lines], wanted))
    # What its files say without a build is enough to resolve it, but not to install it.
    if not build and (source := [*filter(None, map(built_from, found))]):
        raise NeedsBuild.of(source)
    return found


def _lines(listed: str, asked: Sequence[str], wanted: Wanted) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The lines of a requirements file with their hashes, what lies in the model's directory said as it was asked for."""
    own = {_address(wanted.installable(line)): _address(line) for line in asked if path_of(line) or line in wanted.sources}
    must = {name_of(line): hashes for line, hashes in wanted.hashes.items()}
    for line in listed.replace("\\\n", " ").splitlines():
        text, *hashes = line.split("--hash=")
        if (text := without_secrets(text.strip())) and not text.startswith(("#", "--")):
            name, separator, address = text.partition(" @ ")
            kept = name + separator + own.get(address, address) if separator else own.get(text, text)
            yield kept, must.get(name_of(kept)) or tuple(each.strip() for each in hashes)


def _address(line: str) -> str:
    return line.partition(" ; ")[0].rpartition(" @ ")[2]


def _fresh(file: Path) -> Lock | None:
    return _kept(file) if file.exists() and time.time() - file.stat().st_mtime < _FRESH_SECONDS else None


def _kept(file: Path) -> Lock | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        document = json.loads(file.read_text())
        hashes = {line: tuple(given) for line, given in document["hashes"].items()}
        return Lock(document["python"], tuple(document["packages"]), tuple(document["runtime"]), document["platform"], hashes)
    return None
