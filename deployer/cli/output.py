"""What a command gives, in the format asked for: text for people, documents for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

FORMATS = ("table", "json", "yaml", "name", "jsonl")


def dump(document: Any, form: str) -> str:
    """One document as text."""
    if form == "yaml":
        import yaml

        return yaml.safe_dump(json.loads(_json(document)), sort_keys=False, allow_unicode=True).rstrip()
    return _json(document, indent=None if form == "jsonl" else 2)


def emit(form: str, document: Any, names: Sequence[str], text: Callable[[], str]) -> None:
    """Print a result to stdout. `document` is JSON-ready; in a list each is a line of its own with jsonl."""
    if form == "name":
        for name in names:
            click.echo(name)
    elif form in ("", "table"):
        shown = text()
        if shown:
            click.echo(shown)
    elif form == "jsonl" and isinstance(document, list):
        for each in document:
            click.echo(dump(each, form))
    else:
        click.echo(dump(document, form))


def _json(document: Any, indent: int | None = None) -> str:
    return json.dumps(document, indent=indent, ensure_ascii=False, default=str)
