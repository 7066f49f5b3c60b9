"""Progress on a terminal: a spinner for the step that runs, a bar with rate and time left for transfers, a line for each that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from deployer.events import Event, Noticed, Report, Resolved, RollbackStarted, StepFailed, StepFinished, StepProgressed, StepStarted
from deployer.verbs.progress import LABEL_WIDTH, Steps, brief, header, step_line
from deployer.words import duration, size
from deployer_scoring.printable import one_line


@contextmanager
def live(target: str, console: Console | None = None) -> Iterator[Report]:
    """A report that draws on stderr until the block ends."""
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    drawing = Drawing(console, target)
    with Live(drawing, console=console, transient=True, refresh_per_second=10, redirect_stdout=False, redirect_stderr=False):
        yield drawing.report


@contextmanager
def live_together(console: Console | None = None) -> Iterator[Callable[[str], Drawing]]:
    """What gives each of several runs its drawing, by the prefix of its lines."""
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    drawings: list[Drawing] = []

    def one_more(prefix: str) -> Drawing:
        drawings.append(Drawing(console, "", prefix))
        return drawings[-1]

    with Live(
        get_renderable=lambda: Group(*list(drawings)),
        console=console,
        transient=True,
        refresh_per_second=10,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield one_more


class Drawing:
    """What runs now, redrawn ten times a second; what is done is printed above and stays."""

    def __init__(self, console: Console, target: str, prefix: str = "") -> None:
        self.console, self.target, self.prefix = console, target, prefix
        self.steps = Steps()
        self.running: dict[str, RunningStep] = {}

    def report(self, event: Event) -> None:
        if isinstance(event, Resolved):
            for line in (brief(event),) if self.prefix else header(event, self.target):
                self.print(line)
        elif isinstance(event, (Noticed, RollbackStarted)):
            self.print(f"  ! {event.message}" if isinstance(event, Noticed) else f"  ! going back: {event.reason}", "yellow")
        elif isinstance(event, StepFailed):
            self.running.pop(event.label, None)
            self.print(step_line("✗", event.label, event.reason, event.seconds), "red")
        elif isinstance(event, (StepStarted, StepProgressed, StepFinished)) and not self.steps.again(event.label):
            self._step(event)

    def _step(self, event: StepStarted | StepProgressed | StepFinished) -> None:
        if isinstance(event, StepFinished):
            self.running.pop(event.label, None)
            self.print(step_line("✓", event.label, self.steps.finish(event), event.seconds))
            return
        running = self.running.setdefault(event.label, RunningStep(event.label, self.console.get_time()))
        if isinstance(event, StepProgressed):
            running.said = one_line(self.steps.progressed(event))
            running.done, running.total, running.unit = event.done, event.total, event.unit

    def print(self, text: str, style: str = "") -> None:
        """Text as it is: what a cloud or a model is called is no markup."""
        self.console.print(Text(one_line(self.prefix + text), style=style))

    def __rich__(self) -> RenderableType:
        now = self.console.get_time()
        return Group(*(each.drawn(now, self.prefix) for each in list(self.running.values())))


class RunningStep:
    """One step that isn't done."""

    def __init__(self, label: str, began: float) -> None:
        self.label, self.began = label, began
        self.said = ""
        self.done: int = 0
        self.total: int | None = None
        self.unit = ""
        self.spinner = Spinner("dots")

    def drawn(self, now: float, prefix: str = "") -> RenderableType:
        line = Table.grid(padding=(0, 1))
        cells: list[RenderableType] = [Text(f"{prefix} "), self.spinner, Text(f"{self.label:<{LABEL_WIDTH}} ")]
        if self.total:
            cells += [ProgressBar(total=self.total, completed=self.done, width=24), Text(self._transfer(now))]
        else:
            cells += [Text(self.said), Text(duration(now - self.began), style="dim")]
        line.add_row(*cells)
        return line

    def _transfer(self, now: float) -> str:
        """`1.2 of 2.1 GB  84.0 MB/s  11 s left`."""
        passed = max(now - self.began, 0.001)
        rate = self.done / passed
        left = f"  {duration((self.total - self.done) / rate)} left" if self.total and rate > 0 and self.done < self.total else ""
        return self.said + (f"  {size(rate)}/s" if self.unit == "bytes" and rate else "") + left
