"""What of a package's files no import ever needs: half of the size of some, and left out of layers unless it is asked to keep everything.

    tests               folders called `tests` inside a package, unless something outside of them imports them
    headers             C and C++ headers, unless the package compiles when it runs
    static libraries    *.a, *.lib
    bytecode            `__pycache__`: what a wheel brings is of whoever made it

Rules of names alone: nothing is run to find out. What they spare was measured over the packages of all flavors (docs/adr/0012).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

_HEADERS = frozenset({".h", ".hh", ".hpp", ".hxx", ".cuh", ".inl"})
_STATIC = frozenset({".a", ".lib"})
# By the first part of their paths: they hand their headers to a compiler while they run.
_COMPILE_WHEN_RUN = frozenset(
    {"torch", "triton", "cupy", "cupyx", "cupy_backends", "nvidia", "cppyy", "cppyy_backend", "jaxlib", "pythran", "pycuda"}
)
_IMPORTS = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<source>[\w.]+)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^#\n]*)|import[ \t]+(?P<modules>[\w., \t]+))", re.MULTILINE
)


def left_out(paths: Iterable[PurePosixPath], read: Callable[[PurePosixPath], bytes]) -> frozenset[PurePosixPath]:
    """Those of the files, relative to site-packages, that can go.

    Args:
        read: gives a file's content; asked of Python files alone.
    """
    listed = list(paths)
    imported = _imported_tests(listed, read)
    return frozenset(path for path in listed if _bytecode(path) or _compilers(path) or (_tests(path) and not _tests(path) & imported))


def _bytecode(path: PurePosixPath) -> bool:
    return "__pycache__" in path.parts


def _compilers(path: PurePosixPath) -> bool:
    """What only a compiler or a linker reads."""
    return path.suffix in _STATIC or (path.suffix in _HEADERS and path.parts[0].partition("-")[0].lower() not in _COMPILE_WHEN_RUN)


def _tests(path: PurePosixPath) -> frozenset[PurePosixPath]:
    """The folders of tests that a file lies in; one at the top is a package of that name."""
    return frozenset(parent for parent in path.parents if parent.name == "tests" and len(parent.parts) > 1)


def _imported_tests(paths: Iterable[PurePosixPath], read: Callable[[PurePosixPath], bytes]) -> frozenset[PurePosixPath]:
    """Folders of tests that files outside of such folders import."""
    found = set[PurePosixPath]()
    for path in paths:
        if path.suffix == ".py" and path.name != "conftest.py" and "tests" not in path.parts[:-1]:
            content = read(path)
            if b"tests" in content:
                found |= _imports_of(path, content.decode("utf-8", "replace"))
    return frozenset(found)


def _imports_of(path: PurePosixPath, text: str) -> set[PurePosixPath]:
    modules = set[PurePosixPath]()
    for match in _IMPORTS.finditer(text):
        if source := match["source"]:
            above = _resolved(path, source)
            modules |= {above, *(above / name for name in re.findall(r"\w+", match["names"]))}
        else:
            modules |= {PurePosixPath(*name.split(".")) for name in re.findall(r"[\w.]+", match["modules"])}
    return {each for module in modules for each in (module, *module.parents) if each.name == "tests"}


def _resolved(path: PurePosixPath, source: str) -> PurePosixPath:
    """The place of a module that a file names, absolute or by dots."""
    dots = len(source) - len(source.lstrip("."))
    names = PurePosixPath(*filter(None, source.split(".")))
    if not dots:
        return names
    above = path.parent
    for _ in range(dots - 1):
        above = above.parent
    return above / names
