"""Runs a handler's coroutine by hand, so that an answer that is there at once costs no asyncio.Task and no turn of the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, Callable, Optional, TypeVar, Union

T = TypeVar("T")


class AnswerFuture(asyncio.Future):  # type: ignore[type-arg]
    """A future whose outcome is told to the one handling that waits for it at once, without a turn of the event loop."""

    told: Optional[Callable[[], None]] = None

    def settle(self, outcome: Union[Any, Exception]) -> None:
        """Set the outcome, if anybody still waits for it; an exception is raised to who does."""
        if self.done():
            return
        if isinstance(outcome, Exception):
            self.set_exception(outcome)
        else:
            self.set_result(outcome)
        told = self.told
        if told is not None:
            self.told = None
            told()


class Handling:
    """A coroutine under way. It may await futures, asyncio.sleep and what is made of them, but nothing that asks for the current task."""

    __slots__ = ("_context", "_coroutine", "_done", "_loop", "_waits_for")

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], done: Callable[[T], None]) -> None:
        """Run it until it first waits, or to its end.

        Args:
            loop: The running loop.
            coroutine: Raises nothing but CancelledError.
            done: Called with its result, possibly before this returns.
        """
        self._loop, self._coroutine, self._done = loop, coroutine, done
        self._context = contextvars.copy_context()
        self._waits_for: Optional[asyncio.Future[Any]] = None
        self._context.run(self._step)

    def cancel(self) -> None:
        """Give it up: what it waits for is cancelled, and its result is never told."""
        self._done = _ignore
        future = self._waits_for
        if future is not None and future.cancel() and type(future) is AnswerFuture:
            self._resume()

    def _resume(self) -> None:
        self._context.run(self._step)

    def _step(self, _: object = None) -> None:
        self._waits_for = None
        try:
            future = self._coroutine.send(None)
        except StopIteration as end:
            self._done(end.value)
        except asyncio.CancelledError:
            pass
        else:
            if future is None:  # a bare yield: asyncio.sleep(0)
                self._loop.call_soon(self._step, context=self._context)
            else:
                future._asyncio_future_blocking = False
                self._waits_for = future
                if type(future) is AnswerFuture:
                    future.told = self._resume
                else:
                    future.add_done_callback(self._step, context=self._context)


def _ignore(_: object) -> None:
    """Nobody waits for the result any more."""
