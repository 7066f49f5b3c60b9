"""One worker: a process with an event loop that takes connections, and answers them until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import traceback
from typing import Any, NamedTuple, Optional

from deployer_scoring.errors import ScoringError
from deployer_scoring.loaders.loading import Loaded
from deployer_scoring.loaders.threads import allow_threads
from deployer_scoring.scorer import Scorer
from deployer_scoring.server.connection import Connection
from deployer_scoring.server.dispatch import Dispatcher
from deployer_scoring.server.durations import Durations
from deployer_scoring.server.early import Unanswered
from deployer_scoring.server.inline import Inline
from deployer_scoring.server.isolated import Isolated
from deployer_scoring.server.journal import Journal
from deployer_scoring.server.lines import Lines
from deployer_scoring.server.metrics import Metrics
from deployer_scoring.server.model_process import ModelProcess
from deployer_scoring.server.preparing import Prepared, joins
from deployer_scoring.server.service import Service
from deployer_scoring.server.settings import Settings
from deployer_scoring.server.site import Limits, Site
from deployer_scoring.server.tracing import exporter

_log = logging.getLogger(__name__)
UNFIT = 3
"""The exit code of a worker whose model can't be loaded; it has said why."""
_FINISH_SECONDS = 24  # for what runs already; with the drain before it, under the 30 s that platforms give
_SWEEP_SECONDS = 0.5


class Post(NamedTuple):
    """What a worker is given."""

    settings: Settings
    listener: socket.socket
    prepared: Prepared
    metrics: Metrics
    slot: int
    """Its number, from 0."""
    unanswered: list[Unanswered]
    """Connections that were taken before there was a worker."""


def work(post: Post) -> None:
    """Serve until SIGTERM or SIGINT, and then as long as what was begun takes. Ends the process."""
    gc.set_threshold(20_000, 50, 100)
    worker = _Worker(post)
    loop = _new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(worker.serve())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(worker.code)  # nothing of the model's is to be torn down in a fork of the process that made it


def say_why(error: BaseException) -> None:
    """The stack of the model's own error, then one line that says it all: platforms show the last lines of a log."""
    if error.__cause__ is not None:
        traceback.print_exception(type(error.__cause__), error.__cause__, error.__cause__.__traceback__)
    message = str(error) if isinstance(error, ScoringError) else f"{type(error).__name__}: {error}"
    sys.stderr.write(f"the model could not be loaded: {' '.join(message.split())}\n")


