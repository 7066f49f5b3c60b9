"""The one thread that the model lives in: it is loaded there and predicts there, while the event loop answers /ping.

One, because most models are made for one, and some (of TensorFlow, of CUDA) remember the thread that loaded them.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Callable, TypeVar

from deployer_scoring.errors import ModelFailure, ScoringError
from deployer_scoring.loaders.loading import one_line

T = TypeVar("T")
_END = object()
_AHEAD = 2  # items that an iterator may be ahead of who takes them


class Busy(ScoringError):
    """As many requests wait as may wait."""


class Worker:
    """A thread that runs calls one after another. Its methods belong to the event loop that made it."""

    def __init__(self, limit: int) -> None:
        """Start the thread.

        Args:
            limit: How many calls may be waiting or running at once.
        """
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.pending = 0
        # A daemon: a predict that hangs must not keep a stopped container alive.
        threading.Thread(target=self._work, name="model", daemon=True).start()

    @property
    def full(self) -> bool:
        """Whether a call would be turned away now."""
        return self.pending >= self._limit

    async def run(self, call: Callable[[], T]) -> T:
        """The result of a call, run after those that came before it; a call nobody waits for any more is skipped.

        Raises:
            Busy: Too many are waiting.
            ModelFailure: The call tried to end the process.
            Exception: Whatever the call raises.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        with self._place():
            self._calls.put(lambda: self._settle(future, call))
            return await future

    async def iterate(self, call: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
        """The items of an iterator that a call makes, each as soon as it is there; the thread waits while nobody takes them.

        Raises:
            As `run`, at any item.
        """
        items: asyncio.Queue[Any] = asyncio.Queue()
        room, abandoned = threading.Semaphore(_AHEAD), threading.Event()
        with self._place():
            self._calls.put(lambda: self._feed(items, room, abandoned, call))
            try:
                while (item := await items.get()) is not _END:
                    if isinstance(item, Exception):
                        raise item
                    room.release()
                    yield item
            finally:
                abandoned.set()
                room.release()

    def _place(self) -> _Place:
        if self.full:
            raise Busy(f"{self.pending} requests are waiting for the model already")
        return _Place(self)

    def _work(self) -> None:
        while True:
            self._calls.get()()

    def _settle(self, future: asyncio.Future[T], call: Callable[[], T]) -> None:
        if future.cancelled():
            return
        try:
            outcome: Any = call()
        except BaseException as error:
            self._later(_set_exception, future, _tame(error))
        else:
            self._later(_set_result, future, outcome)

    def _feed(self, items: asyncio.Queue[Any], room: threading.Semaphore, abandoned: threading.Event, call: Callable[[], Iterator[T]]) -> None:
        try:
            for item in () if abandoned.is_set() else call():
                room.acquire()
                if abandoned.is_set():
                    return
                self._later(items.put_nowait, item)
            self._later(items.put_nowait, _END)
        except BaseException as error:
            self._later(items.put_nowait, _tame(error))

    def _later(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
            self._loop.call_soon_threadsafe(call, *arguments)


class _Place:
    """A place in the queue, for as long as the block runs."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __enter__(self) -> None:
        self._worker.pending += 1

    def __exit__(self, *_: object) -> None:
        self._worker.pending -= 1


def _tame(error: BaseException) -> Exception:
    """An exception that a coroutine may raise: SystemExit and its like would end the event loop."""
    return error if isinstance(error, Exception) and not isinstance(error, StopIteration) else ModelFailure(one_line(error))


def _set_result(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
