"""What executors need and may not have: this package, and the model's directory. Each is sent once for each Spark application."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any, Callable

import deployer_scoring

_PACKAGE = Path(deployer_scoring.__file__).parent
_PACKAGE_FILE = f"deployer_scoring-{deployer_scoring.__version__}.zip"

# The archives of each application, which executors may ask for as long as it runs; removed when this process ends.
_sent: dict[tuple[str, str], tempfile.TemporaryDirectory[str]] = {}
_sending = threading.Lock()
"""Functions are made by several threads too: who finds that another sends waits until it is sent."""


def ship_package(context: Any) -> None:
    """Make this package importable by the Python workers of a Spark context, in the version that is here."""

    def send(archive: Path) -> None:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
            for file in sorted(_PACKAGE.rglob("*.py")):
                package.write(file, file.relative_to(_PACKAGE.parent))
        context.addPyFile(str(archive))

    _send_once(context, _PACKAGE_FILE, send)


def ship_preload(context: Any) -> str:
    """Send `preload` to the executors.

    Returns:
        Entries for the PYTHONPATH of their Python daemons: where `preload` is, and this package.
    """

    def send(archive: Path) -> None:
        with zipfile.ZipFile(archive, "w") as package:
            package.write(_PACKAGE / "spark" / "preload.py", "sitecustomize.py")
        context.addFile(str(archive))

    name = f"deployer-preload-{deployer_scoring.__version__}.zip"
    _send_once(context, name, send)
    # Files arrive in an executor's working directory, in which its daemon starts; one on this machine's own threads has them elsewhere.
    return os.pathsep.join(str(Path(_files()) / each) if on_threads(context) else each for each in (name, _PACKAGE_FILE))


def on_threads(context: Any) -> bool:
    """Whether the executor is in the driver's own process, and sees its files."""
    master = str(context.master)
    return master == "local" or master.startswith("local[")


def _files() -> str:
    from pyspark import SparkFiles

    return str(SparkFiles.getRootDirectory())


def ship_model(context: Any, directory: Path, identity: str) -> str:
    """Send a model's directory to the executors, which unpack it once each.

    Returns:
        The name that `SparkFiles.get` knows it by on an executor.
    """

    def send(place: Path) -> None:
        archive = place.with_suffix(".tar")
        with tarfile.open(archive, "w") as packed:
            for file in sorted(directory.iterdir()):
                packed.add(file.resolve(), file.name)
        context.addArchive(f"{archive}#{name}")

    name = f"deployer-model-{identity}"
    _send_once(context, name, send)
    return name


def identity(directory: Path) -> str:
    """What tells one model directory from another, and from what it was before: its place, and its files' names, sizes and times."""
    digest = hashlib.sha256(str(directory).encode())
    for file in sorted(directory.rglob("*")):
        status = file.stat()
        digest.update(f"\0{file.relative_to(directory)}\0{status.st_size}\0{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _send_once(context: Any, name: str, send: Callable[[Path], None]) -> None:
    """Have a file of this name made and sent, unless it was; what fails is tried again by the next who needs it."""
    with _sending:
        if (context.applicationId, name) not in _sent:
            directory = tempfile.TemporaryDirectory(prefix="deployer-spark-")
            send(Path(directory.name) / name)
            _sent[context.applicationId, name] = directory
