"""The operations of RFC 6902, and where they don't fit."""

from __future__ import annotations

from typing import Any

import pytest

from deployer_targets.kubernetes.patching import patched

DOCUMENT = {"a": {"b": [1, 2]}, "x/y": {"~": 0}}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/a/b/0", "value": 0}, {"a": {"b": [0, 1, 2]}, "x/y": {"~": 0}}),
        ({"op": "add", "path": "/a/b/-", "value": 3}, {"a": {"b": [1, 2, 3]}, "x/y": {"~": 0}}),
        ({"op": "add", "path": "/a/c", "value": {}}, {"a": {"b": [1, 2], "c": {}}, "x/y": {"~": 0}}),
        ({"op": "replace", "path": "/x~1y/~0", "value": 1}, {"a": {"b": [1, 2]}, "x/y": {"~": 1}}),
        ({"op": "remove", "path": "/a/b/1"}, {"a": {"b": [1]}, "x/y": {"~": 0}}),
        ({"op": "move", "from": "/a/b", "path": "/b"}, {"a": {}, "b": [1, 2], "x/y": {"~": 0}}),
        ({"op": "copy", "from": "/a/b", "path": "/b"}, {"a": {"b": [1, 2]}, "b": [1, 2], "x/y": {"~": 0}}),
        ({"op": "test", "path": "/a/b/1", "value": 2}, DOCUMENT),
    ],
)
def test_operations(operation: dict[str, Any], expected: dict[str, Any]) -> None:
    before = repr(DOCUMENT)
    assert patched(DOCUMENT, [operation]) == expected
    assert repr(DOCUMENT) == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/a/c", "value": 1},
        {"op": "remove", "path": "/a/b/2"},
        {"op": "remove", "path": "/a/c"},
        {"op": "add", "path": "/c/d", "value": 1},
        {"op": "add", "path": "/a/b/x", "value": 1},
        {"op": "test", "path": "/a/b/1", "value": 3},
        {"op": "copy", "from": "/c", "path": "/d"},
    ],
)
def test_what_does_not_fit(operation: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="/"):
        patched(DOCUMENT, [operation])
