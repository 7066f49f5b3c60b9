"""Predicts in the model's own process, which may hang, die or be killed without harm to any request but the one that did it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Callable, Optional

from deployer_scoring.errors import LoadError, ModelFailure, ScoringError
from deployer_scoring.scorer import Ask, BatchAnswers
from deployer_scoring.server.handling import AnswerFuture
from deployer_scoring.server.predict import ipc
from deployer_scoring.server.predict.channel import Channel, Main
from deployer_scoring.server.predict.durations import Durations
from deployer_scoring.server.predict.waiting import PredictTimeout, Waiting, taken

_log = logging.getLogger(__name__)
_END = object()
_MOST_FALSE_STARTS = 5


@dataclass
class _Job:
    """What the process has been asked to do."""

    message: tuple[Any, ...]
    """Kind and content, without the job's number."""
    waiting: list[Waiting] = field(default_factory=list)
    """For ANSWERS and RUN: who wants to know."""
    pieces: Optional[asyncio.Queue[Any]] = None
    """For ITERATE: what has come so far."""
    since: float = 0.0
    late: bool = False
    """Its time was up, and the process is being killed for it."""


class InProcess:
    """A queue, and the process that works it off. Belongs to the event loop."""

    def __init__(
        self,
        main: Main,
        durations: Durations,
        *,
        threads: int,
        seconds: float,
        recorder: Optional[Any] = None,
        ready: Callable[[bool, bool], None] = lambda streams, joins: None,
        down: Callable[[], None] = lambda: None,
        unfit: Callable[[ScoringError], None] = lambda error: None,
    ) -> None:
        """Start the process.

        Args:
            main: What it runs (see model_process.py).
            durations: Learns how long requests take.
            threads: How many jobs it may have at once; where requests are joined, one of them is for all requests.
            seconds: How long a job may take; 0 for no limit.
            recorder: Told of each predict (metrics.Recorder).
            ready: Called whenever the process has its model: whether it streams, and whether requests may be joined.
            down: Called when it has ended by itself; it is started again already.
            unfit: Called when the model can't be loaded.
        """
        self._main, self._durations, self._threads, self._seconds, self._recorder = main, durations, threads, seconds, recorder
        self._on_ready, self._on_down, self._on_unfit = ready, down, unfit
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._jobs: dict[int, _Job] = {}
        self._calls: deque[_Job] = deque()
        self._suspects: deque[_Job] = deque()
        """Jobs that were under way when the process died: done again one at a time, so that the one at fault is found out."""
        self._joins = False
        self._false_starts = 0
        self._stopped = False
        self.queue: deque[Waiting] = deque()
        self.loaded = False
        self._channel = self._started()

    @property
    def pending(self) -> int:
        """How many requests wait or are being answered."""
        jobs = itertools.chain(self._jobs.values(), self._calls, self._suspects)
        return len(self.queue) + sum(max(1, len(job.waiting)) for job in jobs)

    def put(self, ask: Ask) -> AnswerFuture:
        """Queue a request."""
        answer = AnswerFuture(loop=self._loop)
        self.queue.append(Waiting(ask, answer, perf_counter()))
        self._pump()
        return answer

    def call(self, function: Callable[..., Any], *arguments: Any) -> AnswerFuture:
        """Have function(scorer, *arguments) called; what it returns is the answer. All of them must be picklable."""
        answer = AnswerFuture(loop=self._loop)
        self._calls.append(_Job((ipc.RUN, function, arguments), [Waiting(Ask(b"", ""), answer, perf_counter())]))
        self._pump()
        return answer

    async def iterate(self, function: Callable[..., Iterable[Any]], *arguments: Any) -> AsyncGenerator[Any, None]:
        """The items of function(scorer, *arguments) as they come; the process waits while nobody takes them.

        Raises:
            Exception: What the function raises, at any item; ModelFailure where the process ends, PredictTimeout where an item takes too long.
        """
        job = _Job((ipc.ITERATE, function, arguments), pieces=asyncio.Queue())
        self._calls.append(job)
        self._pump()
        pieces: asyncio.Queue[Any] = job.pieces  # type: ignore[assignment]
        try:
            while (piece := await pieces.get()) is not _END:
                if isinstance(piece, Exception):
                    raise piece
                self._tell(ipc.TAKEN, job)
                yield piece
        finally:
            self._tell(ipc.LEAVE, job)
            if job in self._calls:
                self._calls.remove(job)

    def sweep(self) -> None:
        """See to what is overdue. To be called every second or so."""
        self._channel.reap()
        if not self._seconds:
            return
        oldest = perf_counter() - self._seconds
        message = f"the request waited longer than {self._seconds:g} s for the model (DEPLOYER_REQUEST_TIMEOUT_SECONDS)"
        for waiting in self.queue:
            if waiting.since < oldest:
                waiting.answer.settle(PredictTimeout(message))
        late = [job for job in self._jobs.values() if job.since < oldest]
        for job in late:
            job.late = True
        if late:
            _log.error("a predict has taken longer than %g s: the model's process is replaced", self._seconds)
            self._channel.kill()

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._stopped = True
        self._channel.kill()

    # The process's life

    def _started(self) -> Channel:
        return Channel(self._main, heard=self._heard, ended=self._ended)

    def _ended(self, how: str) -> None:
        self.loaded = False
        if self._stopped:
            return
        self._false_starts += not self._jobs
        if self._false_starts >= _MOST_FALSE_STARTS:
            times = f"{_MOST_FALSE_STARTS} times before it had answered anything"
            self._on_unfit(LoadError(f"the model's process ended {times}, at last with {how}"))
            return
        jobs, self._jobs = list(self._jobs.values()), {}
        killed = any(job.late for job in jobs)
        if not killed:
            _log.error("the model's process ended by itself (%s) and is started again", how)
        self._channel = self._started()
        alone = len(jobs) == 1 and len(jobs[0].waiting) <= 1
        for job in reversed(jobs):
            if job.late:
                self._fail(job, PredictTimeout(f"the model took longer than {self._seconds:g} s (DEPLOYER_REQUEST_TIMEOUT_SECONDS)"))
            elif job.pieces is not None or (alone and not killed):
                self._fail(job, ModelFailure(f"the model's process ended while it predicted ({how})"))
            elif killed:
                self._again(job)
            else:
                self._suspect(job)
        self._on_down()

    def _again(self, job: _Job) -> None:
        if job.message[0] == ipc.ANSWERS:
            self.queue.extendleft(reversed(job.waiting))
        else:
            self._calls.appendleft(job)

    def _suspect(self, job: _Job) -> None:
        if job.message[0] == ipc.ANSWERS:
            self._suspects.extend(_Job((ipc.ANSWERS, [waiting.ask]), [waiting]) for waiting in job.waiting)
        else:
            self._suspects.append(job)

    @staticmethod
    def _fail(job: _Job, error: Exception) -> None:
        for waiting in job.waiting:
            waiting.answer.settle(error)
        if job.pieces is not None:
            job.pieces.put_nowait(error)

    # Jobs

    def _pump(self) -> None:
        """Give the process what it can take."""
        if not self.loaded:
            return
        if self._suspects:
            if not self._jobs:
                self._begin(self._suspects.popleft())
            return
        while len(self._jobs) < self._threads and (self._calls or (self.queue and not self._joining)):
            if self._calls:
                self._begin(self._calls.popleft())
                continue
            batch = taken(self.queue, joins=self._joins)
            if batch:
                self._begin(_Job((ipc.ANSWERS, [waiting.ask for waiting in batch]), batch))

    @property
    def _joining(self) -> bool:
        """Whether requests that come now are to wait for those that are being answered, and then be joined."""
        return self._joins and any(job.message[0] == ipc.ANSWERS for job in self._jobs.values())

    def _begin(self, job: _Job) -> None:
        job.since = perf_counter()
        number = next(self._numbers)
        self._jobs[number] = job
        kind, *content = job.message
        self._channel.say((kind, number, *content))

    def _tell(self, kind: str, job: _Job) -> None:
        number = next((number for number, each in self._jobs.items() if each is job), None)
        if number is not None:
            job.since = perf_counter()
            self._channel.say((kind, number))

    def _heard(self, message: tuple[Any, ...]) -> None:
        kind, number, *content = message
        if kind == ipc.READY:
            streams, self._joins = content
            self.loaded = True
            self._on_ready(streams, self._joins)
        elif kind == ipc.UNFIT:
            self._stopped = True
            self._on_unfit(content[0])
        elif kind == ipc.PIECE:
            job = self._jobs.get(number)
            if job is not None and job.pieces is not None:
                job.since = perf_counter()
                job.pieces.put_nowait(content[0])
        else:
            self._false_starts = 0
            job = self._jobs.pop(number, None)
            if job is not None:
                self._finish(job, kind, content)
        self._pump()

    def _finish(self, job: _Job, kind: str, content: list[Any]) -> None:
        if job.pieces is not None:
            job.pieces.put_nowait(_END if kind == ipc.END else content[0])
        elif kind == ipc.DONE and isinstance(content[0], BatchAnswers):
            self._learn(job, content[0])
            for waiting, outcome in zip(job.waiting, content[0].outcomes):
                waiting.answer.settle(outcome)
        elif kind == ipc.FAILED and len(job.waiting) > 1:
            self._suspect(job)
        else:
            job.waiting[0].answer.settle(content[0])

    def _learn(self, job: _Job, answers: BatchAnswers) -> None:
        self._durations.learn(sum(len(waiting.ask.body) for waiting in job.waiting), answers.seconds)
        if self._recorder is not None:
            for each in answers.predicted:
                self._recorder.batch(each.requests, each.rows, each.seconds)
