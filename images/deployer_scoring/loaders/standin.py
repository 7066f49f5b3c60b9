"""A stand-in for mlflow while a user's model is loaded.

Classes and scripts of users import mlflow for its `PythonModel` and `set_model` and little else. While `standing_in` lasts, modules with
our counterparts are found in mlflow's place. Whoever asks for more of mlflow gets the real one, if it is installed: then the stand-in
gives way, and what was taken from it before still works. Where mlflow is imported already, nothing stands in for it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Optional

from deployer_scoring.loaders.ready import Ready
from deployer_scoring.model.code import ModelConfig, set_model
from deployer_scoring.python_model import MLFLOW_NAMES, PythonModel, PythonModelContext

_PUBLIC: dict[tuple[str, str], Any] = {
    ("mlflow.pyfunc", "PythonModel"): PythonModel,
    ("mlflow.pyfunc", "PythonModelContext"): PythonModelContext,
    ("mlflow.models", "set_model"): set_model,
    ("mlflow.models", "ModelConfig"): ModelConfig,
    ("mlflow.models.model", "set_model"): set_model,
    ("mlflow.models.model_config", "ModelConfig"): ModelConfig,
}
# Its errors carry codes of which ours knows nothing.
_NAMES = {place: value for place, value in {**MLFLOW_NAMES, **_PUBLIC}.items() if place[0] != "mlflow.exceptions"}


@contextmanager
def standing_in() -> Iterator[None]:
    """Have the stand-in found in mlflow's place, until the block ends."""
    if "mlflow" in sys.modules:
        yield
        return
    modules, finder = _modules(), _Finder()
    sys.modules.update(modules)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        _remove()


def asks_for_more(source: str) -> bool:
    """Whether a script uses more of mlflow than the stand-in has. One whose grammar this Python doesn't know asks for nothing.

    Only the script's own text is read: what it imports may ask later, which the stand-in sees when it happens.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return False
    return any(name.split(".")[0] == "mlflow" and not _has(name) for name in _dotted_names(tree))


def _dotted_names(tree: ast.AST) -> Iterator[str]:
    """All that a script imports, and all chains of attributes that begin with a name; what was imported `as` another goes by its own."""
    imported = [each for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names]
    own = {each.asname: each.name for each in imported if each.asname}
    yield from (each.name for each in imported)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Attribute) and (name := _chain(node)):
            first, dot, rest = name.partition(".")
            yield own.get(first, first) + dot + rest


def _chain(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _chain(node.value)):
        return f"{before}.{node.attr}"
    return ""


def _has(name: str) -> bool:
    """Whether a dotted name is a module of the stand-in, in it, or below something in it (an attribute of a class)."""
    parts = name.split(".")
    return name in _module_names() or any((".".join(parts[:end]), parts[end]) in _NAMES for end in range(1, len(parts)))


def _module_names() -> set[str]:
    return {".".join(module.split(".")[:end]) for module, _ in _NAMES for end in range(1, module.count(".") + 2)}


def _modules() -> dict[str, ModuleType]:
    modules = {name: _StandIn(name) for name in sorted(_module_names())}
    for (place, name), value in _NAMES.items():
        setattr(modules[place], name, value)
    for path, module in modules.items():
        parent, _, child = path.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    return dict(modules)


class _StandIn(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name, "A stand-in for mlflow while a model is loaded.")
        self.__path__: list[str] = []
        self.__spec__ = ModuleSpec(name, None, is_package=True)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(_real(self.__name__), name)


class _Finder(MetaPathFinder):
    """Finds the modules that the stand-in doesn't have, by letting the real mlflow take over."""

    def find_spec(self, name: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None) -> Optional[ModuleSpec]:
        return ModuleSpec(name, Ready(_real(name))) if name.startswith("mlflow.") else None


def _real(name: str) -> ModuleType:
    """A module of the real mlflow, which replaces the stand-in from now on.

    Raises:
        ModuleNotFoundError: mlflow isn't installed.
    """
    if isinstance(sys.modules.get("mlflow"), _StandIn) and PathFinder.find_spec("mlflow") is None:
        raise ModuleNotFoundError(f"No module named {name!r}: mlflow is not installed, and the model uses more of it than PythonModel", name=name)
    _remove()
    return importlib.import_module(name)


def _remove() -> None:
    for name in [name for name, module in sys.modules.items() if isinstance(module, _StandIn)]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
