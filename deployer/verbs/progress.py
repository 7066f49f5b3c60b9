"""Events as plain lines, one at a time: for logs of CI jobs, and for whoever else tells a run's progress as text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TextIO

from deployer.core.state import short
from deployer.events import Event, Noticed, Resolved, RollbackStarted, StepFailed, StepFinished, StepProgressed
from deployer.words import duration, size
from deployer_scoring.printable import one_line

LABEL_WIDTH = 16
PLAIN_PROGRESS_SECONDS = 10.0
"""Between two lines about the same transfer where no terminal draws a bar."""


class LineProgress:
    """One line an event, without control characters, for logs of CI jobs. That a step begins is left out: its end, or what it waits for, says it."""

    def __init__(self, stream: TextIO, target: str, clock: Callable[[], float] = time.monotonic, *, prefix: str = "") -> None:
        """`prefix` stands before each line, where several runs write to one stream."""
        self.stream, self.target, self.clock, self.prefix = stream, target, clock, prefix
        self.signs = signs(stream)
        self.steps = Steps()
        self.said: dict[str, tuple[str, float]] = {}

    def __call__(self, event: Event) -> None:
        for line in self._lines(event):
            write_line(one_line(self.prefix + line), self.stream)

    def _lines(self, event: Event) -> Iterator[str]:
        if isinstance(event, Resolved):
            yield from (brief(event),) if self.prefix else header(event, self.target)
        elif isinstance(event, Noticed):
            yield f"  ! {event.message}"
        elif isinstance(event, RollbackStarted):
            yield f"  ! going back: {event.reason}"
        elif isinstance(event, StepFailed):
            yield step_line(self.signs["failed"], event.label, event.reason, event.seconds)
        elif isinstance(event, (StepProgressed, StepFinished)) and not self.steps.again(event.label):
            yield from self._step(event)

    def _step(self, event: StepProgressed | StepFinished) -> Iterator[str]:
        if isinstance(event, StepFinished):
            yield step_line(self.signs["done"], event.label, self.steps.finish(event), event.seconds)
            return
        said = self.steps.progressed(event)
        if self._is_news(event, said):
            yield step_line(self.signs["going"], event.label, said)

    def _is_news(self, event: StepProgressed, said: str) -> bool:
        last, when = self.said.get(event.label, ("", self.clock() if event.total else float("-inf")))
        news = said != last and (not event.total or self.clock() - when >= PLAIN_PROGRESS_SECONDS)
        self.said[event.label] = (said, self.clock()) if news else (last, when)
        return news


def write_line(line: str, stream: TextIO) -> None:
    """Write a line at once. `print` writes its end apart, and a signal that ends the run may strike in between: what is said of it then would
    stand on the same line."""
    stream.write(f"{line}\n")
    stream.flush()


class Steps:
    """What is known of the steps so far: which are done (they run once more after serving, and that is not news), and what each last said."""

    def __init__(self) -> None:
        self.finished: set[str] = set()
        self.details: dict[str, str] = {}

    def again(self, label: str) -> bool:
        return label in self.finished

    def progressed(self, event: StepProgressed) -> str:
        """What a progress says, in words; what was moved is kept as the step's detail, what was waited for is not."""
        if event.unit == "bytes":
            said = f"{size(event.done)} of {size(event.total)}" if event.total else size(event.done)
            self.details[event.label] = event.note or size(event.total or event.done)
        elif event.total:
            said = f"{event.done} of {event.total} {event.unit}".rstrip()
            self.details[event.label] = event.note or f"{event.total} {event.unit}".rstrip()
        else:
            said = event.note
        return f"{said}  {event.note}" if event.note and event.note != said else said

    def finish(self, event: StepFinished) -> str:
        """A finished step's detail."""
        self.finished.add(event.label)
        return event.detail or self.details.pop(event.label, "") or ("" if event.changed or event.effect == "read" else "as it was")


def header(event: Resolved, target: str) -> Iterator[str]:
    """What is deployed, where, in which image."""
    facts = [event.framework, f"Python {event.python_version}" if event.python_version else "", size(event.size) if event.size else ""]
    known = ", ".join(fact for fact in (*facts, f"sha256:{short(event.digest)}") if fact)
    yield f"Model   {event.model}  {known}"
    yield f"Target  {event.where or target}"
    yield f"Image   {event.image}"
    yield ""


def brief(event: Resolved) -> str:
    """The same in one line, for one of several."""
    return f"  {event.model}, sha256:{short(event.digest)}, in {event.image}"


def step_line(sign: str, label: str, detail: str, seconds: float | None = None) -> str:
    """`  ✓ model data        2.1 MB to s3://…/churn/5d41402abc/  0.4 s`; what took no time worth telling tells none."""
    took = duration(seconds) if seconds is not None and seconds >= 0.1 else ""
    return f"  {sign} {label:<{LABEL_WIDTH}}  {detail}{'  ' if detail and took else ''}{took}".rstrip()


def signs(stream: TextIO) -> dict[str, str]:
    """The marks of a step; words where the stream's encoding has no such signs."""
    try:
        "✓✗…".encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return {"done": "ok  ", "failed": "FAIL", "going": "... "}
    return {"done": "✓", "failed": "✗", "going": "…"}
