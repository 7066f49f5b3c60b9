"""From what a model asks for to exact versions: its own packages, and what the scoring runtime needs beside them.

The model's packages win. The runtime's are chosen to go with them, and only those that the model doesn't bring are the runtime's own: they
lie in a directory apart, at the end of the path.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from packaging.utils import canonicalize_name

from deployer.errors import ModelInvalid, TargetUnavailable
from deployer.oci import lock_digest
from deployer.requirements import refuse_old_python
from deployer_images import cache, scoring
from deployer_images.uv import OURS, installed_interpreter, interpreter, uv
from deployer_scoring.masking import without_secrets

_FRESH_SECONDS = 24 * 3600
_PLATFORMS = {"linux/amd64": "x86_64-manylinux_2_28", "linux/arm64": "aarch64-manylinux_2_28"}


@dataclass(frozen=True, slots=True)
class Lock:
    """Exact versions for one minor of Python, as `name==version` (or `name @ URL`), sorted.

    Attributes:
        packages: the model's.
        runtime: what the scoring runtime needs and the model doesn't bring.
        platform: "linux/arm64", or "" for this machine.
    """

    python: str
    packages: tuple[str, ...]
    runtime: tuple[str, ...]
    platform: str = ""

    @property
    def all(self) -> tuple[str, ...]:
        """Everything that is installed, the runtime's included: what an image's label says."""
        return tuple(sorted((*self.packages, *self.runtime)))


def locked(
    requirements: Sequence[str],
    python: str,
    *,
    constraints: Sequence[str] = (),
    platform: str = "",
    ca_bundle: Path | None = None,
    timeout_seconds: float | None = None,
) -> Lock:
    """The exact versions for these requirements, by uv, with the indexes that uv or pip are configured with.

    An answer is kept for a day; an older one serves where no index answers. URLs lose their credentials before they are written anywhere.

    Args:
        requirements: PEP 508 requirements; their order means nothing.
        python: the minor version of Python, "3.11".
        constraints: versions to keep to without requiring the packages.
        platform: "linux/amd64", "linux/arm64", or "" for this machine.
        timeout_seconds: how long each run of uv may take.

    Raises:
        ModelInvalid: no versions satisfy them, or the runtime doesn't run on that Python. TargetUnavailable: no index answers.
    """
    refuse_old_python(python)
    asked = sorted(requirements)
    file = (
        cache.root() / "locks" / f"{cache.key(lock_digest(asked, python), lock_digest(constraints, python), platform, scoring.requirements())}.json"
    )
    kept = _kept(file)
    if kept and time.time() - file.stat().st_mtime < _FRESH_SECONDS:
        return kept
    try:
        ask = partial(_compiled, python=python, platform=platform, ca_bundle=ca_bundle, timeout_seconds=timeout_seconds)
        packages = ask(asked, given=("--constraint", tuple(constraints))) if asked else ()
        runtime = _beside(packages, ask)
    except TargetUnavailable:
        if kept:
            return kept
        raise
    lock = Lock(python, packages, runtime, platform)
    cache.write(file, json.dumps(asdict(lock)))
    return lock


def uv_platform(platform: str) -> tuple[str, ...]:
    """The options that tell uv for which platform to choose wheels; none for this machine."""
    return ("--python-platform", _PLATFORMS[platform]) if platform else ()


def name_of(line: str) -> str:
    """The canonical name in a line of a lock."""
    return canonicalize_name(re.split(r"[\s=@\[;]", line, maxsplit=1)[0])


def _beside(packages: tuple[str, ...], ask: Callable[..., tuple[str, ...]]) -> tuple[str, ...]:
    """The runtime's packages that go with the model's: by their declared ranges, or, where these allow no choice, against them."""
    try:
        found = ask(scoring.requirements(), given=("--constraint", packages))
    except ModelInvalid:
        found = ask(scoring.requirements(), given=("--override", packages))
    own = {name_of(line) for line in packages}
    return tuple(line for line in found if name_of(line) not in own)


def _compiled(
    requirements: Sequence[str],
    *,
    given: tuple[str, tuple[str, ...]],
    python: str,
    platform: str,
    ca_bundle: Path | None,
    timeout_seconds: float | None,
) -> tuple[str, ...]:
    option, lines = given
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "given.txt"
        file.write_text("\n".join(lines))
        # Any interpreter will do to resolve for another version; only a source distribution's metadata needs one at all.
        listed = uv(
            *("pip", "compile", "-", "--quiet", "--no-header", "--no-annotate", "--python", str(installed_interpreter(python) or interpreter(OURS))),
            *("--python-version", python, *uv_platform(platform), *((option, str(file)) if lines else ())),
            stdin="\n".join(requirements),
            doing="resolving the requirements",
            ca_bundle=ca_bundle,
            timeout_seconds=timeout_seconds,
        )
    return tuple(sorted(without_secrets(line.strip()) for line in listed.splitlines() if line.strip() and not line.startswith("#")))


def _kept(file: Path) -> Lock | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        document = json.loads(file.read_text())
        return Lock(document["python"], tuple(document["packages"]), tuple(document["runtime"]), document["platform"])
    return None
