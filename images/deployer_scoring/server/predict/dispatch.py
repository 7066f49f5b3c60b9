"""What the service asks of the model: answers, calls and streams, from whichever place predicts; the queue's bound is kept here.

Requests that wait are joined into one predict where the model allows it; none waits for others to come. Short predicts of known libraries
run in the event loop itself (in_loop.py), all others in the model's own process (in_process.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Callable, Optional

from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.scorer import INVOCATIONS, Ask, Scorer
from deployer_scoring.server.predict.in_loop import InLoop
from deployer_scoring.server.predict.in_process import InProcess
from deployer_scoring.server.predict.waiting import Busy


class Dispatcher:
    """The model, as the service sees it. Belongs to the event loop."""

    def __init__(
        self,
        model: MLModel,
        *,
        streams: bool,
        limit: int,
        in_loop: Optional[InLoop],
        in_process: Callable[[], InProcess],
        recorder: Optional[Any] = None,
    ) -> None:
        """Make it.

        Args:
            model: What is served.
            streams: Whether it can answer piece by piece.
            limit: How many requests may wait or be answered at once.
            in_loop: Predicts in the loop; None for a model that must not.
            in_process: Gives the model's own process, started when first asked for.
            recorder: Told how many requests wait (metrics.Recorder).
        """
        self.model, self.streams = model, streams
        self._limit, self._in_loop, self._start, self._recorder = limit, in_loop, in_process, recorder
        self._in_process: Optional[InProcess] = None if in_loop is not None else in_process()

    @property
    def pending(self) -> int:
        """How many requests wait or are being answered."""
        return (0 if self._in_loop is None else len(self._in_loop.queue)) + (0 if self._in_process is None else self._in_process.pending)

    @property
    def full(self) -> bool:
        """Whether a request would be turned away now."""
        return self.pending >= self._limit

    def answer(self, body: bytes, content_type: str, codec: str = INVOCATIONS) -> asyncio.Future[bytes]:
        """The answer to a request, to be awaited.

        Args:
            body: As it came, not compressed.
            content_type: What the codec reads beside the body.
            codec: `invocations`, or one of the Open Inference Protocol's (see Scorer).

        Raises:
            Busy: Too many are waiting.
            PredictTimeout: The model took too long.
            InvalidInput, ModelFailure, EncodingError: As Scorer.answer.
        """
        in_loop = self._in_loop
        place = in_loop if in_loop is not None and in_loop.takes(len(body)) else self._elsewhere()
        waiting = self.pending
        if waiting >= self._limit:
            raise Busy(f"{waiting} requests are waiting for the model already")
        if self._recorder is not None:
            self._recorder.queue(waiting + 1)
        return place.put(Ask(body, content_type, codec))

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """What function(scorer, *arguments) returns in the model's own process, to be awaited; all of them must be picklable.

        Raises:
            As `answer`, and whatever the function raises.
        """
        self._bound()
        return self._elsewhere().call(function, *arguments)

    def iterate(self, function: Callable[..., Iterable[Any]], *arguments: Any) -> AsyncGenerator[Any, None]:
        """The items of function(scorer, *arguments), each as soon as it is there; the model waits while nobody takes them.

        Raises:
            As `run`, at any item.
        """
        self._bound()
        return self._elsewhere().iterate(function, *arguments)

    def stream(self, body: bytes, content_type: str) -> AsyncGenerator[bytes, None]:
        """The pieces of the answer of a model that streams: see Scorer.answer_in_pieces."""
        return self.iterate(Scorer.answer_in_pieces, body, content_type)

    def sweep(self) -> None:
        """See to what is overdue. To be called every second or so."""
        if self._in_process is not None:
            self._in_process.sweep()
        if self._recorder is not None:
            self._recorder.queue(self.pending)

    def stop(self) -> None:
        """End the model's process, whatever it does."""
        if self._in_process is not None:
            self._in_process.stop()

    def _elsewhere(self) -> InProcess:
        if self._in_process is None:
            self._in_process = self._start()
        return self._in_process

    def _bound(self) -> None:
        if self.full:
            raise Busy(f"{self.pending} requests are waiting for the model already")
