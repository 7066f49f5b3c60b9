"""A run's events as a generator, while the run itself goes on in another thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

from deployer.core.interruption import Interruption
from deployer.events import Event, Report

Result = TypeVar("Result")


def streamed(run: Callable[[Report], Result], on_event: Report) -> Generator[Event, None, Result]:
    """The events of `run`; what it gives is the generator's value, what it raises is raised where they end.

    To close the generator early interrupts the run at its next event or pause, and waits for it: before the switch it goes back, after it the cloud
    goes on.
    """
    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    interruption = Interruption()
    results: list[Result] = []
    errors: list[BaseException] = []

    def report(event: Event) -> None:
        on_event(event)
        events.put(event)

    def work() -> None:
        try:
            with interruption.reaching(report) as listening:
                results.append(run(listening))
        except BaseException as error:  # whatever it is belongs to who reads the events
            errors.append(error)
        events.put(None)

    thread = threading.Thread(target=work, name="deployer", daemon=True)
    thread.start()
    try:
        while (event := events.get()) is not None:
            yield event
    except GeneratorExit:
        interruption.tell()
        thread.join()
        raise
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
