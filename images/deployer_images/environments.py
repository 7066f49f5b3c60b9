"""Python environments for models on this machine, made by uv once per lock and kept in the user's cache directory.

An environment is a virtual environment with exactly the model's packages. The scoring runtime and those of its packages that the model
doesn't bring lie in a directory of their own, which a .pth file puts at the end of the path: the model's packages win.

Bytecode is left to Python, which writes it as modules are first imported. Compiling all of it ahead took 10 s for the 87 packages of a
scikit-learn model with MLflow, where importing what the model uses takes 4 s longer once. Where Python is told to write none
(PYTHONDONTWRITEBYTECODE, as many images have it), that would be once for each start, and all is compiled ahead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from deployer.core.requirements import refuse_old_python
from deployer.errors import ConfigInvalid, ModelInvalid
from deployer_images import cache, scoring
from deployer_images.builds import with_pages
from deployer_images.installing import install
from deployer_images.locks import Lock, locked
from deployer_images.uv import interpreter, uv
from deployer_images.wanted import Wanted

Say = Callable[[str], None]


def environment(wanted: Wanted, python_version: str, *, say: Say = lambda _: None) -> Path:
    """The interpreter of an environment that has what is wanted and the scoring runtime.

    Args:
        python_version: "3.11.7" or "3.11". The interpreter is one of its minor version; the packages are for the whole.
        say: told, in a sentence, what takes long.

    Raises:
        ModelInvalid: nothing satisfies it. TargetUnavailable: no package index answers. MachineFault: no such Python, disk full.
    """
    minor = minor_of(python_version)
    refuse_old_python(minor)
    interpreter(minor)  # before anything is resolved for a Python that can't be had
    return _environment(locked(wanted, python_version), wanted, say)


def environment_of(packages: Sequence[str], python_version: str, *, found: Wanted | None = None, say: Say = lambda _: None) -> Path:
    """The same for exact versions, as the label of an image lists them: nothing is resolved, nothing added but the runtime's own source.

    Args:
        found: what says where the model's own packages lie, where it has any.
    """
    lock, wanted = Lock(minor_of(python_version), tuple(sorted(packages)), ()), found or Wanted()
    try:
        return _environment(lock, wanted, say)
    except ModelInvalid:
        if (paged := with_pages(wanted, packages)) == wanted:
            raise
        return _environment(lock, paged, say)


def minor_of(python_version: str) -> str:
    """ "3.11" of "3.11.7".

    Raises:
        ConfigInvalid: it isn't a version of Python.
    """
    if match := re.match(r"^\s*(\d+\.\d+)(\.|\s*$)", python_version):
        return match.group(1)
    raise ConfigInvalid(f"{python_version!r} is not a version of Python", advice="give it as 3.11")


def _environment(lock: Lock, wanted: Wanted, say: Say) -> Path:
    runtime = cache.root() / "runtimes" / cache.key(lock.python, lock.runtime, scoring.digest())
    directory = cache.root() / "environments" / cache.key(lock.python, lock.packages, wanted.links, sorted(wanted.hashes.items()), runtime.name)

    compiled = ("--compile-bytecode",) if os.environ.get("PYTHONDONTWRITEBYTECODE") else ()

    def make_runtime(target: Path) -> None:
        if lock.runtime:
            install(lock.runtime, lock, wanted, "--target", str(target), "--python", str(interpreter(lock.python)), *compiled)
        scoring.copy(target)

    def make_environment(target: Path) -> None:
        say(f"making an environment of {len(lock.packages)} packages for Python {lock.python}; it is kept for the next time")
        uv(
            "venv",
            "--quiet",
            "--no-project",
            "--allow-existing",
            "--python",
            str(interpreter(lock.python)),
            str(target),
            doing="making an environment",
        )
        install(lock.packages, lock, wanted, "--python", str(target / "bin" / "python"), *compiled)
        (site_packages,) = target.glob("lib/python*/site-packages")
        # Python reads .pth files in the order of their names, and appends what they name.
        (site_packages / "zzz-deployer-runtime.pth").write_text(f"{runtime}\n")

    cache.made(runtime, make_runtime)
    return cache.made(directory, make_environment) / "bin" / "python"
