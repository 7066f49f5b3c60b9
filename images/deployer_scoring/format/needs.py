"""What a saved model imports, found without running it: the globals of its pickles, the import statements of its code.

MLflow loads the model in another process and watches what is imported; here nothing is executed twice, and a save takes no ten seconds.
"""

from __future__ import annotations

import ast
import dis
import inspect
import logging
import sys
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

from deployer_scoring.format.packages import canonical, packages_by_module, pinned, without_implied
from deployer_scoring.opcodes.facts import BrokenPickle, PickleFacts
from deployer_scoring.opcodes.reading import read_pickle

_log = logging.getLogger(__name__)

# Brought by every environment that loads models, or not for a model to ask for.
_NEVER = frozenset({"setuptools", "pip", "wheel", "mlflow", "mlflow-skinny", "mlflow-tracing", "deployer-ml"})
_OWN_MODULES = frozenset({"__main__", "mlflow", "deployer", "deployer_scoring", "cloudpickle"})
_DATA = frozenset({"artifacts", "data"})  # Python files there are no code that is imported
_LARGEST_CODE = 1 << 20  # bytes of a file that is read as Python
_STANDARD = frozenset(getattr(sys, "stdlib_module_names", ()))  # since Python 3.10


def requirements_of(directory: Path, model: Any = None, modules: Iterable[str] = ()) -> list[str]:
    """The packages that a model directory needs, pinned to what is installed here, sorted; those that another one requires are left out.

    Args:
        directory: Its pickles, scripts and modules are read, not run.
        model: The object that was pickled; the imports within its methods count.
        modules: More modules that it needs: the loader module.
    """
    own = _modules_of(directory)
    needed = {*modules, *imports_of_files(directory), *imports_of_object(model)}
    tops = {name.partition(".")[0] for name in needed} - own - _OWN_MODULES - _STANDARD - set(sys.builtin_module_names)
    known = packages_by_module()
    for name in sorted(tops - known.keys()):
        _warn_of(name)
    packages = {canonical(each) for name in tops for each in known.get(name, ())} - _NEVER
    return sorted(map(pinned, without_implied(packages)))


def _warn_of(module: str) -> None:
    """Tell of a module of the user's that nothing brings where the model is loaded; one that isn't here is imported only if it can be."""
    file = _attribute(sys.modules.get(module), "__file__")
    if isinstance(file, str) and _is_own_code(file):
        _log.warning("the model imports %s, which is in no installed package: add %s to code_paths", module, file)


def _is_own_code(file: str) -> bool:
    """Whether a file is the user's: neither installed nor of Python itself."""
    return "site-packages" not in file and not file.startswith(sys.base_prefix)


def _modules_of(directory: Path) -> set[str]:
    """The modules that the model's code folder brings."""
    return {each.stem for folder in (directory, directory / "code") if folder.is_dir() for each in folder.iterdir() if _is_module(each)}


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))


def imports_of_files(directory: Path) -> Iterator[str]:
    """The modules that the pickles and the Python files of a directory import."""
    for file in sorted(each for each in directory.rglob("*") if each.is_file()):
        if file.suffix == ".py" and file.relative_to(directory).parts[0] in _DATA:
            continue
        if file.suffix == ".py" and file.stat().st_size <= _LARGEST_CODE:
            yield from imports_of_source(file)
        elif file.suffix != ".py" and (found := _globals_of_file(file)) is not None:
            yield from found


def imports_of_source(file: Path) -> Iterator[str]:
    """The modules that a Python file imports; of `from package import name` both the package and what may be its module."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def _globals_of_file(file: Path) -> Optional[set[str]]:
    """The modules that a pickle names; None for what is no pickle."""
    facts = PickleFacts()
    with file.open("rb") as opened:
        if not (opened.peek(2)[:1] == b"\x80" and 2 <= (opened.peek(2)[1:2] or b"\0")[0] <= 5):
            return None
        try:
            read_pickle(opened, facts)
        except BrokenPickle:
            return None
    return {each.module for each in facts.imports}


def imports_of_object(model: Any) -> Iterator[str]:
    """The import statements within functions that are pickled by value, and the modules that their globals are from."""
    if model is None:
        return
    seen: set[int] = set()
    for function in _functions_of(model):
        yield from _imports_of_code(function.__code__, function.__globals__, seen)


def _functions_of(model: Any) -> Iterator[types.FunctionType]:
    values = [_attribute(model, "func")]
    for kind in type(model).__mro__:
        if kind.__module__.partition(".")[0] not in _OWN_MODULES - {"__main__"} and kind is not object:
            values.extend(vars(kind).values())
    for value in values:
        bound = _attribute(value, "__func__")
        plain = _unwrapped(value if bound is None else bound)
        if _is(plain, types.FunctionType):
            yield plain


def _unwrapped(value: Any) -> Any:
    try:
        return inspect.unwrap(value)
    except Exception:  # it wraps itself, or what it says it wraps can't be had
        return value


def _is(value: Any, kind: type) -> bool:
    return issubclass(type(value), kind)  # isinstance asks a proxy for what it stands for


def _attribute(value: Any, name: str) -> Any:
    """An attribute; None where there is none, or where asking for it fails: lazy modules and proxies import what they stand for, or try to."""
    try:
        return getattr(value, name, None)
    except Exception:  # anything may be in a user's module
        return None


def _imports_of_code(code: types.CodeType, names: dict[str, Any], seen: set[int]) -> Iterator[str]:
    if id(code) in seen:
        return
    seen.add(id(code))
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME" and instruction.argval:
            yield str(instruction.argval)
        elif instruction.opname == "LOAD_GLOBAL" and instruction.argval in names:
            yield from _imports_of_global(names[instruction.argval], names, seen)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imports_of_code(constant, names, seen)


def _imports_of_global(value: Any, names: dict[str, Any], seen: set[int]) -> Iterator[str]:
    if _is(value, types.FunctionType) and value.__globals__ is names:
        yield from _imports_of_code(value.__code__, names, seen)
    elif isinstance(module := _attribute(value, "__name__" if _is(value, types.ModuleType) else "__module__"), str):
        yield module
