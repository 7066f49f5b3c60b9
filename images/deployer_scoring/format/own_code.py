"""The modules of the user's project that a model imports, found and copied (MLflow's `infer_code_paths`)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from deployer_scoring.format.code import CODE, make_portable
from deployer_scoring.format.needs import imports_of_files, imports_of_object, imports_of_source


def copy_own_code(directory: Path, model: Any, modules: Iterable[str]) -> None:
    """Copy the modules below the current directory that a model imports, over any number of steps, into its code folder.

    Args:
        directory: The model's; its pickles and scripts are read.
        model: The object that was pickled, or None.
        modules: More modules that it imports: the loader module.
    """
    project = Path.cwd()
    found: set[Path] = set()
    waiting = {*modules, *imports_of_files(directory), *imports_of_object(model)}
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for file in _files_of(project, name):
            if file not in found:
                found.add(file)
                waiting.update(set(imports_of_source(file)) - seen)
    for file in found:
        target = directory / CODE / file.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        make_portable(target)


def _files_of(project: Path, name: str) -> Iterator[Path]:
    """The file of a module and those of the packages that it lies in, as far as they are in the project."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        place = project.joinpath(*parts[:length])
        for file in (place / "__init__.py", place.with_name(place.name + ".py")):
            if file.is_file():
                yield file
