"""What a command gives, in the format asked for: text for people, documents for programs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from deployer_scoring.masking import masked, masked_all
from deployer_scoring.printable import CONTROL, coloured, one_line, printable

FORMATS = ("table", "wide", "json", "yaml", "name", "jsonl")

TEXT = ("", "table", "wide")
"""What is for people: wide is a table with all columns, however long its lines."""


def width_of(form: str) -> int | None:
    """What a line of text may have: as much as the terminal, or COLUMNS, says; None where nobody looks at it there, or all is wanted."""
    if form == "wide" or not (sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()):
        return None
    return shutil.get_terminal_size().columns


def is_plain() -> bool:
    """Whether the terminal is to get text alone: no color, nothing drawn twice (https://no-color.org; CLICOLOR=0; a terminal that can't)."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("CLICOLOR") == "0" or os.environ.get("TERM", "") in ("dumb", "unknown")


def say(text: str, *, err: bool = False) -> None:
    """Print for people: secrets masked, what would steer a terminal escaped."""
    click.echo(printable(masked(text)), err=err)


def pass_on(line: str, *, err: bool = False) -> None:
    """Print a line of a container's log. To a terminal goes nothing but its text and colours, to a file or a pipe the line as it is."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        click.echo(coloured(line), err=err)
    else:  # there may be tens of thousands a second: click's echo takes three times as long
        stream.buffer.write(line.encode("utf-8", "replace") + b"\n")
        stream.buffer.flush()


def dump(document: Any, form: str, *, secrets: bool = False) -> str:
    """One document as text; its secrets are masked, but where they are what was asked for, or are no business of ours (a model's answer)."""
    document = document if secrets else masked_all(document)
    if form == "yaml":
        import yaml

        return yaml.safe_dump(json.loads(_json(document)), sort_keys=False, allow_unicode=True).rstrip()
    return _json(document, indent=None if form == "jsonl" else 2)


def emit(form: str, document: Any, names: Sequence[str], text: Callable[[], str]) -> None:
    """Print a result to stdout. `document` is JSON-ready; in a list each is a line of its own with jsonl."""
    if form == "name":
        for name in names:
            say(one_line(name))
    elif form in TEXT:
        shown = text()
        if shown:
            say(shown)
    elif form == "jsonl" and isinstance(document, list):
        for each in document:
            click.echo(dump(each, form))
    else:
        click.echo(dump(document, form))


def _json(document: Any, indent: int | None = None) -> str:
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=lambda value: masked(str(value)))
    return CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)  # what JSON lets through and a terminal obeys
