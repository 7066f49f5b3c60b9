"""Models of one process whose code folders hold modules of the same names: each sees its own.

The first model's modules have their plain place in sys.modules, and its folder one on sys.path. Those of a model whose code differs are
kept aside: they are put in their place, in turn with everyone else's of these names, while that model is loaded and while it predicts.
Models whose names nobody else uses wait for nobody.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, ClassVar, Dict, List, Optional

# What this package itself runs by: a second one of these would not know the first one's objects.
_SHARED = frozenset({"deployer", "deployer_scoring", "mlflow", "numpy", "pandas", "yaml", "cloudpickle"})
_EXTENSIONS = frozenset({".so", ".pyd"})
# Larger files are told apart by their size and time.
_SMALL = 10_000_000
# Longer, loading doesn't wait for predicts of others that began before it: they may be waiting for it.
_PATIENCE = 5.0
_lock = threading.RLock()


class OwnModules:
    """The modules of a model's code folder, or of several that are alike."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folders, self.files, self.names = [folder], files, _names(folder)
        self.aside = False
        self.contested = False
        """Whether others have modules of these names, so that predicts take turns."""
        self._running: List[int] = []
        self._modules: Dict[str, ModuleType] = {}
        self._displaced: Dict[str, ModuleType] = {}

    def keeping(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, called where these modules are in their place; so is each piece of its answer made, if it gives an iterator."""

        @functools.wraps(function)
        def called(*arguments: Any, **options: Any) -> Any:
            with self._in_place():
                answer = function(*arguments, **options)
            return self._pieces(answer) if isinstance(answer, Iterator) else answer

        return called

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Have these modules in their place, and nobody else's put there, until the block ends."""
        with _lock:
            before = _Place.shown
            _show(self if self.aside else None)
            try:
                yield
            finally:
                _show(before)

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        thread = threading.get_ident()
        self._running.append(thread)  # before the look at `contested`: who sets that waits for those that may have missed it
        try:
            if not self.contested:
                yield
                return
        finally:
            self._running.remove(thread)
        with self.in_turn():
            yield

    def _pieces(self, pieces: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self._in_place():
                try:
                    piece = next(pieces)
                except StopIteration:
                    return
            yield piece

    def contest(self) -> None:
        """Have predicts take turns from now on, once those of other threads that run are done."""
        self.contested = True
        end = time.monotonic() + _PATIENCE
        while any(each != threading.get_ident() for each in [*self._running]) and time.monotonic() < end:
            time.sleep(0.001)

    def show(self) -> None:
        """Put the modules that are aside into their place."""
        self._displaced = _take(self.names)
        sys.modules.update(self._modules)
        sys.path[:0] = map(str, self.folders)

    def hide(self) -> None:
        """Undo `show`, and keep what was imported since."""
        self._modules = _take(self.names)
        sys.modules.update(self._displaced)
        self._displaced = {}
        for folder in map(str, self.folders):
            if folder in sys.path:
                sys.path.remove(folder)


class _Place:
    """Whose modules are in sys.modules instead of the plain ones: None for nobody's."""

    shown: Optional[OwnModules] = None
    known: ClassVar[List[OwnModules]] = []


def own_modules(folder: Path) -> OwnModules:
    """The modules of a code folder: at their plain place where nobody else's of these names differ, else aside; alike ones are shared."""
    folder = folder.absolute()
    files = _files(folder)
    with _lock:
        before = _Place.shown
        _show(None)
        try:
            importlib.invalidate_caches()
            return _known(folder, files) or _added(OwnModules(folder, files))
        finally:
            _show(before)


def forget(directory: Path) -> None:
    """Let go of the modules of code folders in a directory that is to vanish."""
    directory = directory.absolute()
    with _lock:
        for own in [*_Place.known]:
            own.folders = [folder for folder in own.folders if not _is_below(folder, directory)]
            if not own.folders:
                _Place.known.remove(own)
        for own in _Place.known:
            own.contested = own.aside or any(other.aside and other.names & own.names for other in _Place.known)
        for name, module in [*sys.modules.items()]:
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and _is_below(Path(file), directory):
                del sys.modules[name]


def _known(folder: Path, files: Mapping[str, str]) -> Optional[OwnModules]:
    found = next((own for own in _Place.known if own.files == files), None)
    if found is not None:
        if folder not in found.folders:
            found.folders.insert(0, folder)
        if not found.aside and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    return found


def _added(own: OwnModules) -> OwnModules:
    rivals = [other for other in _Place.known if other.names & own.names]
    own.aside = any(not other.aside for other in rivals) or _differs_from_imported(own)
    if own.aside:
        for other in rivals:
            other.contest()
    else:
        sys.path.insert(0, str(own.folders[0]))
    own.contested = own.aside or bool(rivals)
    _Place.known.append(own)
    return own


def _show(own: Optional[OwnModules]) -> None:
    if _Place.shown is own:
        return
    if _Place.shown is not None:
        _Place.shown.hide()
    if own is not None:
        own.show()
    _Place.shown = own


def _take(names: frozenset[str]) -> Dict[str, ModuleType]:
    """Modules, and those in them, taken out of sys.modules."""
    found = [name for name in names if name in sys.modules]
    inner = tuple(f"{name}." for name in found if hasattr(sys.modules[name], "__path__"))
    if inner:
        found += [name for name in [*sys.modules] if name.startswith(inner)]
    return {name: sys.modules.pop(name) for name in found}


def _names(folder: Path) -> frozenset[str]:
    """The modules and packages in a folder, but for the standard library's: these are imported already, and everything runs by them."""
    standard = Path(sysconfig.get_paths()["stdlib"])
    found = set()
    for path in folder.iterdir():
        name = path.name.partition(".")[0]
        if path.suffix == ".py" or path.suffix in _EXTENSIONS or (path.is_dir() and any(path.rglob("*.py"))):
            is_standard = name in sys.builtin_module_names or (standard / f"{name}.py").exists() or (standard / name / "__init__.py").exists()
            if not is_standard and name not in _SHARED:
                found.add(name)
    return frozenset(found)


def _files(folder: Path) -> Dict[str, str]:
    """What tells each file of a folder from others, bytecode aside."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            about = path.stat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if about.st_size < _SMALL else f"{about.st_size} {about.st_mtime_ns}"
            files[path.relative_to(folder).as_posix()] = content
    return files


def _differs_from_imported(own: OwnModules) -> bool:
    """Whether a module of one of the names is imported from elsewhere and is another."""
    (folder,) = own.folders
    for name in own.names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and not _is_below(Path(file), folder) and _differs(folder, name, Path(file)):
            return True
    return False


def _differs(folder: Path, name: str, imported: Path) -> bool:
    package = folder / name
    if not package.is_dir():
        return not _is_same(folder / f"{name}.py", imported)
    files = [*package.rglob("*")]
    if any(file.suffix in _EXTENSIONS for file in files):
        return False  # compiled code is loaded once in a process
    if imported.name != "__init__.py":
        return True
    return any(not _is_same(file, imported.parent / file.relative_to(package)) for file in files if file.suffix == ".py")


def _is_same(copy: Path, source: Path) -> bool:
    """Whether a model's file was copied from a source file: imports may have been guarded on the way."""
    try:
        mine, other = copy.read_bytes(), source.read_bytes()
        return mine == other or (b"deployer" in other and _without_imports(mine) == _without_imports(other))
    except (OSError, SyntaxError, ValueError):
        return False


def _without_imports(source: bytes) -> str:
    return ast.dump(_WithoutImports().visit(ast.parse(source)))


class _WithoutImports(ast.NodeTransformer):
    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Try(self, node: ast.Try) -> Optional[ast.AST]:
        return None if all(isinstance(each, (ast.Import, ast.ImportFrom)) for each in node.body) else self.generic_visit(node)


def _is_below(path: Path, directory: Path) -> bool:
    return directory in path.parents or path == directory
