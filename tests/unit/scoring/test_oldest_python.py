"""The runtime's source is valid for Python 3.8 in what ruff and vermin don't see: generics that are evaluated, methods that came later."""

from __future__ import annotations

import ast
import collections.abc
from pathlib import Path
from typing import Iterator

import pytest

_ROOT = Path(__file__).parents[3] / "images" / "deployer_scoring"
_GENERIC = {
    *dir(collections.abc),
    "list",
    "dict",
    "tuple",
    "set",
    "frozenset",
    "type",
    "AbstractContextManager",
    "deque",
    "defaultdict",
    "OrderedDict",
}
_LATER = {"removeprefix", "removesuffix", "is_relative_to", "with_stem", "readlink", "hardlink_to", "is_junction", "bit_count", "to_thread"}


def test_the_source_needs_nothing_that_python_3_8_lacks() -> None:
    found = [f"{file.relative_to(_ROOT)}:{said}" for file in sorted(_ROOT.rglob("*.py")) for said in _newer(file.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "from collections.abc import Mapping\nJson = Mapping[str, int]",
        "found = list[str]()",
        "def f(x):\n    return decoder(dict[str, x])",
        "class Kinds(dict[str, int]):\n    pass",
        "text.removeprefix('a')",
    ],
)
def test_what_python_3_8_lacks_is_found(source: str) -> None:
    assert list(_newer(source))


@pytest.mark.parametrize(
    "source", ["from typing import Mapping\nJson = Mapping[str, int]", "def f(x: list[str]) -> dict[str, int]:\n    found: list[str] = []"]
)
def test_annotations_that_nobody_evaluates_are_no_fault(source: str) -> None:
    assert list(_newer(source)) == []


def _newer(source: str) -> Iterator[str]:
    """What Python 3.8 would fall over when it comes to it; annotations are strings there, by the module's future import."""
    tree = ast.parse(source)
    typing = {each.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "typing" for each in node.names}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        name = getattr(node.value, "id", "") if isinstance(node, ast.Subscript) else ""
        if name in _GENERIC - typing:
            yield f"{getattr(node, 'lineno', 0)}: {name}[]"
        if isinstance(node, ast.Attribute) and node.attr in _LATER:
            yield f"{node.lineno}: .{node.attr}"
        for field, value in ast.iter_fields(node):
            if field not in {"annotation", "returns"}:
                waiting.extend(each for each in (value if isinstance(value, list) else [value]) if isinstance(each, ast.AST))
