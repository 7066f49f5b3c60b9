"""Text files as editors of any system write them."""

from __future__ import annotations

import codecs
from pathlib import Path

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
        OSError: It can't be read. UnicodeDecodeError: It is neither.
    """
    content = file.read_bytes()
    encoding = next((each for mark, each in _MARKS if content.startswith(mark)), "utf-8")
    return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
