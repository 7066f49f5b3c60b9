"""Text files of a model: as editors of any system write them, and bounded, for a stranger may have."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 16 << 20
"""Of a file that is read whole; the signature of a model of 50,000 columns takes a quarter of it."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(file: Path) -> str:
    """The text of a file: UTF-8, or what a byte order mark says, as pip reads it; line ends are those of Unix.

    Raises:
        OSError: It can't be read, is larger than `MOST_BYTES`, or is no file but a device, a pipe or a socket, which are never opened.
        UnicodeDecodeError: It is neither.
    """
    content = read_bytes(file)
    encoding = next((each for mark, each in _MARKS if content.startswith(mark)), "utf-8")
    return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(file: Path) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: as `read_text`.
    """
    _refuse(file, Path(file).stat())
    with open(file, "rb", opener=_without_waiting) as opened:
        _refuse(file, os.fstat(opened.fileno()))
        content = opened.read(MOST_BYTES + 1)  # what /proc calls empty may be endless
    if len(content) > MOST_BYTES:
        raise _too_large(file)
    return content


def is_file(path: Path) -> bool:
    """Whether there is a file, whatever the name: one that no file can have is none."""
    return os.path.isfile(path)  # noqa: PTH113  Path's own raises at such a name


def exists(path: Path) -> bool:
    """Whether anything is there, whatever the name."""
    return os.path.exists(path)  # noqa: PTH110


def _refuse(file: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(code, os.strerror(code) if code == errno.EISDIR else "it is no file, but a device, a pipe or a socket", str(file))
    if status.st_size > MOST_BYTES:
        raise _too_large(file)


def _too_large(file: Path) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {MOST_BYTES >> 20} MB", str(file))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
