"""What a model needs and what would break, found out without running any of it: its files are read, nothing of it is imported.

Errors are what can't work, and only what is certain is called one: an upload stops for it. A warning is what may go wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from deployer.artifacts.content import ModelFile, files, unreadable
from deployer.artifacts.opened import opened
from deployer.checks.binaries import check_binaries
from deployer.checks.containers import PickledFile, pickles
from deployer.checks.dangers import SUSPICIONS, check_dangers
from deployer.checks.examples import check_example
from deployer.checks.files import check_files
from deployer.checks.finding import Finding, Severity, error, in_order, note, warning
from deployer.checks.imports import Modules
from deployer.checks.knowledge import FLAVORS, standard
from deployer.checks.needs import check_requirements
from deployer.checks.sources import SourceFile, imports_of_function, read_source
from deployer.checks.surroundings import Surroundings, of_requirements
from deployer.checks.versions import check_versions
from deployer.core.requirements import NEWER_PYTHON, minor_of, python_too_old
from deployer.core.state import ModelFacts, PackagedModel
from deployer.errors import DeployerError
from deployer_scoring.model import requirements as required
from deployer_scoring.model.mlmodel import FILE as MLMODEL
from deployer_scoring.model.mlmodel import MLModel, parse_mlmodel
from deployer_scoring.opcodes.facts import Global

_LARGEST_SOURCE = 1 << 19
_MOST_SOURCE = 1 << 23

Limit = Callable[[ModelFacts], None]
"""Refuses, with one of our errors, a model that is too large for where it should go."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A model and what was found.

    Attributes:
        imports: the top-level modules outside the standard library that it imports, its own code's excepted.
        against: what it was held against: "the requirements", an image.
    """

    facts: ModelFacts
    imports: tuple[str, ...] = ()
    against: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The facts, and with them what was found, ready for JSON."""
        return {**asdict(self.facts), "imports": list(self.imports), "checked_against": self.against, "findings": [*map(asdict, self.findings)]}

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was read of a model."""

    model: MLModel
    facts: ModelFacts
    there: Surroundings
    listed: tuple[ModelFile, ...]
    pickled: tuple[PickledFile, ...]
    modules: Modules
    scripts: Mapping[str, SourceFile] = field(default_factory=dict)


def check_model(model: PackagedModel, *, there: Surroundings | None = None, limit: Limit | None = None, strict: bool = False) -> Checked:
    """Look at a model that is on this machine and valid (`deployer.artifacts.fetch`).

    Args:
        there: the environment that it is held against; what its own requirements allow where it's left out.
        limit: raises where the model is too large for its target.
        strict: whether a pickle that isn't known to be harmless is an error.

    Raises:
        MachineFault: a file can't be read.
    """
    assert model.path is not None
    seen = _look(model.path, model.facts, there or of_requirements(model.facts.requirements, model.facts.python_version))
    findings = [*_findings(seen), *(_too_large(model.facts, limit) if limit else ())]
    if strict:
        findings = [replace(each, severity=Severity.ERROR) if each.code in SUSPICIONS else each for each in findings]
    return Checked(model.facts, _imports(seen), seen.there.name, in_order(findings))


def _look(directory: Path, facts: ModelFacts, there: Surroundings) -> _Seen:
    model, listed = parse_mlmodel(directory), files(directory)
    folder = (model.pyfunc.code or "").strip("/")
    inside = {file.path.removeprefix(f"{folder}/"): file for file in listed if folder and file.path.startswith(f"{folder}/")}
    sources = _sources({path: file for path, file in inside.items() if path.endswith(".py")}, there.python)
    scripts = _sources({file.path: file for file in listed if file.path in _scripts(model)}, there.python)
    elsewhere = frozenset(file.path for file in listed) - {f"{folder}/{path}" for path in inside}
    modules = Modules(there, sources, folder, frozenset(inside) - frozenset(sources), elsewhere)
    return _Seen(model, facts, there, listed, tuple(pickles(listed)), modules, scripts)


def _sources(files: Mapping[str, ModelFile], python: str) -> dict[str, SourceFile]:
    """Files of Python, read as far as that takes seconds; nothing is known of the others."""
    found, left = dict[str, SourceFile](), _MOST_SOURCE
    for path, file in files.items():
        left -= file.size
        read = file.size <= _LARGEST_SOURCE and left > 0
        found[path] = read_source(_read(file), python) if read else SourceFile()
    return found


def _read(file: ModelFile) -> bytes:
    try:
        return file.source.read_bytes()
    except OSError as fault:
        raise unreadable(file.source, fault) from fault


def _scripts(model: MLModel) -> set[str]:
    """Models from code: scripts that the MLmodel names."""
    named = {str(model.pyfunc.options.get(key, "")) for key in ("python_model", "model_code_path")}
    return {PurePosixPath(each).name for each in named if each.endswith(".py")}


def _findings(seen: _Seen) -> Iterator[Finding]:
    if said := python_too_old(seen.there.python):
        own = minor_of(seen.facts.python_version) == seen.there.python
        yield error("python-too-old", _python_file(seen.model) if own else "", said, NEWER_PYTHON)
    loaded = opened(seen.model, seen.listed)
    yield from check_files(seen.model, seen.listed)
    for pickled in seen.pickled:
        stray = pickled.file.partition("!")[0] not in loaded
        yield from _may_be_unused(_of_pickle(pickled, seen)) if stray else _of_pickle(pickled, seen)
    yield from _of_sources(seen)
    yield from seen.modules.find_fault("MLmodel", Global(seen.model.pyfunc.loader_module, ""), "names the loader module")
    yield from _of_flavor(seen)
    yield from seen.modules.shadows()
    yield from check_example(seen.model)
    yield from _of_requirements(seen)
    names = frozenset(str(each) for pickled in seen.pickled for each in pickled.facts.imports)
    yield from check_binaries(seen.there, names, required.source(seen.model.directory))
    yield from _of_signature(seen.model)


def _may_be_unused(found: Iterable[Finding]) -> Iterator[Finding]:
    """Nothing stops for a file that nothing is known to open."""
    for each in found:
        unnamed = each.severity is Severity.ERROR
        yield replace(each, severity=Severity.WARNING, what=f"{each.what}. Nothing in the MLmodel names this file") if unnamed else each


def _of_flavor(seen: _Seen) -> Iterator[Finding]:
    """The library of one of mlflow's flavors, whose own files name no module."""
    module = FLAVORS.get(seen.model.framework)
    named = {each.module.partition(".")[0] for pickled in seen.pickled for each in pickled.facts.imports}
    if module and module not in named and seen.model.pyfunc.loader_module.startswith("mlflow."):
        yield from seen.modules.find_fault("MLmodel", Global(module, ""), "is loaded by")


