"""How objects show themselves in notebooks: HTML as `_repr_html_` gives it.

Small, escaped, and without colours of its own: what has none is as readable on a dark page as on a light one. No style sheet either, which the
pages that show saved notebooks take out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_LEFT = ' style="text-align: left; vertical-align: top"'


def page(title: str, *parts: str) -> str:
    """Parts below a title, empty ones left out."""
    return f"<div><p><strong>{escape(title)}</strong></p>{''.join(parts)}</div>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows below a head; a column that is empty in all of them is left out, with its name."""
    whole = [list(row) for row in rows]
    kept = [index for index in range(len(head)) if any(row[index] for row in whole)]
    if not kept:
        return ""
    names = "".join(f"<th{_LEFT}>{escape(head[index])}</th>" for index in kept)
    lines = "".join(f"<tr>{''.join(f'<td{_LEFT}>{_shown(row[index])}</td>' for index in kept)}</tr>" for row in whole)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>"


def facts(known: Mapping[str, str]) -> str:
    """What is known under each name, one a line; what is empty is left out."""
    lines = "".join(f"<tr><th{_LEFT}>{escape(name)}</th><td{_LEFT}>{_shown(value)}</td></tr>" for name, value in known.items() if value)
    return f"<table><tbody>{lines}</tbody></table>" if lines else ""


def lines(texts: Iterable[str]) -> str:
    """Plain lines, as they are."""
    shown = "\n".join(texts)
    return f"<pre>{escape(shown)}</pre>" if shown else ""


def folded(title: str, part: str) -> str:
    """A part to be opened by a click."""
    return f"<details><summary>{escape(title)}</summary>{part}</details>" if part else ""


def _shown(text: str) -> str:
    """Text as it is; an address as a link."""
    if text.startswith(("http://", "https://")) and not text.split(maxsplit=1)[1:]:
        return f'<a href="{escape(text)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'
    return escape(text)