class _Worker:
    """One run of a worker."""

    def __init__(self, post: Post) -> None:
        self._post, self._settings, self._prepared = post, post.settings, post.prepared
        self._recorder = post.metrics.recorder(post.slot)
        self._parent = os.getppid()
        self._dispatcher: Optional[Dispatcher] = None
        self._isolated: Optional[Isolated] = None
        self.code = 0

    async def serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = self._loop.create_future()
        self._exporter = exporter(os.environ)  # its sender is a thread, which a fork would lose
        self._service = Service(self._settings, metrics=self._post.metrics, exporter=self._exporter)
        self._lines = Lines()
        self._site = self._new_site()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop, number)
        allow_threads(self._prepared.library_threads)
        self._host()
        server = await self._loop.create_server(lambda: Connection(self._site), sock=self._post.listener, backlog=1024)
        await self._adopt()
        self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        await self._stopped
        server.close()
        await self._finish()

    def _new_site(self) -> Site:
        settings, memory = self._settings, self._prepared.resources.memory
        most = settings.max_request_bytes
        limits = Limits(
            request_bytes=most,
            held_bytes=max(4 * most, 256 * 1024 * 1024 if memory is None else memory // 8 // self._prepared.workers),
            read_seconds=settings.read_timeout_seconds,
        )
        journal = Journal(self._recorder, self._settings.log_format, self._lines.write)
        return Site(self._loop, self._service.handle, limits, finished=journal.finished, in_flight=self._recorder.in_flight)

    # The model

    def _host(self) -> None:
        loaded, durations = self._prepared.loaded, self._prepared.durations
        if loaded is None:
            self._service.loading = "the model is being loaded in its own process"
            self._isolated = self._started(durations)
            return
        joined = joins(self._settings, self._prepared.model.metadata, loaded)
        scorer = Scorer(self._prepared.model, loaded, most_rows=self._settings.max_batch_rows)
        inline = Inline(scorer, durations, joins=joined, recorder=self._recorder) if loaded.prompt else None
        if inline is None:
            self._isolated = self._started(durations)
        self._open(scorer.streams, inline)

    def _open(self, streams: bool, inline: Optional[Inline]) -> None:
        self._dispatcher = Dispatcher(
            self._prepared.model,
            streams=streams,
            limit=self._settings.max_queue,
            inline=inline,
            isolated=self._own_process,
            recorder=self._recorder,
        )
        self._service.dispatcher = self._dispatcher

    def _own_process(self) -> Isolated:
        if self._isolated is None:
            self._isolated = self._started(self._prepared.durations)
        return self._isolated

    def _started(self, durations: Durations) -> Isolated:
        settings, prepared = self._settings, self._prepared
        return Isolated(
            self._in_the_model_s_process,
            durations,
            threads=settings.threads or prepared.resources.predict_threads,
            seconds=settings.request_timeout_seconds,
            recorder=self._recorder,
            ready=self._model_is_ready,
            down=self._model_is_down,
            unfit=self._unfit,
        )

    def _in_the_model_s_process(self, connection: socket.socket) -> None:
        self._post.listener.close()
        for each in self._site.connections:
            each.abandon()
        settings, prepared = self._settings, self._prepared
        held: list[Loaded] = [] if prepared.loaded is None else [prepared.loaded]

        def scorer() -> Scorer:
            if not held:
                from deployer_scoring.loaders.loading import load

                allow_threads(prepared.library_threads)
                held.append(load(prepared.model))
            return Scorer(prepared.model, held[0], most_rows=settings.max_batch_rows)

        threads = settings.threads or prepared.resources.predict_threads
        process = ModelProcess(connection, scorer, threads=threads, library_threads=prepared.library_threads)
        process.run(joins=lambda loaded: joins(settings, prepared.model.metadata, loaded))

    def _model_is_ready(self, streams: bool, _: bool) -> None:
        if self._prepared.loaded is None and self._service.dispatcher is None:
            if self._dispatcher is None:
                self._open(streams, None)
            self._service.dispatcher = self._dispatcher

    def _model_is_down(self) -> None:
        if self._prepared.loaded is None:
            self._service.dispatcher = None
            self._service.loading = "the model's process has ended, and the model is being loaded again"

    def _unfit(self, error: ScoringError) -> None:
        say_why(error)
        self.code = UNFIT
        self._end()

    # The worker's life

    async def _adopt(self) -> None:
        for connection, received in self._post.unanswered:
            with contextlib.suppress(OSError):
                _, protocol = await self._loop.connect_accepted_socket(lambda: Connection(self._site), connection)
                if received:
                    protocol.data_received(received)

    def _sweep(self) -> None:
        if os.getppid() != self._parent:
            os._exit(1)  # where the kernel doesn't see to it (children.die_with_parent)
        self._site.sweep()
        if self._dispatcher is not None:
            self._dispatcher.sweep()
        elif self._isolated is not None:
            self._isolated.sweep()
        self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _stop(self, number: int) -> None:
        if self._site.closing or number == signal.SIGINT or self._service.dispatcher is None:
            self._end()
            return
        self._service.draining = self._site.closing = True
        self._loop.call_later(self._settings.drain_seconds, self._end)

    def _end(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)

    async def _finish(self) -> None:
        """What was begun is finished, with a limit."""
        self._site.closing = True
        until = self._loop.time() + (_FINISH_SECONDS if self.code == 0 else 1)
        while self._loop.time() < until:
            self._site.close_idle()
            if not self._site.connections:
                break
            await asyncio.sleep(0.01)
        if self._isolated is not None:
            self._isolated.stop()
        self._lines.flush()
        if self._exporter is not None:
            self._exporter.close()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: Any = uvloop.new_event_loop()
    return loop  # type: ignore[no-any-return]
