"""No circle between files: who reads one must not have to know another that must know the first.

Every import counts: those inside functions, and those for the sake of types alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "deployer": ROOT,
    "deployer_targets": ROOT / "targets",
    "deployer_images": ROOT / "images",
    "deployer_scoring": ROOT / "images",
    "deployer_localstack": ROOT / "localstack",
}
Graph = dict[str, set[str]]


def modules(packages: Mapping[str, Path]) -> dict[str, Path]:
    """Every file of the packages, by the name under which it is imported."""
    found = {}
    for package, base in packages.items():
        for file in sorted((base / package).rglob("*.py")):
            parts = file.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(name: str, file: Path) -> Iterator[str]:
    """What a file imports: modules, and names in modules, which may be modules too."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            origin = ".".join(part for part in (above, node.module) if part)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def graph(packages: Mapping[str, Path]) -> Graph:
    """For each file the other ones that it imports."""
    known = modules(packages)
    edges: Graph = {}
    for name, file in known.items():
        named = (each if each in known else each.rpartition(".")[0] for each in imported(name, file))
        edges[name] = {each for each in named if each in known and each != name}
    return edges


def circles(edges: Graph) -> list[list[str]]:
    """The circles, each as the files along it; those that share a file are found one after another, once the first is broken."""
    found = []
    while edges := tangled(edges):
        path = [min(edges)]
        while (following := min(edges[path[-1]])) not in path:
            path.append(following)
        circle = path[path.index(following) :]
        found.append(circle)
        edges = {name: others for name, others in edges.items() if name not in circle}
    return found


def tangled(edges: Graph) -> Graph:
    """What is left once all files are taken away that import none of the others, or that none of the others imports."""
    while True:
        wanted = set().union(*edges.values())
        left = {name: others & edges.keys() for name, others in edges.items() if name in wanted and others & edges.keys()}
        if left == edges:
            return left
        edges = left


def test_no_circle_between_files() -> None:
    found = circles(graph(PACKAGES))
    assert not found, "files import each other:\n" + "\n".join(" -> ".join([*circle, circle[0]]) for circle in found)


def test_circles_of_any_length_are_found(tmp_path: Path) -> None:
    files = {
        "__init__": "",
        "alone": "import json",
        "top": "from house import one",
        "one": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.two import Two",
        "two": "def lazily():\n    from .three import Three",
        "three": "import house.one",
        "left": "from . import right",
        "right": "import house.left as other",
    }
    (tmp_path / "house").mkdir()
    for name, text in files.items():
        (tmp_path / "house" / f"{name}.py").write_text(text)
    found = circles(graph({"house": tmp_path}))
    assert sorted(map(sorted, found)) == [["house.left", "house.right"], ["house.one", "house.three", "house.two"]]
