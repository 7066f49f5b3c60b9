"""What a model consists of: the list of its files that is on the image, made where it was deployed."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from deployer_scoring.errors import LoadError

PLACE = Path("/opt/deployer/model-files.json")
"""Where it is on the image."""
_PIECE = 1 << 20
_AT_ONCE = 8


class WantedFile(NamedTuple):
    """One file as it was deployed."""

    path: str
    """Below the model's directory, with forward slashes."""
    size: int
    sha256: str
    executable: bool = False


def written(files: list[WantedFile]) -> bytes:
    """The list, as `read_files` reads it."""
    return json.dumps({"files": [list(each) for each in files]}, separators=(",", ":")).encode()


def read_files(place: Path = PLACE) -> list[WantedFile]:
    """The list.

    Raises:
        LoadError: There is none, or it leads out of the model's directory.
    """
    try:
        document: Any = json.loads(place.read_bytes())
        found = [WantedFile(*each) for each in document["files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError(f"the list of the model's files, {place}, can't be read: {error}") from error
    for each in found:
        path = PurePosixPath(each.path)
        if path.is_absolute() or ".." in path.parts:
            raise LoadError(f"the list of the model's files has {each.path}, which leads out of the model's directory")
    return found


def is_whole(file: WantedFile, target: Path) -> bool:
    """Whether it is there already, byte by byte: a container that starts again in its pod finds what the one before it has fetched."""
    try:
        return target.stat().st_size == file.size and digest_of(target) == file.sha256
    except OSError:
        return False


def compare(files: list[WantedFile], directory: Path) -> None:
    """See that a directory has what was deployed; what it has beside that is of no interest.

    Raises:
        LoadError: A file isn't there, or is another.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="compare") as pool:
        for file, whole in zip(files, pool.map(lambda each: is_whole(each, directory / each.path), files)):
            if not whole and not (directory / file.path).is_file():
                raise LoadError(f"{directory} has no {file.path}, which was deployed: the volume has another model, or not all of it")
            if not whole:
                raise LoadError(
                    f"{file.path} in {directory} is not the file that was deployed: its digest is another; deploy the model that is on the volume now"
                )


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as content:
        while piece := content.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def joined(parts: list[Path], whole: Path) -> str:
    """Put the parts of a file together, each gone once it is in; the SHA-256 of all."""
    found = hashlib.sha256()
    with whole.open("wb") as target:
        for part in parts:
            with part.open("rb") as content:
                while piece := content.read(_PIECE):
                    found.update(piece)
                    target.write(piece)
            part.unlink()
    return found.hexdigest()


def settle(file: WantedFile, arrived: Path, target: Path, source: str, digest: str = "") -> None:
    """Put a file that has arrived where it belongs.

    Args:
        digest: Its SHA-256, where that is known.

    Raises:
        LoadError: It isn't the one that was deployed; what has arrived is removed.
    """
    if arrived.stat().st_size != file.size or (digest or digest_of(arrived)) != file.sha256:
        arrived.unlink()
        raise LoadError(f"{file.path} at {source} is not the file that was deployed: its digest is another; deploy the model that is there now")
    arrived.chmod(0o755 if file.executable else 0o644)
    arrived.replace(target)
