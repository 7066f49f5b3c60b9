"""Predicts in the event loop itself, for short calls of known libraries: no hop, and the requests of one turn of the loop are joined."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from time import perf_counter
from typing import Any, Optional

from deployer_scoring.errors import ModelFailure
from deployer_scoring.loaders.loading import one_line
from deployer_scoring.scorer import Ask, Scorer
from deployer_scoring.server.handling import AnswerFuture
from deployer_scoring.server.predict.durations import Durations
from deployer_scoring.server.predict.waiting import Waiting, taken

_SHORT = 0.004  # seconds that a predict may hold up the event loop


class InLoop:
    """A queue whose requests are answered in the loop's next turn, with all others that came in this one."""

    def __init__(self, scorer: Scorer, durations: Durations, *, joins: bool, recorder: Optional[Any], most_seconds: float = 0.0) -> None:
        """Make it.

        Args:
            scorer: The model.
            durations: What is known of how long it takes.
            joins: Whether requests may be joined.
            recorder: Told of each predict (metrics.Recorder).
            most_seconds: That the loop may be held up, or SIGALRM ends the process: nothing else gets out of a library that hangs. 0: no bound.
        """
        self._scorer, self._durations, self._joins, self._recorder = scorer, durations, joins, recorder
        self._most_seconds = most_seconds
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self.queue: deque[Waiting] = deque()

    def takes(self, size: int) -> bool:
        """Whether a request of so many bytes is known to be short."""
        expected = self._durations.expected(size)
        return expected is not None and expected <= _SHORT

    def put(self, ask: Ask) -> AnswerFuture:
        """Queue a request."""
        answer = AnswerFuture(loop=self._loop)
        self.queue.append(Waiting(ask, answer, 0.0))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._work)
        return answer

    def _work(self) -> None:
        if self._most_seconds:
            signal.setitimer(signal.ITIMER_REAL, self._most_seconds)
        self._answer_some()
        if self._most_seconds:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _answer_some(self) -> None:
        until = perf_counter() + _SHORT
        while self.queue:
            batch = taken(self.queue, joins=self._joins)
            if batch:
                self._answer(batch)
            if perf_counter() > until and self.queue:
                self._loop.call_soon(self._work)  # others want the loop, too
                return
        self._scheduled = False

    def _answer(self, batch: list[Waiting]) -> None:
        asks = [waiting.ask for waiting in batch]
        try:
            answers = self._scorer.answers(asks)
        except BaseException as error:
            for waiting in batch:
                waiting.answer.settle(ModelFailure(one_line(error)))
            return
        self._durations.learn(sum(len(ask.body) for ask in asks), answers.seconds)
        for waiting, outcome in zip(batch, answers.outcomes):
            waiting.answer.settle(outcome)
        if self._recorder is not None:
            for each in answers.predicted:
                self._recorder.batch(each.requests, each.rows, each.seconds)
