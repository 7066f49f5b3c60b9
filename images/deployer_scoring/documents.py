"""YAML and JSON that strangers wrote: read as PyYAML and Python read them, within bounds that no model needs to pass.

An alias stands for all that it names, so a few lines can stand for more than memory holds; nesting, however it comes about, takes the stack
of whoever walks through it; digits of an integer take time by their square.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Optional

import yaml

DEEPEST = 100
"""Levels of lists and mappings."""
MOST_NODES = 500_000
"""Values, each counted as often as aliases name it."""
MOST_DIGITS = 4300
"""Of an integer: Python's own limit since 3.11."""

_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LARGEST = 10**MOST_DIGITS
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"


def load_yaml(text: str, *, twice: bool = True) -> Any:
    """The one document of a text; None where it is empty.

    Args:
        twice: Whether a key may stand twice in a mapping, as PyYAML lets it: the last counts.

    Raises:
        yaml.YAMLError: It isn't YAML, or not of plain values, or beyond the bounds; with the line where one is to blame.
    """
    _within_bounds(yaml.parse(text, Loader=_Fast))
    document = yaml.load(text, Loader=_Loader if twice else _Strict)
    return _encodable(document, text, _refuse_text)


def load_json(text: str, *, parse_constant: Optional[Callable[[str], Any]] = None) -> Any:
    """A JSON document; NaN and Infinity are Python's, unless `parse_constant` says what they are.

    Raises:
        ValueError: It isn't JSON, or beyond the bounds.
    """
    try:
        document = json.loads(text, parse_int=_integer, parse_constant=parse_constant)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _look_through(document)
    return _encodable(document, text, _refuse_value)


def _within_bounds(events: Iterable[yaml.Event]) -> None:
    """Count what the events stand for, aliases with all that they name, before any of it is made."""
    named: dict[str, tuple[int, int]] = {}  # how many values, and how many levels
    open_: list[list[Any]] = []  # of each collection: its anchor, values, levels
    for event in events:
        values, levels, anchor = 1, 0, getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append([anchor, 1, 1])
            if len(open_) > DEEPEST:
                _refuse(event, _TOO_DEEP)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, values, levels = open_.pop()
        elif isinstance(event, yaml.AliasEvent):
            if any(each[0] == anchor for each in open_):
                _refuse(event, "an alias stands for what holds it")
            values, levels = named.get(str(anchor), (1, 0))
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        if anchor is not None and not isinstance(event, yaml.AliasEvent):
            named[anchor] = (values, levels)
        if open_:
            open_[-1][1] += values
            open_[-1][2] = max(open_[-1][2], levels + 1)
            values, levels = open_[-1][1], len(open_) + levels
        if values > MOST_NODES:
            _refuse(event, f"it stands for more than {MOST_NODES} values")
        if levels > DEEPEST:
            _refuse(event, _TOO_DEEP)


class _Loader(_Fast):  # type: ignore[misc]
    """PyYAML's safe loader, whose scalars that are none of their kind are errors of YAML, too."""


class _Strict(_Loader):
    """Keys stand once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} stands twice", key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep=deep)


def _checked(construct: Callable[[Any, yaml.ScalarNode], Any], kind: str) -> Callable[[Any, yaml.ScalarNode], Any]:
    def constructed(loader: Any, node: yaml.ScalarNode) -> Any:
        if len(node.value) > MOST_DIGITS and kind != "time":
            raise _too_many_digits(kind, node)
        try:
            value = construct(loader, node)
        except (
            ValueError,
            TypeError,
            OverflowError,
            KeyError,
            AttributeError,
            IndexError,
        ) as error:  # as PyYAML meets what doesn't match its pattern
            raise yaml.constructor.ConstructorError(None, None, f"{str(node.value)[:40]!r} is no {kind}", node.start_mark) from error
        if isinstance(value, int) and abs(value) >= _LARGEST:  # sixteen to a digit, or sixty
            raise _too_many_digits(kind, node)
        return value

    return constructed


def _too_many_digits(kind: str, node: yaml.Node) -> yaml.YAMLError:
    what = f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
    return yaml.constructor.ConstructorError(None, None, f"{what} has more than {MOST_DIGITS} digits", node.start_mark)


_SCALARS = {"int": "integer", "float": "number", "bool": "boolean", "timestamp": "time"}
for _tag, _kind in _SCALARS.items():
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _checked(getattr(yaml.constructor.SafeConstructor, f"construct_yaml_{_tag}"), _kind))


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"an integer has more than {MOST_DIGITS} digits")
    return int(digits)


def _look_through(document: Any) -> None:
    """Count levels and values."""
    level, values = [document], 0
    for _ in range(DEEPEST + 1):
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return
        values += sum(map(len, level))
        if values > MOST_NODES:
            raise ValueError(f"it holds more than {MOST_NODES} values")
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(_TOO_DEEP)


def _encodable(document: Any, text: str, refuse: Callable[[], NoReturn]) -> Any:
    """The document, unless an escape in it makes half of a surrogate pair, which no file, record or answer can hold."""
    if not _SURROGATE.search(text):
        return document
    waiting = [document]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, (list, tuple, set)):
            waiting += each
        elif isinstance(each, str):
            try:
                each.encode()
            except UnicodeEncodeError:
                refuse()
    return document


_HALF = "a text holds half of a surrogate pair, which is no character"


def _refuse(event: Any, problem: str) -> NoReturn:
    raise yaml.constructor.ConstructorError(None, None, problem, event.start_mark)


def _refuse_text() -> NoReturn:
    raise yaml.constructor.ConstructorError(None, None, _HALF, None)


def _refuse_value() -> NoReturn:
    raise ValueError(_HALF)
