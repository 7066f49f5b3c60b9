"""A model's files by themselves: what the MLmodel names and isn't there, what can't be what its name says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployer.artifacts.content import ModelFile
from deployer.artifacts.opened import faults
from deployer.checks.finding import Finding, error, warning
from deployer_scoring.errors import MLModelError
from deployer_scoring.model import requirements as required
from deployer_scoring.model.mlmodel import MLModel


def check_files(model: MLModel, listed: Iterable[ModelFile]) -> Iterator[Finding]:
    """Pointers of Git LFS, empty and broken files; paths that lead nowhere; environments that nothing describes."""
    for fault, fatal in faults(model, listed):
        yield (error if fatal else warning)(fault.code, fault.file, f"it {fault.what}", fault.advice)
    for each in model.named:
        if not each.there and not each.environment:
            what = f"{each.key} names {each.path}, which is not in the model's directory: whether that matters is known to its loader alone"
            yield (error if each.needed else warning)("file-missing", "MLmodel", what, _as_clause(each.advice))
    yield from _environments(model)


def _environments(model: MLModel) -> Iterator[Finding]:
    missing = [each.path for each in model.named if each.environment and not each.there]
    described = [name for name in (required.REQUIREMENTS, required.CONDA) if (model.directory / name).exists()]
    advice = "save the model again, or write the file"
    if not described:
        what = "nothing lists the packages that it needs: it is served with what is there"
        yield warning("environment-missing", "MLmodel", what, "save it again with pip_requirements=, or write requirements.txt")
    elif missing:
        what = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in the model's directory; {described[0]} is taken instead"
        yield warning("environment-missing", "MLmodel", what, advice)
    yield from _programs(model)


def _programs(model: MLModel) -> Iterator[Finding]:
    try:
        programs = required.conda_programs(model.directory)
    except MLModelError:
        return  # where it matters that conda.yaml can't be read, that is said by who needs it
    if programs:
        what = f"it lists {', '.join(programs)}, no package of Python's: nothing is installed by conda where the model is served"
        yield warning("conda-program", required.CONDA, what, "serve it on a base image that has it: build-and-push-container --base IMAGE")


def _as_clause(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
