"""Requests that wait for the model, and how they learn their answers."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, NamedTuple, Union

from deployer_scoring.errors import ScoringError
from deployer_scoring.scorer import Ask

MOST_BYTES = 4 * 1024 * 1024
"""Of requests that are joined."""
MOST_REQUESTS = 1024
"""That are joined."""


class Busy(ScoringError):
    """As many requests wait as may wait."""


class TimedOut(ScoringError):
    """The model took longer than a request may take."""


class Waiting(NamedTuple):
    """A request in a queue."""

    ask: Ask
    future: asyncio.Future[Any]
    since: float
    """On perf_counter's clock."""


def settle(future: asyncio.Future[Any], outcome: Union[Any, Exception]) -> None:
    """Tell a request its outcome, if anybody still waits for it."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def taken(queue: deque[Waiting], *, joins: bool) -> list[Waiting]:
    """The next requests out of a queue, in order: one, or as many as may be joined; those that nobody waits for any more are dropped."""
    batch: list[Waiting] = []
    size = 0
    while queue and (not batch or (joins and len(batch) < MOST_REQUESTS and size + len(queue[0].ask.body) <= MOST_BYTES)):
        waiting = queue.popleft()
        if not waiting.future.done():
            batch.append(waiting)
            size += len(waiting.ask.body)
    return batch
