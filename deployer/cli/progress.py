"""Events as a user sees them: drawn live on a terminal, else one plain line each; as JSON lines; or not at all."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from deployer.cli.output import TEXT, dump, is_plain
from deployer.cli.session import Session
from deployer.core.interruption import comes_of_an_interrupt
from deployer.events import Event, Noticed, Report, Resolved, StepFinished, StepProgressed, StepStarted, document
from deployer.verbs.progress import LineProgress, write_line
from deployer_scoring.masking import masked
from deployer_scoring.printable import one_line

if TYPE_CHECKING:
    from deployer.cli.terminal import Drawing


@contextmanager
def reporting(session: Session, target: str, *, quiet: bool = False) -> Iterator[Report]:
    """The report for one run, drawn as the session's output format and the terminal have it. Progress goes to stderr, JSON lines to stdout."""
    target = masked(target)
    if session.output == "jsonl":
        yield _noting(session, JsonLines(sys.stdout))
    elif quiet or session.output in ("json", "yaml", "name"):
        yield _noting(session, Warnings(sys.stderr))
    elif sys.stderr.isatty() and not is_plain():
        from deployer.cli.terminal import live

        with live(target) as draw:
            yield _noting(session, draw)
    else:
        yield _noting(session, LineProgress(sys.stderr, target))


class TaskReports:
    """The reports of several runs at a time, each line with the deployment that it is about."""

    def __init__(self, session: Session, labels: Collection[str], draw: Callable[[str], Drawing] | None = None, *, quiet: bool = False) -> None:
        self._form, self._quiet, self._draw = session.output, quiet or session.output in ("json", "yaml", "name"), draw
        self._width = max(map(len, labels), default=0)
        self._lock = threading.Lock()

    def lane(self, session: Session, label: str, name: str) -> Lane:
        """That of one run, whose own session it is."""
        prefix = f"{label:<{self._width}} |"
        target = masked(session.target)
        if self._form == "jsonl":
            return Lane(_noting(session, self._one_at_a_time(JsonLines(sys.stdout, {"deployment": name, "target": target}))), silently)
        if self._quiet:
            return Lane(_noting(session, self._one_at_a_time(Warnings(sys.stderr, f"{label}: "))), silently)
        if self._draw is not None:
            drawing = self._draw(prefix)
            return Lane(_noting(session, drawing.report), drawing.print)
        lines = LineProgress(sys.stderr, target, prefix=prefix)
        return Lane(_noting(session, self._one_at_a_time(lines)), lambda text: write_line(one_line(prefix + text), sys.stderr))

    def say(self, text: str) -> None:
        """A line for people that is about no run alone."""
        if self._draw is not None:
            self._draw("").print(text)
        elif self._form in TEXT and not self._quiet:
            with self._lock:
                write_line(text, sys.stderr)

    def print(self, line: str) -> None:
        """A line of standard output, between those of the runs."""
        with self._lock:
            write_line(line, sys.stdout)

    def _one_at_a_time(self, report: Report) -> Report:
        def alone(event: Event) -> None:
            with self._lock:
                report(event)

        return alone


@dataclass(frozen=True, slots=True)
class Lane:
    """Where one of several runs is told of: its events, and in a line of text how it ended."""

    report: Report
    say: Callable[[str], None]


def silently(_: str) -> None:
    """Where no text is wanted."""


@contextmanager
def side_by_side(session: Session, labels: Collection[str], *, quiet: bool = False) -> Iterator[TaskReports]:
    """The reports of several runs at a time, drawn as those of one are."""
    if session.output in TEXT and not quiet and sys.stderr.isatty() and not is_plain():
        from deployer.cli.terminal import live_together

        with live_together() as draw:
            yield TaskReports(session, labels, draw)
    else:
        yield TaskReports(session, labels, quiet=quiet)


def _noting(session: Session, report: Report) -> Report:
    def noted(event: Event) -> None:
        if isinstance(event, StepStarted):
            session.started.append(event.label)
        report(event)
        if isinstance(event, (StepFinished, StepProgressed)) and _lost(session):
            session.interrupted = False
            raise KeyboardInterrupt

    return noted


def _lost(session: Session) -> bool:
    """Whether Ctrl-C struck and is not on its way up: a library's callback, in which it was raised, has swallowed it."""
    return session.interrupted and threading.current_thread() is threading.main_thread() and not comes_of_an_interrupt(sys.exception())


class JsonLines:
    """Each event as one JSON line, with the deployment and generation that it belongs to once these are known."""

    def __init__(self, stream: TextIO, context: Mapping[str, object] | None = None) -> None:
        self.stream = stream
        self.context = dict(context or {})

    def __call__(self, event: Event) -> None:
        if isinstance(event, Resolved):
            self.context |= {"deployment": event.deployment, "generation": event.generation}
        write_line(dump({**document(event), **self.context}, "jsonl"), self.stream)


class Warnings:
    """Warnings alone."""

    def __init__(self, stream: TextIO, prefix: str = "") -> None:
        self.stream, self.prefix = stream, prefix

    def __call__(self, event: Event) -> None:
        if isinstance(event, Noticed) and event.level == "warning":
            write_line(one_line(f"warning: {self.prefix}{event.message}"), self.stream)
