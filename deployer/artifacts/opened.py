"""Which files loading a model opens, as far as its MLmodel tells, and what is wrong with files by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from deployer.artifacts.content import ModelFile
from deployer.artifacts.kinds import LFS_POINTER, Fault, fault_of
from deployer_scoring.model import requirements as required
from deployer_scoring.model.mlmodel import FILE, MLModel

_OWN_AFFAIR = re.compile(r"python_function\.(code|artifacts)\b")


def opened(model: MLModel, listed: Iterable[ModelFile]) -> frozenset[str]:
    """The files that loading a model opens: those that its MLmodel names, and what is in a folder that it names.

    What a folder of code or of artifacts holds is the model's own affair, and isn't among them. A loader that is given no path has the whole
    directory, and may open what lies at its top; a folder below may be another model.
    """
    named = {each.path.strip("/"): _OWN_AFFAIR.search(each.key) is not None for each in model.named if not each.environment}
    folders = tuple(f"{path}/" for path, own in named.items() if not own)
    whole = not folders
    return frozenset(
        file.path for file in listed if file.path in named or file.path.startswith(folders) or (whole and "/" not in file.path and file.path != FILE)
    )


def faults(model: MLModel, listed: Iterable[ModelFile]) -> Iterator[tuple[Fault, bool]]:
    """What is wrong with a model's files, each with whether the model certainly can't be loaded for it.

    Raises:
        MachineFault: a file can't be read.
    """
    listed = tuple(listed)
    loaded = opened(model, listed)
    named = {FILE, required.REQUIREMENTS, *(each.path.strip("/") for each in model.named)}
    folders = tuple(f"{path}/" for path in named)
    for file in listed:
        if (fault := fault_of(file)) is not None:
            pointer = fault.code == LFS_POINTER and (file.path in named or file.path.startswith(folders))
            yield fault, pointer or file.path in loaded
