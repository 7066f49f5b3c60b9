"""The server's life: bind, answer 503 while the model loads, serve, drain, exit.

uvicorn speaks HTTP; signals and exit codes are ours. The socket is bound before anything heavy is imported, so that a platform sees a
server that is starting, not one that isn't there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from deployer_scoring.errors import LoadError, ScoringError
from deployer_scoring.server.settings import Settings

if TYPE_CHECKING:
    import uvicorn

    from deployer_scoring.scorer import Scorer
    from deployer_scoring.server.service import Service
    from deployer_scoring.server.web import Application
    from deployer_scoring.server.worker import Worker

_log = logging.getLogger(__name__)
_FINISH_SECONDS = 24  # for what runs already; with the drain before it, under the 30 s that platforms give


def serve(settings: Settings) -> int:
    """Serve until a signal comes, or until the model can't be loaded; what went wrong is the last line on stderr.

    Returns:
        The exit code: 0 after a signal, 1 where the port can't be had or the model can't be loaded.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("deployer_scoring").setLevel(logging.INFO)
    try:
        listener = bind(settings.host, settings.port)
    except OSError as error:
        sys.stderr.write(f"the port {settings.port} on {settings.host} can't be had: {error.strerror or error}\n")
        return 1
    with listener:
        return _Server(settings, listener).run()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens already: what connects before the server runs waits instead of being refused.

    Raises:
        OSError: The port is taken, or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. Without, each answer waits 40 ms: its body for the acknowledgement of its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


class _Server:
    """One run of the server: the loop, the worker and what they share."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings, self._listener = settings, listener
        self._failed: Optional[BaseException] = None
        self._stopping = False
        self._busy = False

    def run(self) -> int:
        asyncio.run(self._serve())
        if self._failed is not None:
            _say_why(self._failed)
        sys.stdout.flush()
        sys.stderr.flush()
        if self._busy:
            os._exit(0)  # a predict that hangs would hold up the interpreter's end
        return 0 if self._failed is None else 1

    async def _serve(self) -> None:
        # Only now: the socket listens already.
        from deployer_scoring.server.service import Service
        from deployer_scoring.server.web import Application
        from deployer_scoring.server.worker import Worker

        worker = Worker(self._settings.max_queue)
        service = Service(worker, max_request_bytes=self._settings.max_request_bytes)
        application = Application(service.handle, max_request_bytes=self._settings.max_request_bytes)
        server = _uvicorn(application)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number, service, application, server)
        port = self._listener.getsockname()[1]
        _log.info("listening on %s port %d", self._settings.host, port)
        loading = loop.create_task(self._load(service, worker, server))
        await server.serve(sockets=[self._listener])
        loading.cancel()
        self._busy = worker.pending > 0

    async def _load(self, service: Service, worker: Worker, server: uvicorn.Server) -> None:
        def tell(doing: str) -> None:
            service.loading = doing
            _log.info("%s", doing)

        try:
            service.scorer = await worker.run(lambda: _loaded(self._settings, tell))
        except Exception as error:
            self._failed, server.should_exit = error, True
        else:
            _log.info("ready: %s", _described(service.scorer))

    def _stop(self, number: int, service: Service, application: Application, server: uvicorn.Server) -> None:
        if self._stopping or number == signal.SIGINT or service.scorer is None:
            server.should_exit = True
            return
        self._stopping = service.draining = application.closing = True
        _log.info("stopping: new requests are taken for %.1f s more, and those that run are finished", self._settings.drain_seconds)
        asyncio.get_running_loop().call_later(self._settings.drain_seconds, setattr, server, "should_exit", True)


def _uvicorn(application: Application) -> uvicorn.Server:
    import uvicorn

    class Quiet(uvicorn.Server):
        """uvicorn without its own signal handling, which would end the process by the signal instead of an exit code."""

        def install_signal_handlers(self) -> None:  # before uvicorn 0.29
            pass

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Quiet(
        uvicorn.Config(
            application,  # type: ignore[arg-type,unused-ignore]
            access_log=False,
            log_config=None,
            log_level="warning",
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_keep_alive=75,  # over the 60 s of the platforms' balancers, so that it's never us who close under them
            timeout_graceful_shutdown=_FINISH_SECONDS,
        )
    )


def _loaded(settings: Settings, tell: Callable[[str], None]) -> Scorer:
    """Everything that must happen before the first prediction, in the thread of the model."""
    from deployer_scoring.model.locate import find_model

    directory: Path = find_model(os.environ)
    if settings.install_at_start:
        from deployer_scoring.model.environment import install_requirements

        tell(f"installing the packages of the model in {directory}")
        install_requirements(directory)
    tell(f"loading the model from {directory}")
    try:
        from deployer_scoring.scorer import Scorer
    except ImportError as error:
        raise LoadError(f"{type(error).__name__}: {error}") from error
    return Scorer.load(directory)


def _described(scorer: Optional[Scorer]) -> str:
    model = scorer.model if scorer else None
    return "" if model is None else f"{model.framework}, loaded by {model.pyfunc.loader_module}"


def _say_why(error: BaseException) -> None:
    """The stack of the model's own error, then one line that says it all: platforms show the last lines of a log."""
    if error.__cause__ is not None:
        traceback.print_exception(type(error.__cause__), error.__cause__, error.__cause__.__traceback__)
    message = str(error) if isinstance(error, ScoringError) else f"{type(error).__name__}: {error}"
    sys.stderr.write(f"the model could not be loaded: {' '.join(message.split())}\n")
