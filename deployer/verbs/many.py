"""Many deployments side by side, each a run of its own: what one comes to is no matter of the others, and an interrupt reaches all."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from deployer.core.interruption import Interruption, comes_of_an_interrupt
from deployer.errors import ConfigInvalid, DeployerError, Interrupted
from deployer.events import Report

Result = TypeVar("Result")

CONCURRENCY = 4
"""How many go on at a time where nothing is said of it."""
_LOOK_SECONDS = 0.5
"""A signal that another thread took is seen by the main thread only as it wakes."""


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    """What is to be done for one deployment on one target."""

    name: str
    target: str
    run: Callable[[Report], Result]

    def __str__(self) -> str:
        return f"{self.name} on {self.target}"


@dataclass(frozen=True, slots=True)
class TaskOutcome(Generic[Result]):
    """What became of one: a result, or an error, or neither where it was not begun."""

    name: str
    target: str
    result: Result | None = None
    error: BaseException | None = None

    @property
    def begun(self) -> bool:
        return self.result is not None or self.error is not None

    @property
    def interrupted(self) -> bool:
        """Whether it was by Ctrl-C that it ended."""
        return isinstance(self.error, Interrupted) or comes_of_an_interrupt(self.error)

    @property
    def reason(self) -> str:
        """Why it failed, in one sentence; "" where it didn't."""
        if self.interrupted or isinstance(self.error, DeployerError):
            return str(getattr(self.error, "message", "interrupted"))
        return f"{type(self.error).__name__}: {self.error}" if self.error else ""

    def __str__(self) -> str:
        return f"{self.name} on {self.target}"


def refuse_twins(tasks: Iterable[Task[Any]]) -> None:
    """Two runs of one deployment would take it from each other.

    Raises:
        ConfigInvalid: there are two.
    """
    twice = [task for task, count in Counter(map(str, tasks)).items() if count > 1]
    if twice:
        raise ConfigInvalid(f"said twice: {', '.join(twice)}", advice="leave one of the two out, or tell them apart by their names")


def run_all(
    chains: Sequence[Sequence[Task[Result]]],
    report_of: Callable[[Task[Result]], Report],
    *,
    concurrency: int = CONCURRENCY,
    fail_fast: bool = False,
    ended: Callable[[Task[Result], TaskOutcome[Result]], None] = lambda _, __: None,
    struck: Callable[[], None] = lambda: None,
) -> list[TaskOutcome[Result]]:
    """Run them, and what became of each, in their order. The tasks of a chain follow each other, as long as they go well; chains go side by side.

    Ctrl-C interrupts those that are under way, as it would each alone, and begins no other; all that is left is waited for.

    Args:
        concurrency: how many at most are under way at a time.
        fail_fast: begin none any more once one has failed; those under way go on to their end.
        ended: is told what became of a task that was begun, in the thread in which it ran.
        struck: is called in this thread once all have been told of a Ctrl-C.
    """
    stopped = threading.Event()
    all_known = threading.Event()  # before, an interrupt finds none begun
    interruptions = [Interruption() for _ in chains]

    def follow(tasks: Sequence[Task[Result]], interruption: Interruption) -> list[TaskOutcome[Result]]:
        outcomes: list[TaskOutcome[Result]] = []
        all_known.wait()
        for task in tasks:
            if stopped.is_set():
                break
            outcomes.append(_outcome(task, report_of(task), interruption))
            if outcomes[-1].error is not None and fail_fast:
                stopped.set()
            ended(task, outcomes[-1])
            if outcomes[-1].error is not None:
                break
        return outcomes

    futures: list[Future[list[TaskOutcome[Result]]]] = []
    under_way, strikes, passed_on = True, 0, 0
    with ThreadPoolExecutor(concurrency, thread_name_prefix="deployment") as pool:
        while under_way:
            try:
                if strikes > passed_on:
                    passed_on = strikes
                    stopped.set()
                    for each in interruptions:
                        each.tell()
                    struck()
                futures = futures or [pool.submit(follow, *chain) for chain in zip(chains, interruptions, strict=True)]
                all_known.set()
                under_way = bool(wait(futures, _LOOK_SECONDS).not_done)
            except KeyboardInterrupt:
                strikes += 1  # and nothing else: another one may strike right here
    return [outcome for tasks, future in zip(chains, futures, strict=True) for outcome in _with_the_rest(tasks, future.result())]


def _outcome(task: Task[Result], report: Report, interruption: Interruption) -> TaskOutcome[Result]:
    try:
        with interruption.reaching(report) as listening:
            return TaskOutcome(task.name, task.target, task.run(listening))
    except BaseException as error:  # whatever it is belongs to this task alone
        return TaskOutcome(task.name, task.target, error=error)


def _with_the_rest(tasks: Sequence[Task[Result]], outcomes: Sequence[TaskOutcome[Result]]) -> Iterator[TaskOutcome[Result]]:
    yield from outcomes
    yield from (TaskOutcome(task.name, task.target) for task in tasks[len(outcomes) :])
