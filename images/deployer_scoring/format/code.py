"""The user's own code, copied into a model so that it runs beside this package and beside mlflow alone.

Code that imports `deployer.pyfunc`, `deployer.models` or `deployer.types` gets mlflow's modules of the same names where this package isn't
installed: the copies of its import statements are guarded. Nothing else in a file is touched.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional, Union

from deployer_scoring.errors import ScoringError

CODE = "code"
_SHARED = ("deployer.pyfunc", "deployer.models", "deployer.types")
_WHOLE = "deployer"  # `import deployer as mlflow`
_Import = Union[ast.Import, ast.ImportFrom]


def copy_code(sources: Iterable[Union[str, Path]], directory: Path) -> None:
    """Copy files and folders of code into a model's code folder.

    Raises:
        ScoringError: One isn't there, or two are of one name.
    """
    folder = directory / CODE
    folder.mkdir(exist_ok=True)
    for source in map(Path, sources):
        target = folder / source.resolve().name
        if target.exists():
            raise ScoringError(f"two of code_paths are called {target.name}")
        copy_any(source, target, "code_paths")
    for file in folder.rglob("*.py"):
        make_portable(file)


def copy_script(script: Path, directory: Path) -> str:
    """Copy the script of a model from code into the model, and give its name there.

    Raises:
        ScoringError: It isn't there.
    """
    if not script.is_file():
        advice = f"; there is {script}.py" if script.with_name(script.name + ".py").is_file() else ""
        raise ScoringError(f"there is no script {script} for python_model{advice}")
    shutil.copyfile(script, directory / script.name)
    make_portable(directory / script.name)
    return script.name


def copy_any(source: Path, target: Path, what: str) -> None:
    """Copy a file or a folder, but for bytecode.

    Raises:
        ScoringError: It isn't there, or can't be read.
    """
    try:
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise ScoringError(f"{what}: there is no {source}") from error
    except (OSError, shutil.Error) as error:
        raise ScoringError(f"{what}: {source} can't be copied: {error}") from error


def make_portable(file: Path) -> None:
    """Guard the imports of this package in a file, so that mlflow takes its place where it is absent."""
    source = file.read_text(encoding="utf-8", errors="surrogateescape")
    if "deployer" in source and (changed := _guarded(source)) is not None:
        file.write_text(changed, encoding="utf-8", errors="surrogateescape")


def _guarded(source: str) -> Optional[str]:
    """The source with each import of ours guarded; None where there is none, or it isn't Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    lines = source.splitlines(keepends=True)
    already = {id(each) for node in ast.walk(tree) if isinstance(node, ast.Try) for each in node.body}
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) and _is_ours(node) and id(node) not in already]
    for node in sorted(imports, key=lambda each: -each.lineno):
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        statement = "".join(lines[first:last])
        if statement.strip() != ast.get_source_segment(source, node):
            continue  # more than the import stands on the line
        lines[first:last] = _guard(node, lines[first][: node.col_offset])
    return "".join(lines) if imports else None


def _is_ours(node: _Import) -> bool:
    if isinstance(node, ast.ImportFrom) and node.level:
        return False
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
    if isinstance(node, ast.ImportFrom) and node.module == "deployer":
        names = [f"deployer.{each.name}" for each in node.names]
    return all(name in (_WHOLE, *_SHARED) or name.startswith(tuple(f"{each}." for each in _SHARED)) for name in names)


def _guard(node: _Import, indent: str) -> Sequence[str]:
    other = re.sub(r"\bdeployer\b", "mlflow", _written(node))
    if isinstance(node, ast.Import):
        # `import deployer.pyfunc` binds the name deployer.
        unnamed = [each.name for each in node.names if each.asname is None]
        other += "".join(["; import mlflow as deployer"] if unnamed else [])
    body = f"try:\n    {_written(node)}\nexcept ModuleNotFoundError:\n    {other}\n"
    return [f"{indent}{line}\n" for line in body.splitlines()]


def _written(node: _Import) -> str:
    names = ", ".join(f"{each.name} as {each.asname}" if each.asname else each.name for each in node.names)
    return f"from {node.module} import {names}" if isinstance(node, ast.ImportFrom) else f"import {names}"
