"""JSON patches (RFC 6902) of our own manifests. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

_NEEDS = {"add": "value", "replace": "value", "test": "value", "remove": "", "move": "from", "copy": "from"}


def check(operations: Iterable[Mapping[str, Any]]) -> None:
    """Look whether they have the form of a patch.

    Raises:
        ValueError: which one hasn't, and what it lacks.
    """
    for each in operations:
        verb = str(each.get("op"))
        if verb not in _NEEDS:
            raise ValueError(f"op {verb!r} is none of {', '.join(_NEEDS)}")
        for part in ("path", *filter(None, [_NEEDS[verb]])):
            if part not in each:
                raise ValueError(f"op {verb} needs {part}")


def patched(document: Mapping[str, Any], operations: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The document with the operations done, one after the other.

    Raises:
        ValueError: what one names isn't there, or a test fails.
    """
    root: Any = copy.deepcopy(dict(document))
    for each in operations:
        try:
            right = _done(root, each)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"patch: {each['op']} {each['path']}: there is no such place") from error
        if not right:
            raise ValueError(f"patch: {each['path']} is not {each['value']!r}")
    return dict(root)


def _done(root: Any, operation: Mapping[str, Any]) -> bool:
    """Do one; false where it is a test that fails."""
    verb, path = operation["op"], operation["path"]
    if verb == "test":
        return bool(_at(root, path) == operation["value"])
    value = copy.deepcopy(_at(root, operation["from"]) if verb in ("move", "copy") else operation.get("value"))
    if verb in ("remove", "replace"):
        _remove(root, path)
    if verb == "move":
        _remove(root, operation["from"])
    if verb != "remove":
        _add(root, path, value)
    return True


def _parts(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _at(root: Any, path: str) -> Any:
    for part in _parts(path):
        root = root[int(part)] if isinstance(root, list) else root[part]
    return root


def _parent(root: Any, path: str) -> tuple[Any, str]:
    above, _, last = path.rpartition("/")
    return _at(root, above), _parts(f"/{last}")[0]


def _remove(root: Any, path: str) -> None:
    parent, last = _parent(root, path)
    del parent[int(last) if isinstance(parent, list) else last]


def _add(root: Any, path: str, value: Any) -> None:
    parent, last = _parent(root, path)
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else int(last), value)
    else:
        parent[last] = value
