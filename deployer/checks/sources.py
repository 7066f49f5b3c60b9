"""The Python files of a model: what they import and define, and what their Python can't read. They are parsed, never run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_IMPORT_NAME = {**dict.fromkeys(range(6, 13), 108), 13: 75}
"""The operation that imports a module, by the minor version of Python 3."""
_EXTENDED = {**dict.fromkeys(range(6, 13), 144), 13: 71}


_BINDERS = {"globals", "vars", "modules", "exec"}


@dataclass(frozen=True, slots=True)
class Import:
    """A module that a file imports, in full; `level` counts the dots of a relative one."""

    module: str
    line: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A Python file.

    Attributes:
        imports: those that must succeed: not the ones in a `try`, nor those for type checkers alone.
        names: what it defines at its top; None where that can't be told (a star import, `__getattr__`).
    """

    imports: tuple[Import, ...] = ()
    names: frozenset[str] | None = None
    error: str = ""
    error_line: int = 0


def read_source(content: bytes, python: str) -> SourceFile:
    """Parse a file as that Python would ("3.9"; "" for ours).

    What only a later Python than the one that runs this could read is taken for right: then nothing is known of the file.
    """
    minor = int(python.partition(".")[2]) if python.startswith("3.") else sys.version_info.minor
    try:
        tree = ast.parse(content, feature_version=(3, min(minor, sys.version_info.minor)))
    except (RecursionError, MemoryError):
        return SourceFile(error="it is nested too deeply")  # MemoryError is how CPython's parser says so
    except (SyntaxError, ValueError) as error:
        if minor > sys.version_info.minor:
            return SourceFile()
        return SourceFile(error=str(getattr(error, "msg", error)), error_line=getattr(error, "lineno", 0) or 0)
    return SourceFile(tuple(_imports(tree)), _names(tree))


def imports_of_function(code: bytes, names: tuple[str, ...], python: str) -> tuple[str, ...]:
    """The modules that a pickled function imports while it runs, read off its bytecode; nothing where that Python's isn't known."""
    minor = int(python.partition(".")[2]) if python.startswith("3.") else 0
    operation, extended = _IMPORT_NAME.get(minor), _EXTENDED.get(minor)
    found, high = [], 0
    for place in range(0, len(code) - 1, 2):
        index = high | code[place + 1]
        if code[place] == operation and index < len(names):
            found.append(names[index])
        high = index << 8 if code[place] == extended else 0
    return tuple(found)


def _imports(tree: ast.AST) -> Iterator[Import]:
    """In the order of the file; without recursion, for an expression may be nested deeper than the stack."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (Import(each.name, node.lineno) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(node.module or "", node.lineno, node.level)
        elif isinstance(node, ast.Try):
            waiting += reversed((*node.orelse, *node.finalbody))
        elif not (isinstance(node, ast.If) and _is_for_checkers(node.test)):
            waiting += reversed(list(ast.iter_child_nodes(node)))


def _is_for_checkers(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING")


def _names(tree: ast.Module) -> frozenset[str] | None:
    """All names that are bound anywhere at the top, conditions and loops included."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(each.asname or each.name).partition(".")[0] for each in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        waiting += ast.iter_child_nodes(node)
    return None if found & {"*", "__getattr__"} or _rebinds(tree) else frozenset(found)


def _rebinds(tree: ast.Module) -> bool:
    """Whether the file binds names by hand: globals()[...], setattr(sys.modules[...], ...), exec(...)."""
    return any(isinstance(node, (ast.Name, ast.Attribute)) and getattr(node, "id", getattr(node, "attr", "")) in _BINDERS for node in ast.walk(tree))
