"""What a check finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad: it can't work; it may not; good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a model.

    Attributes:
        code: the kind of finding, stable, for programs: "numpy-2-pickle".
        file: relative to the model's directory, "code/loader.py:3" where a line is known; "" where it concerns the whole.
        what: a sentence without its end: what is wrong, and what would come of it.
        advice: what to do, as a clause.
    """

    severity: Severity
    code: str
    file: str
    what: str
    advice: str = ""


def error(code: str, file: str, what: str, advice: str = "") -> Finding:
    return Finding(Severity.ERROR, code, file, what, advice)


def warning(code: str, file: str, what: str, advice: str = "") -> Finding:
    return Finding(Severity.WARNING, code, file, what, advice)


def note(code: str, file: str, what: str, advice: str = "") -> Finding:
    return Finding(Severity.NOTE, code, file, what, advice)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once, errors first, then warnings, then notes; among equals as they were found."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: list(Severity).index(finding.severity)))
