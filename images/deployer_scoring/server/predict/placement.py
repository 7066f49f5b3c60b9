"""Puts models into their places in one worker: known libraries into the event loop, all others into a process of their own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Optional

from deployer_scoring.errors import ScoringError
from deployer_scoring.loaders.loading import Loaded, load
from deployer_scoring.loaders.threads import allow_threads
from deployer_scoring.model.mlmodel import MLModel, parse_mlmodel
from deployer_scoring.scorer import Scorer
from deployer_scoring.server.predict.dispatch import Dispatcher
from deployer_scoring.server.predict.durations import Durations
from deployer_scoring.server.predict.in_loop import InLoop
from deployer_scoring.server.predict.in_process import InProcess
from deployer_scoring.server.predict.model_process import ModelProcess
from deployer_scoring.server.settings import ServerSettings
from deployer_scoring.server.system.resources import Resources

Ready = Callable[[Dispatcher], None]


class Placement:
    """Makes the dispatchers of one worker. Belongs to its event loop."""

    def __init__(
        self, settings: ServerSettings, resources: Resources, library_threads: int, *, recorder: Optional[Any], let_go: Callable[[], None]
    ) -> None:
        """Make it.

        Args:
            settings: How to serve.
            resources: What the container has.
            library_threads: How many threads BLAS and OpenMP may use.
            recorder: Told what is counted (metrics.Recorder).
            let_go: Called in a forked process, to close what is the worker's alone.
        """
        self._settings, self._recorder, self._let_go = settings, recorder, let_go
        self._library_threads = library_threads
        self._threads = settings.threads or resources.predict_threads

    def shared(self, model: MLModel, loaded: Loaded, durations: Durations, *, unfit: Callable[[ScoringError], None]) -> Dispatcher:
        """A model that this process has loaded already.

        Args:
            model: Its description.
            loaded: The model.
            durations: What is known of how long it takes.
            unfit: Called when its own process can't live.
        """
        scorer = Scorer(model, loaded, most_rows=self._settings.max_batch_rows)
        joined = _joins(self._settings, model.metadata, loaded)
        most_seconds = self._settings.request_timeout_seconds
        in_loop = InLoop(scorer, durations, joins=joined, recorder=self._recorder, most_seconds=most_seconds) if loaded.prompt else None
        return self._dispatcher(model, scorer.streams, in_loop, lambda: self._own_process(model, loaded, durations, unfit=unfit))

    def apart(self, model: MLModel, *, ready: Ready, down: Callable[[], None], unfit: Callable[[ScoringError], None]) -> InProcess:
        """A model that its own process loads.

        Args:
            model: Its description.
            ready: Called with its dispatcher whenever it is loaded.
            down: Called when its process has ended by itself; it is started again already.
            unfit: Called when it can't be loaded.
        """
        held: list[Dispatcher] = []

        def is_ready(streams: bool, _: bool) -> None:
            if not held:
                held.append(self._dispatcher(model, streams, None, lambda: in_process))
            ready(held[0])

        in_process = self._own_process(model, None, Durations(), ready=is_ready, down=down, unfit=unfit)
        return in_process

    async def loaded(self, directory: Path) -> Dispatcher:
        """A further model, loaded now, by a process of its own. Its `stop` ends it.

        Raises:
            MLModelError: The MLmodel is not valid.
            LoadError: The model can't be loaded.
        """
        future: asyncio.Future[Dispatcher] = asyncio.get_running_loop().create_future()

        def ready(dispatcher: Dispatcher) -> None:
            if not future.done():
                future.set_result(dispatcher)

        def unfit(error: ScoringError) -> None:
            if not future.done():
                future.set_exception(error)

        in_process = self.apart(parse_mlmodel(directory), ready=ready, down=lambda: None, unfit=unfit)
        try:
            return await future
        except asyncio.CancelledError:
            in_process.stop()
            raise

    def _dispatcher(self, model: MLModel, streams: bool, in_loop: Optional[InLoop], in_process: Callable[[], InProcess]) -> Dispatcher:
        return Dispatcher(model, streams=streams, limit=self._settings.max_queue, in_loop=in_loop, in_process=in_process, recorder=self._recorder)

    def _own_process(
        self,
        model: MLModel,
        loaded: Optional[Loaded],
        durations: Durations,
        *,
        unfit: Callable[[ScoringError], None],
        ready: Callable[[bool, bool], None] = lambda streams, joined: None,
        down: Callable[[], None] = lambda: None,
    ) -> InProcess:
        return InProcess(
            lambda connection: self._work(connection, model, loaded),
            durations,
            threads=self._threads,
            seconds=self._settings.request_timeout_seconds,
            recorder=self._recorder,
            ready=ready,
            down=down,
            unfit=unfit,
        )

    def _work(self, connection: socket.socket, model: MLModel, loaded: Optional[Loaded]) -> None:
        """What the model's process does; never returns."""
        self._let_go()
        held = [] if loaded is None else [loaded]

        def scorer() -> Scorer:
            if not held:
                if self._library_threads > 1:
                    allow_threads(self._library_threads)
                held.append(load(model))
            return Scorer(model, held[0], most_rows=self._settings.max_batch_rows)

        process = ModelProcess(connection, scorer, threads=self._threads, library_threads=self._library_threads)
        process.run(joins=lambda found: _joins(self._settings, model.metadata, found))


def _joins(settings: ServerSettings, metadata: Mapping[str, Any], loaded: Loaded) -> bool:
    """Whether requests may be joined: as the settings say, else the model's metadata (`batching`), else what is known of its kind."""
    if settings.batching != "auto":
        return settings.batching == "on"
    said = metadata.get("batching")
    return said if isinstance(said, bool) else loaded.row_wise
