"""Runs a handler's coroutine by hand, so that an answer that is there at once costs no asyncio.Task and no turn of the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, Callable, Optional, TypeVar

T = TypeVar("T")


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
        if self._waits_for is not None:
            self._waits_for.cancel()

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
                future.add_done_callback(self._step, context=self._context)


def _ignore(_: object) -> None:
    """Nobody waits for the result any more."""
