"""Work in a process of its own, for as long as a block of a test runs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")


@contextmanager
def working(work: Callable[..., Result], *arguments: Any) -> Iterator[list[Result]]:
    """`work(*arguments, over)`, which returns once the event `over` is set: when the block ends. What it gave is in the list after that."""
    context, found = multiprocessing.get_context("spawn"), list[Result]()
    over, (told, telling) = context.Event(), context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(telling, work, arguments, over), daemon=True)
    process.start()
    try:
        yield found
        over.set()
        found.append(told.recv())
    finally:
        process.terminate()
        process.join()


def _tell(telling: Any, work: Callable[..., object], arguments: tuple[Any, ...], over: Any) -> None:
    telling.send(work(*arguments, over))
