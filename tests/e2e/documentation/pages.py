"""The pages and their blocks: what a reader would type, what is shown as its outcome, and what a comment says to the test.

A fenced block says what it is by its language. `sh`, `console` and `python` are run; `yaml`, `json` and the like with `title="NAME"` are written
to that file; anything else is there to be read. In `console` a line that begins with "$ " is typed, and the others are what it prints: "…"
stands for anything, and alone on a line for any number of lines.

A comment right above a block changes that:

    <!-- not run: REASON -->                      the block can't be run, and this is why
    <!-- interrupted at: TEXT -->                 its last command goes on by itself: Ctrl-C once it has said TEXT
    <!-- ends with: CODE -->                      the exit code that is shown, where it isn't 0

and a comment that begins with a language and ends on a line of its own is a block that only the test sees, for what the text takes for granted:

    <!-- sh
    cp "$MODELS/iris" model
    -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[3]
RUN = ("sh", "console", "python")
WRITTEN = ("yaml", "json", "toml", "ini", "csv", "jsonl", "text", "dockerfile", "hcl")
_FENCE = re.compile(r"^( *)```(.*)$")
_HIDDEN = re.compile(rf"^( *)<!-- ({'|'.join(RUN)})$")
_COMMENT = re.compile(r"^ *<!-- (not run|interrupted at|ends with): (.+) -->$")
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block, or one that only the test sees."""

    page: str
    line: int
    language: str
    title: str
    text: str
    hidden: bool = False
    not_run: str = ""
    interrupted_at: str = ""
    ends_with: int = 0

    @property
    def runs(self) -> bool:
        """True where the walk has something to do: run it, or write it to a file."""
        return not self.not_run and (self.language in RUN or bool(self.title))

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README.md, then the pages of docs/ in the order of the site's navigation, then those that it doesn't name."""
    named = [TOP / "docs" / name for name in _leaves(yaml.safe_load((TOP / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])]
    return [TOP / "README.md", *named, *sorted(set((TOP / "docs").rglob("*.md")) - set(named))]


def _leaves(navigation: Any) -> Iterator[str]:
    if isinstance(navigation, str):
        yield navigation
    for each in navigation.values() if isinstance(navigation, dict) else navigation if isinstance(navigation, list) else ():
        yield from _leaves(each)


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in order.

    Raises:
        ValueError: a block or a hidden one isn't closed.
    """
    return list(_blocks(page.read_text(encoding="utf-8"), str(page.relative_to(TOP)) if page.is_relative_to(TOP) else page.name))


def _blocks(text: str, name: str) -> Iterator[Block]:
    lines = enumerate(text.splitlines(), start=1)
    said: dict[str, str] = {}
    for number, line in lines:
        comment, fence, hidden = _COMMENT.match(line), _FENCE.match(line), _HIDDEN.match(line)
        if comment:
            said[comment[1]] = comment[2]
        elif fence or hidden:
            indent, info = (fence or hidden).groups()  # type: ignore[union-attr]
            language, _, more = info.strip().partition(" ")
            title = _TITLE.search(more)
            body = _until(lines, "```" if fence else "-->", len(indent), f"{name}:{number}")
            yield Block(
                page=name,
                line=number,
                language=language,
                title=title[1] if title else "",
                text=body,
                hidden=bool(hidden),
                not_run=said.get("not run", ""),
                interrupted_at=said.get("interrupted at", ""),
                ends_with=int(said.get("ends with", "0")),
            )
            said = {}
        elif line.strip():
            said = {}


def _until(lines: Iterator[tuple[int, str]], end: str, indent: int, where: str) -> str:
    body = []
    for _, line in lines:
        if line.strip() == end:
            return "".join(f"{each[indent:]}\n" for each in body)
        body.append(line)
    raise ValueError(f"{where}: this block isn't closed by {end}")
