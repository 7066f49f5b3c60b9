"""The model's requirements by themselves: what can't be installed elsewhere, contradicts itself, or is left open."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from deployer.checks.finding import Finding, error, note, warning
from deployer.checks.surroundings import Surroundings, of_requirements
from deployer.core.requirements import Need, need
from deployer_scoring.model.own_paths import path_of

FILE = "requirements.txt"
_OTHER_SYSTEMS = re.compile(r"pywin32|pywinpty|pypiwin32|wmi|appnope|pyobjc(-.*)?|windows-curses|macfsevents|tensorflow-(macos|metal|intel)")


def check_requirements(requirements: tuple[str, ...], file: str, python: str) -> Iterator[Finding]:
    """Paths of the machine that saved the model, packages for other systems, pins that exclude each other, versions left open."""
    needs = [need(line) for line in requirements]
    if not needs:
        yield note("no-requirements", file or "MLmodel", "nothing says which packages the model needs", "save it again with pip_requirements=")
        return
    for each in needs:
        yield from _one(each, file)
    yield from _conflicts(of_requirements(requirements, python), file)
    if open_ended := sorted({each.name for each in needs if each.name and not each.url and each.pinned is None}):
        what = f"no exact version is given for {', '.join(open_ended)}: an environment made later may have others"
        yield note("not-pinned", file, what, "pin what the model was saved with")


def _one(each: Need, file: str) -> Iterator[Finding]:
    if each.url and re.search(r"\b(git|hg|svn|bzr)\+", each.line):
        what = f"{each.line} is built from its repository: whoever makes the environment needs that tool and access"
        yield note("requirement-repository", file, what, "name a released version")
    elif (path := path_of(each.line)) is not None:
        if not path.endswith(".whl"):
            what = f"{path} is source, which whoever makes the environment builds by running its code"
            yield note("requirement-source", file, what, "put its wheel into the code folder (code_paths=)")
    elif each.url and ("://" not in each.line or "file:" in each.line):
        what = f"{each.line} is a path of the machine that saved the model"
        yield error("requirement-path", file, what, "name a released version, or put its wheel into the code folder (code_paths=), and name that")
    elif _OTHER_SYSTEMS.fullmatch(each.name) and each.marker is None:
        yield warning("requirement-system", file, f"{each.name} is not for Linux, on which models are served", "remove it, or give it a marker")


def _conflicts(there: Surroundings, file: str) -> Iterator[Finding]:
    for name, specifier in there.packages.items():
        if len(list(specifier)) > 1 and there.excludes(name, str(specifier)):
            yield error("requirement-conflict", file, f"no version of {name} is {_in_words(specifier)}", "leave one of them")


def _in_words(specifier: SpecifierSet) -> str:
    return " and ".join(sorted(map(str, specifier)))
