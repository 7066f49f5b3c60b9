"""Paths that a model's files name, of what lies in the model's own directory: a wheel in the code folder is MLflow's way to ship a package.

Such a requirement is kept as `name @ file:code/x.whl`, relative to the model's directory, so that it says the same wherever the model lies;
who installs it asks for the whole path (`on_this_machine`). Paths that Windows wrote are read with forward slashes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Optional
from urllib.parse import quote, unquote

from deployer_scoring.errors import MLModelError
from deployer_scoring.model.text import read_text

SOURCE = re.compile(r"\.(tar\.\w+|tgz|tbz|tar|zip)$", re.IGNORECASE)
"""How a source distribution's file ends."""

_NAMED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*@\s*(.+)$")
_EXTRAS = re.compile(r"^(.*?)\s*(\[[^\]/\\]*\])$")
_MARKER = re.compile(r"\s*;\s*(?=[a-z_]+\s*[=!<>~]|[a-z_]+\s+(?:not\s+)?in\b|[(\"'])")
_ELSEWHERE = re.compile(r"^(?!file:)[A-Za-z][A-Za-z0-9+.-]+:")
_OWN = re.compile(r"(?:(?<=@ )|^)file:(?!/)(\S+)")
_PROJECT_NAME = re.compile(r"^\[(?:project|tool\.poetry|metadata)\]\s*$(?:\n(?!\[).*)*?\n\s*name\s*=\s*[\"']?([A-Za-z0-9][\w.-]*)", re.MULTILINE)


def own(line: str, directory: Path, folder: Path, file: str) -> str:
    """A requirement as it is kept: of what lies in the model's directory in the form above, of anything else as it is.

    Args:
        line: Without pip's options.
        directory: The model's.
        folder: Where the file lies that has the line: paths are relative to the model's directory (pip's way) or else to it (uv's).
        file: For messages.

    Raises:
        MLModelError: It is a path that leads out of the model's directory.
    """
    requirement, marker = _split_marker(line)
    match = _NAMED.match(requirement)
    name, extras, address = (match.group(1), match.group(2) or "", match.group(3).strip()) if match else ("", "", requirement)
    if _ELSEWHERE.search(address) or not (match or _looks_like_a_path(address)):
        return line
    if not match and (with_extras := _EXTRAS.match(address)):
        address, extras = with_extras.groups()
    found = inside(address.partition("#")[0], directory, (directory, folder), file)
    if found is None:
        return line
    name = name or _name_of(directory / found)
    kept = f"{name}{extras} @ file:{quote(found)}" if name else f"file:{quote(found)}{extras}"
    return f"{kept} ; {marker}" if marker else kept


def inside(path: str, directory: Path, bases: Sequence[Path], file: str) -> Optional[str]:
    """What a path leads to, relative to the model's directory and with forward slashes; None where nothing of the model's is there.

    Args:
        path: As written: it may begin with `file:` and be of Windows.
        bases: What it may be relative to, in this order.

    Raises:
        MLModelError: It leads out of the model's directory.
    """
    plain = _without_scheme(path)
    if Path(plain).is_absolute() or PureWindowsPath(plain).drive:
        return _below(directory, Path(plain)) if Path(plain).exists() else None
    written = dict.fromkeys(each for text in (plain, unquote(plain)) for each in (text, text.replace("\\", "/")))
    places = dict.fromkeys(Path(os.path.normpath(base / each)) for base in bases for each in written)
    there = [place for place in places if os.path.lexists(place)]
    found = [below for place in there if (below := _below(directory, place)) is not None]
    slashes = [Path(os.path.normpath(base / plain.replace("\\", "/"))) for base in bases]
    if not found and (there or not any(_lies_in(place, directory) for place in slashes)):
        raise MLModelError(
            file, None, f"names {path}, which leads out of the model's directory", "Put it into the model's directory: code_paths= does."
        )
    return found[0] if found else None


def path_of(line: str) -> Optional[str]:
    """The path in a kept requirement of the model's own directory, relative to it; None for any other."""
    match = _OWN.search(line)
    return unquote(match.group(1).partition("#")[0].partition("[")[0]) if match else None


def on_this_machine(line: str, place: Path) -> str:
    """A kept requirement of the model's own directory as it can be installed: with the whole path of where it lies."""
    address = _OWN.findall(line)[0]
    extras = match.group(0) if (match := re.search(r"\[[^\]]*\]", address)) else ""
    return _OWN.sub(lambda _: Path(os.path.realpath(place)).as_uri() + extras, line, count=1)


def leads_out(value: str) -> bool:
    """Whether a path, of Windows or not, is none within the model's directory."""
    return PureWindowsPath(value).is_absolute() or value.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", value)


def forward(value: str, directory: Path) -> str:
    """A path of the model's as it is here: where Windows wrote it, and only so it leads to something, with forward slashes."""
    slashes = value.replace("\\", "/")
    return slashes if slashes != value and not leads_out(value) and not (directory / value).exists() and (directory / slashes).exists() else value


def _split_marker(line: str) -> tuple[str, str]:
    match = _MARKER.search(line)
    return (line[: match.start()].strip(), line[match.end() :].strip()) if match else (line.strip(), "")


def _looks_like_a_path(text: str) -> bool:
    return text.startswith((".", "file:")) or "/" in text or "\\" in text or text.lower().endswith(".whl") or SOURCE.search(text) is not None


def _without_scheme(path: str) -> str:
    rest = path[len("file:") :] if path.startswith("file:") else path
    if rest is path or not rest.startswith("//"):
        return rest
    local = re.sub(r"^//(localhost)?(?=/)", "", rest)
    return unquote(local) if local != rest else rest[2:]  # file://code/x.whl: its author meant no host


def _below(directory: Path, place: Path) -> Optional[str]:
    """A place relative to the model's directory, with forward slashes; None where it isn't in it, links followed."""
    root, found = Path(os.path.realpath(directory)), Path(os.path.realpath(place))
    return found.relative_to(root).as_posix() if _lies_in(found, root) else None


def _lies_in(place: Path, directory: Path) -> bool:
    return place == directory or directory in place.parents


def _name_of(place: Path) -> str:
    """The name of the package that a wheel or source distribution is of, by its file's name, or a directory, by its own files."""
    if place.name.endswith(".whl"):
        name = place.name.partition("-")[0]
        return _canonical(name) if place.name.count("-") >= 4 and re.match(r"^[A-Za-z0-9._]+$", name) else ""
    if not place.is_dir():
        match = re.match(r"^(.+?)-\d[^-]*$", SOURCE.sub("", place.name))
        return _canonical(match.group(1)) if match else ""
    for name in ("pyproject.toml", "setup.cfg"):
        try:
            match = _PROJECT_NAME.search(read_text(place / name))
        except (OSError, UnicodeDecodeError):
            continue
        if match:
            return _canonical(match.group(1))
    return ""


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
