"""Ctrl-C for a run that isn't in the main thread, where alone Python raises it: a run is told, and hears it at its next event or pause."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from deployer.events import Event, Report, RollbackStarted, StepFailed

_AFTER_A_FAILURE = (StepFailed, RollbackStarted)
"""What is told while an error is dealt with: an interrupt there would hide the error, or come before the way back."""


class Interruption:
    """For one run, in whose thread it is made use of; told by any other, and heard there once for each time.

    Threads that the run has of its own (those of an upload, say) hear it too, for they are what keeps it; what they raise may get lost in a
    library, so that the run's own thread hears it again, unless it is on its way there.
    """

    def __init__(self) -> None:
        self._woken = threading.Event()
        self._told = self._heard = self._heard_elsewhere = 0
        self._thread: int | None = None

    def tell(self) -> None:
        """Interrupt the run, from any thread; once more is as a second Ctrl-C. What has not begun is interrupted as it begins."""
        self._told += 1
        self._woken.set()

    @contextmanager
    def reaching(self, report: Report) -> Iterator[Report]:
        """The block, in this thread, is the run. It hears by the report that it is given, and in `pause`."""
        self._thread = threading.get_ident()
        token = _of_this_thread.set(self)

        def listening(event: Event) -> None:
            report(event)
            if not isinstance(event, _AFTER_A_FAILURE):
                self.hear()

        try:
            yield listening
        finally:
            _of_this_thread.reset(token)

    def hear(self) -> None:
        """Raise KeyboardInterrupt where the run was told since it heard last."""
        told = self._told
        if told == self._heard:
            return
        if threading.get_ident() != self._thread:
            self._heard_elsewhere = told
            raise KeyboardInterrupt
        self._woken.clear()
        self._heard = told
        if self._heard_elsewhere != told or not comes_of_an_interrupt(sys.exception()):
            raise KeyboardInterrupt

    def wait(self, seconds: float) -> None:
        """Wait so long, or until the run is told."""
        if self._woken.wait(seconds):
            self.hear()


_of_this_thread: ContextVar[Interruption | None] = ContextVar("interruption", default=None)


def pause(seconds: float) -> None:
    """Sleep so long; an interrupt ends it, in whichever thread the run is."""
    interruption = _of_this_thread.get()
    if interruption is None:
        time.sleep(seconds)
    else:
        interruption.wait(seconds)


def comes_of_an_interrupt(error: BaseException | None) -> bool:
    """Whether there is a KeyboardInterrupt behind an error: Ctrl-C in the midst of an import or a callback becomes another one on its way."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
