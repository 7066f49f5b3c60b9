"""Events as a user sees them: drawn live on a terminal, else one plain line each; as JSON lines; or not at all."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from deployer.cli.output import dump, is_plain
from deployer.cli.session import Session, comes_of_an_interrupt
from deployer.events import Event, Noticed, Report, Resolved, StepFinished, StepProgressed, StepStarted, document
from deployer.verbs.progress import Lines
from deployer_scoring.masking import masked
from deployer_scoring.printable import one_line


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
        yield _noting(session, Lines(sys.stderr, target))


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

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.context: dict[str, object] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Resolved):
            self.context = {"deployment": event.deployment, "generation": event.generation}
        print(dump({**document(event), **self.context}, "jsonl"), file=self.stream, flush=True)


class Warnings:
    """Warnings alone."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __call__(self, event: Event) -> None:
        if isinstance(event, Noticed) and event.level == "warning":
            print(f"warning: {one_line(event.message)}", file=self.stream, flush=True)
