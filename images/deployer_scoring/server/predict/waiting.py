"""Requests that wait for the model, and how they learn their answers."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from deployer_scoring.errors import ScoringError
from deployer_scoring.scorer import Ask
from deployer_scoring.server.handling import AnswerFuture

MOST_BYTES = 4 * 1024 * 1024
"""Of requests that are joined."""
MOST_REQUESTS = 1024
"""That are joined."""


class Busy(ScoringError):
    """As many requests wait as may wait."""


class PredictTimeout(ScoringError):
    """The model took longer than a request may take."""


class Waiting(NamedTuple):
    """A request in a queue."""

    ask: Ask
    answer: AnswerFuture
    since: float
    """On perf_counter's clock."""


def taken(queue: deque[Waiting], *, joins: bool) -> list[Waiting]:
    """The next requests out of a queue, in order: one, or as many as may be joined; those that nobody waits for any more are dropped."""
    batch: list[Waiting] = []
    size = 0
    while queue and (not batch or (joins and len(batch) < MOST_REQUESTS and size + len(queue[0].ask.body) <= MOST_BYTES)):
        waiting = queue.popleft()
        if not waiting.answer.done():
            batch.append(waiting)
            size += len(waiting.ask.body)
    return batch
