"""Text from elsewhere as a terminal and a log may show it: what would move the cursor, change colours or make up a line stands as its escape."""

from __future__ import annotations

import re

# C0, DEL, C1; the marks that turn the direction of writing; separators of lines and paragraphs; halves of surrogate pairs, which no file takes.
_ALWAYS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
CONTROL = re.compile(f"[{_ALWAYS}]")
_IN_ONE_LINE = re.compile(rf"[{_ALWAYS}\t\n]")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def printable(text: str) -> str:
    """Text of one or more lines: line breaks and tabs stay."""
    return text if text.isprintable() else CONTROL.sub(_escape, text)


def one_line(text: str) -> str:
    """Text that stands in a line: line breaks are escaped, too."""
    return text if text.isprintable() else _IN_ONE_LINE.sub(_escape, text)


def coloured(text: str) -> str:
    """A line of a program's own output: its colours stay, and nothing else that a terminal obeys."""
    if text.isprintable():
        return text
    plain, colours = _COLOURS.split(text), [*_COLOURS.findall(text), ""]
    return "".join(printable(part) + colour for part, colour in zip(plain, colours)) + ("\x1b[0m" if len(plain) > 1 else "")


def uncoloured(text: str) -> str:
    """The text without colours."""
    return _COLOURS.sub("", text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
