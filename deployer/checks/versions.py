"""Whether the environment's versions can load what other versions have written."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import InvalidVersion, Version

from deployer.checks.containers import PickledFile
from deployer.checks.finding import Finding, error, note, warning
from deployer.checks.knowledge import RULES, TREES, TREES_CHANGED, PickleRule
from deployer.checks.surroundings import Surroundings
from deployer.core.requirements import minor_of

_MAKERS = {15: "3.7", 16: "3.8 to 3.10", 18: "3.11 or later"}


def check_versions(pickled: PickledFile, declared_python: str, there: Surroundings) -> Iterator[Finding]:
    """Names that other versions of numpy, pandas or scikit-learn don't have, stamps of another scikit-learn, functions of another Python.

    Args:
        declared_python: the Python that the MLmodel says the model was saved with.
    """
    if pickled.kind == "pickle":  # skops names classes and makes them anew
        yield from _by_names(pickled, there)
        yield from _by_python(pickled, minor_of(declared_python), there)
    for stamp in sorted(pickled.facts.sklearn_versions):
        yield from _by_stamp(pickled, stamp, there)


def _by_names(pickled: PickledFile, there: Surroundings) -> Iterator[Finding]:
    names = {str(each) for each in pickled.facts.imports}
    reported = set[tuple[str, str]]()
    for rule in RULES:
        seen = next((name for name in sorted(names) if rule.names.fullmatch(name)), None)
        if seen is None or (rule.also and not any(map(rule.also.fullmatch, names))) or (rule.unless and any(map(rule.unless.fullmatch, names))):
            continue
        excluded = there.excludes(rule.distribution, rule.versions)
        if excluded and (rule.distribution, excluded) not in reported:
            reported.add((rule.distribution, excluded))
            yield _misfit(pickled.file, rule, seen, excluded, there)


def _misfit(file: str, rule: PickleRule, seen: str, excluded: str, there: Surroundings) -> Finding:
    return error(
        f"{rule.distribution}-version",
        file,
        f"it holds {rule.origin} ({seen}), which takes {rule.distribution}{rule.versions} to load; {there.name}: {excluded}",
        f"pin the {rule.distribution} that the model was saved with, or save it again with the one that is pinned",
    )


def _by_python(pickled: PickledFile, declared: str, there: Surroundings) -> Iterator[Finding]:
    facts = pickled.facts
    if there.python and there.python in {"3.6", "3.7"} and facts.protocol > 4:
        yield error("pickle-protocol", pickled.file, f"it is of protocol {facts.protocol}, which Python {there.python} can't read", "save it anew")
    makers = {_MAKERS[count] for count in facts.code_arguments if count in _MAKERS}
    if declared and (others := {each for each in makers if each != _maker_of(declared)}):
        what = f"it holds functions made by Python {', '.join(sorted(others))}, though the MLmodel says {declared}: they can't be run there"
        yield error("python-version", pickled.file, what, f"save the model again with Python {declared}")
    elif makers and declared and there.python and there.python != declared:
        what = f"it holds functions made by Python {declared}, and their bytecode means something else to Python {there.python}"
        yield error("python-version", pickled.file, what, f"use Python {declared}, or save the model again with {there.python}")


def _maker_of(minor: str) -> str:
    number = int(minor.partition(".")[2] or 0)
    return _MAKERS[15 if number <= 7 else 16 if number <= 10 else 18]


def _by_stamp(pickled: PickledFile, stamp: str, there: Surroundings) -> Iterator[Finding]:
    try:
        made = Version(stamp)
    except InvalidVersion:
        return
    pinned = there.pinned("scikit-learn")
    advice = f"pin scikit-learn=={stamp}, or save the model again"
    if pinned is None:
        near = f">={made.major}.{made.minor}.dev0,<{made.major}.{made.minor + 1}.dev0"
        if excluded := there.excludes("scikit-learn", near):
            yield warning("scikit-learn-version", pickled.file, f"it was saved by scikit-learn {stamp}; {there.name}: {excluded}", advice)
        elif "scikit-learn" in there.packages:
            what = f"it was saved by scikit-learn {stamp}, and {there.name} leave the version open"
            yield note("scikit-learn-version", pickled.file, what, advice)
        return
    if pinned.release[:2] == made.release[:2]:
        return
    changed = Version(TREES_CHANGED)
    has_trees = any(TREES.fullmatch(str(each)) for each in pickled.facts.imports)
    said = f"it was saved by scikit-learn {stamp}; {there.name}: {pinned}"
    if pickled.kind == "pickle" and has_trees and (made < changed) != (pinned < changed):
        yield error("scikit-learn-version", pickled.file, f"{said}. Trees from before {TREES_CHANGED} and after it can't load each other", advice)
    elif pinned.major != made.major:
        yield error("scikit-learn-version", pickled.file, f"{said}, another major version", advice)
    else:
        yield warning("scikit-learn-version", pickled.file, f"{said}: estimators may not load, or answer otherwise", advice)