def _of_pickle(pickled: PickledFile, seen: _Seen) -> Iterator[Finding]:
    yield from check_dangers(pickled, seen.modules.own)
    if pickled.cut:
        yield error("broken-pickle", pickled.file, f"the pickle is not whole: {pickled.broken}", "fetch or save the model again")
        return
    yield from check_versions(pickled, seen.facts.python_version, seen.there)
    reported = set[str]()
    for each in sorted(pickled.facts.imports, key=str):
        for finding in seen.modules.find_fault(pickled.file, each):
            if (key := finding.what if finding.code == "missing-name" else each.module.partition(".")[0]) not in reported:
                reported.add(key)
                yield finding
    for module in _lazy(pickled, seen.facts.python_version):
        if module.partition(".")[0] not in reported:
            reported.add(module.partition(".")[0])
            yield from seen.modules.find_fault(pickled.file, Global(module, ""), "has a function that imports")


def _lazy(pickled: PickledFile, python: str) -> Iterator[str]:
    for code, names in pickled.facts.functions:
        yield from imports_of_function(code, names, minor_of(python))


def _of_sources(seen: _Seen) -> Iterator[Finding]:
    folder = seen.modules.folder
    named = {seen.model.pyfunc.loader_module, *(each.module for pickled in seen.pickled for each in pickled.facts.imports)}
    needed = {f"{folder}/{module.replace('.', '/')}{end}" for module in named for end in (".py", "/__init__.py")} | set(seen.scripts)
    for path, source in {**{f"{folder}/{path}": source for path, source in seen.modules.code.items()}, **seen.scripts}.items():
        if source.error:
            what = f"Python {seen.there.python or 'here'} can't read it: {source.error}"
            found = error if path in needed else warning  # not every file of a code folder is imported
            yield found("syntax-error", f"{path}:{source.error_line}", what, "correct it, and save the model again")
        reported = set[str]()
        for each in source.imports:
            top = each.module.partition(".")[0]
            if path in seen.scripts and top == "mlflow":
                continue  # the scoring runtime stands in for it, as far as models from code go
            if not each.level and top not in reported:
                reported.add(top)
                faults = seen.modules.find_fault(f"{path}:{each.line}", Global(each.module, ""))
                yield from (replace(fault, severity=Severity.WARNING) for fault in faults)  # it may never be run


def _of_requirements(seen: _Seen) -> Iterator[Finding]:
    if not (file := required.source(seen.model.directory)):
        return  # that there is none was said of the files
    found = check_requirements(seen.facts.requirements, file, seen.facts.python_version)
    # Where the environment is made already, what the requirements say of making one stops nothing.
    yield from (replace(each, severity=Severity.WARNING) if seen.there.complete and each.severity is Severity.ERROR else each for each in found)


def _of_signature(model: MLModel) -> Iterator[Finding]:
    if model.signature is None or not model.signature.inputs:
        what = "it has no signature: nothing is checked before it reaches the model, and a wrong input fails inside it"
        yield note("no-signature", "MLmodel", what, "save it with signature=infer_signature(...) or an input example")


def _too_large(facts: ModelFacts, limit: Limit) -> Iterator[Finding]:
    try:
        limit(facts)
    except DeployerError as refusal:
        yield error("too-large", "", refusal.message, refusal.advice)


def _imports(seen: _Seen) -> tuple[str, ...]:
    python = seen.there.python
    names = {each.module for pickled in seen.pickled for each in pickled.facts.imports}
    names |= {module for pickled in seen.pickled for module in _lazy(pickled, seen.facts.python_version)}
    names |= {each.module for source in (*seen.modules.code.values(), *seen.scripts.values()) for each in source.imports if not each.level}
    own = {path.partition("/")[0].removesuffix(".py") for path in seen.modules.code}
    tops = {name.partition(".")[0] for name in names} - own - {"", "__main__"}
    return tuple(sorted(top for top in tops if not standard(top, python)))


def _python_file(model: MLModel) -> str:
    """The file that says with which Python the model was saved."""
    others = (name for name in (required.PYTHON_ENV, required.CONDA) if (model.directory / name).exists())
    return MLMODEL if model.pyfunc.python_version else next(others, "")
