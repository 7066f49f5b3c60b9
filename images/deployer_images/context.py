"""What the Dockerfile copies: the model's packages and the runtime's, chosen and unpacked by uv on this machine.

uv runs here and not in the build because it is here that indexes are configured: with their credentials, keyring, proxy and certificates,
none of which docker ever sees. It unpacks wheels for any platform; what has none is built by this machine's Python, which does for
packages of pure Python, and for others where the platforms are the same.
"""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from deployer_images import cache, cuda, scoring
from deployer_images.installing import install
from deployer_images.locks import Lock, uv_platform
from deployer_images.uv import OURS, any_patch, installed_interpreter, interpreter
from deployer_images.wanted import Wanted

DOCKERFILE = Path(__file__).with_name("Dockerfile")
_PYTHON_IN_IMAGE = b"#!/opt/deployer/venv/bin/python"
_SHEBANG = re.compile(rb"\A#!.*python.*")


@contextmanager
def context(lock: Lock, wanted: Wanted, ca_bundle: Path | None = None, *, shared: bool = False) -> Iterator[IO[bytes]]:
    """The build context for a lock of what is wanted, as a tar file; the same files give the same bytes.

    Args:
        shared: nothing of it is a model's: all packages are the runtime's, and the environment for a model's is left empty.

    Raises:
        ModelInvalid, TargetUnavailable, MachineFault: uv could not install a package, and why.
    """
    root = cache.folder("builds")
    with tempfile.TemporaryDirectory(dir=root) as name, tempfile.TemporaryFile(dir=root) as archive:
        directory = Path(name)
        for part in ("packages", "runtime", "scripts"):
            (directory / part).mkdir()
        python = installed_interpreter(lock.python) or interpreter(OURS)
        where = ("--python", str(python), "--python-version", any_patch(lock.python), *uv_platform(lock.platform))
        of_model, of_runtime = ((), lock.all) if shared else (lock.packages, lock.runtime)
        install(of_model, lock, wanted, "--target", str(directory / "packages"), *where, ca_bundle=ca_bundle)
        install(of_runtime, lock, wanted, "--target", str(directory / "runtime"), *where, ca_bundle=ca_bundle)
        scoring.copy(directory / "runtime")
        _move_scripts(directory / "runtime" / "bin", directory / "runtime" / "bin")
        shutil.rmtree(directory / "runtime" / "pandas" / "tests", ignore_errors=True)  # a third of pandas
        _move_scripts(directory / "packages" / "bin", directory / "scripts")
        variables = "".join(f"ENV {each}\n" for each in cuda.variables(lock.all))
        (directory / "Dockerfile").write_text(DOCKERFILE.read_text() + variables)
        _archive(directory, archive)
        archive.seek(0)
        yield archive


def _move_scripts(source: Path, target: Path) -> None:
    """Commands that packages bring, made to run the image's Python."""
    for script in sorted(source.iterdir()) if source.is_dir() else ():
        content = script.read_bytes() if script.is_file() else b""
        if content.startswith(b"#!"):
            script.unlink()  # before it is written: it may be a link into uv's cache
            script.write_bytes(_SHEBANG.sub(_PYTHON_IN_IMAGE, content, count=1))
            script.chmod(0o755)
        script.rename(target / script.name)
    if source != target:
        shutil.rmtree(source, ignore_errors=True)


def _archive(directory: Path, archive: IO[bytes]) -> None:
    """Sorted, without owners and times, readable for every user."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if member.name.endswith((".pyc", "/__pycache__", "/.lock")):
            return None
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for part in sorted(directory.iterdir()):
            tar.add(part, part.name, filter=plain)
