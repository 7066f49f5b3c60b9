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
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from deployer_scoring.errors import MLModelError, ScoringError
from deployer_scoring.loaders.threads import allow_threads
from deployer_scoring.server.http.allowed_hosts import AllowedHosts
from deployer_scoring.server.http.connection import Connection
from deployer_scoring.server.http.early import Unanswered
from deployer_scoring.server.http.site import ClientLimits, Site
from deployer_scoring.server.predict.dispatch import Dispatcher
from deployer_scoring.server.predict.in_process import InProcess
from deployer_scoring.server.predict.placement import Placement
from deployer_scoring.server.processes.closing import SETTLE_SECONDS, take_no_more
from deployer_scoring.server.processes.handover import WorkerHandover
from deployer_scoring.server.processes.preparing import Prepared
from deployer_scoring.server.protocols.catalog import Catalog
from deployer_scoring.server.protocols.multi_model import MultiModel
from deployer_scoring.server.protocols.service import Service
from deployer_scoring.server.settings import ServerSettings
from deployer_scoring.server.telemetry.access_log import AccessLog
from deployer_scoring.server.telemetry.lines import LineBuffer
from deployer_scoring.server.telemetry.metrics import Metrics
from deployer_scoring.server.telemetry.tracing import exporter

if TYPE_CHECKING:
    from deployer_scoring.server.rpc.front import Front

_log = logging.getLogger(__name__)
UNFIT = 3
"""The exit code of a worker whose model can't be loaded; it has said why."""
_SWEEP_SECONDS = 0.5


class Post(NamedTuple):
    """What a worker is given."""

    settings: ServerSettings
    listener: socket.socket
    prepared: Prepared
    metrics: Metrics
    slot: int
    """Its number, from 0."""
    unanswered: list[Unanswered]
    """Connections that were taken before there was a worker."""


def work(post: Post) -> None:
    """Serve until SIGTERM, and then as long as what was begun takes. Ends the process."""
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
    from deployer_scoring.masking import masked
    from deployer_scoring.printable import one_line

    if error.__cause__ is not None and not isinstance(error, MLModelError):  # whose cause is in its words, and its stack ours
        traceback.print_exception(type(error.__cause__), error.__cause__, error.__cause__.__traceback__)
    message = str(error) if isinstance(error, ScoringError) else f"{type(error).__name__}: {error}"
    sys.stderr.write(f"the model could not be loaded: {one_line(masked(' '.join(message.split())))}\n")


class _Worker:
    """One run of a worker."""

    def __init__(self, post: Post) -> None:
        self._post, self._settings, self._prepared = post, post.settings, post.prepared
        self._recorder = post.metrics.recorder(post.slot)
        self._parent = os.getppid()
        self._apart: Optional[InProcess] = None
        self._front: Optional[Front] = None
        self.code = 0

    async def serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = self._loop.create_future()
        self._exporter = exporter(os.environ)  # its sender is a thread, which a fork would lose
        found = self._prepared
        self._placement = Placement(self._settings, found.resources, found.library_threads, recorder=self._recorder, let_go=self._let_go)
        self._catalog = Catalog(self._settings)
        multi_model = MultiModel(self._catalog, self._placement.loaded) if self._catalog.several else None
        self._service = Service(self._catalog, metrics=self._post.metrics, exporter=self._exporter, multi_model=multi_model)
        self._lines = LineBuffer()
        self._site = self._new_site()
        self._handover = WorkerHandover(self._settings.handover, self._site, self._allowed) if self._settings.handover else None
        self._loop.add_signal_handler(signal.SIGTERM, self._stop)
        if self._prepared.library_threads > 1:
            allow_threads(self._prepared.library_threads)
        self._host()
        server = await self._loop.create_server(lambda: Connection(self._site), sock=self._post.listener, backlog=1024)
        await self._adopt()
        if self._settings.grpc_port:
            self._front = self._new_front()
            await self._front.start()
        if self._handover is not None:
            self._handover.start()
        self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        await self._stopped
        take_no_more(self._post.listener)
        await asyncio.sleep(SETTLE_SECONDS)
        server.close()
        if self._handover is not None:
            self._handover.close()
        await self._finish()

    def _new_site(self) -> Site:
        settings, memory = self._settings, self._prepared.resources.memory
        most = settings.max_request_bytes
        limits = ClientLimits(
            request_bytes=most,
            held_bytes=max(4 * most, 256 * 1024 * 1024 if memory is None else memory // 8 // self._prepared.workers),
            read_seconds=settings.read_timeout_seconds,
        )
        access_log = AccessLog(self._recorder, self._settings.log_format, self._lines.write)
        allowed = self._allowed(self._post.listener.getsockname()[0], settings.host)
        return Site(
            self._loop,
            self._service.handle,
            limits,
            finished=access_log.finished,
            in_flight=self._recorder.in_flight,
            allowed=allowed,
            keys=settings.api_keys,
        )

    def _new_front(self) -> Front:
        from deployer_scoring.server.rpc.front import Front

        return Front(self._settings, self._catalog, self._site)

    def _allowed(self, address: str, host: str) -> Optional[AllowedHosts]:
        return AllowedHosts.of(self._settings.allowed_hosts, address, host)

    # The model

    def _host(self) -> None:
        found, placement = self._prepared, self._placement
        if found.model is None:  # a multi-model endpoint: what it serves, it is told later
            return
        if found.loaded is not None:
            self._catalog.model = placement.shared(found.model, found.loaded, found.durations, unfit=self._unfit)
        else:
            self._catalog.loading = "the model is being loaded in its own process"
            self._apart = placement.apart(found.model, ready=self._ready, down=self._down, unfit=self._unfit)

    def _ready(self, dispatcher: Dispatcher) -> None:
        self._catalog.model = dispatcher

    def _down(self) -> None:
        self._catalog.model = None
        self._catalog.loading = "the model's process has ended, and the model is being loaded again"

    def _let_go(self) -> None:
        """In a process that was forked from here: what is this one's alone."""
        self._post.listener.close()
        if self._handover is not None:
            self._handover.let_go()
        if self._front is not None:
            self._front.let_go()
        for connection in self._site.connections:
            connection.abandon()

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
        for dispatcher in self._catalog.dispatchers:
            dispatcher.sweep()
        if self._apart is not None:
            self._apart.sweep()
        self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _stop(self) -> None:
        if self._site.closing or not self._catalog.dispatchers:
            self._end()
            return
        self._catalog.draining = self._site.closing = True
        self._loop.call_later(self._settings.drain_seconds, self._end)

    def _end(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)

    async def _finish(self) -> None:
        """What was begun is finished, with a limit."""
        self._site.closing = True
        seconds = self._settings.finish_seconds if self.code == 0 else 1
        until = self._loop.time() + seconds
        stopping = None if self._front is None else self._loop.create_task(self._front.stop(seconds))
        while self._loop.time() < until:
            self._site.close_idle()
            if not self._site.connections:
                break
            await asyncio.sleep(0.01)
        if stopping is not None:
            await stopping
        for dispatcher in self._catalog.dispatchers:
            dispatcher.stop()
        if self._apart is not None:
            self._apart.stop()
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
