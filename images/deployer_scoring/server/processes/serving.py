"""The server's life: bind, answer 503 while the model loads, fork workers, watch over them, drain, exit.

The socket is bound, and answers, before anything heavy is imported, so that a platform sees a server that is starting, not one that isn't
there. Imports at the top of this module are paid for before that first answer.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn, Optional, Union

from deployer_scoring.server.http.early import Early, Unanswered, answer
from deployer_scoring.server.settings import ServerSettings

if TYPE_CHECKING:
    from deployer_scoring.server.processes.preparing import Prepared

# Set for the program that this one becomes when its model turns out not to survive a fork: the socket to go on with, and connections that came
# over it and have asked nothing yet.
_LISTENER, _CONNECTIONS = "_DEPLOYER_LISTENER", "_DEPLOYER_CONNECTIONS"
_TRIAL_SECONDS = 5


def serve(settings: ServerSettings) -> int:
    """Serve until a signal comes, or until the model can't be loaded; what went wrong is the last line on stderr.

    Returns:
        The exit code: 0 after a signal, 1 where the port can't be had or the model can't be loaded.
    """
    inherited, connections = os.environ.pop(_LISTENER, None), os.environ.pop(_CONNECTIONS, "")
    if settings.grpc_port and not all(map(importlib.util.find_spec, ("grpc", "google.protobuf"))):
        sys.stderr.write("gRPC was asked for (--grpc-port, DEPLOYER_GRPC_PORT), and the packages grpcio and protobuf are not here\n")
        return 1
    port = settings.grpc_port
    try:
        held = held_for_workers(settings.host, port) if port else contextlib.nullcontext()
        port = settings.port
        listener = bind(settings.host, port) if inherited is None else socket.socket(fileno=int(inherited))
    except OSError as error:
        sys.stderr.write(f"the port {port} on {settings.host} can't be had: {error.strerror or error}\n")
        return 1
    if settings.handover:
        os.set_inheritable(settings.handover, False)
    with listener, held:
        early = Early(listener, [socket.socket(fileno=int(each)) for each in connections.split()])
        return _Server(settings, listener, early, forks=inherited is None).run()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens already: what connects before the server runs waits instead of being refused.

    Raises:
        OSError: The port is taken, or not ours to take.
    """
    listener = _new_socket(host)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. Without, an answer in two parts waits 40 ms: its second part for the acknowledgement of its first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def held_for_workers(host: str, port: int) -> socket.socket:
    """A socket that takes no connections, but keeps a port for the workers, each of which listens on it by itself.

    Raises:
        OSError: The port is taken, or not ours to take.
    """
    with bind(host, port):  # alone: two servers of one user would share the port otherwise
        pass
    held = _new_socket(host)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((host, port))
    return held


def _new_socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


class _Stopped(BaseException):
    """A signal came while the model was loading."""


class _Server:
    """One run of the server, up to the workers."""

    def __init__(self, settings: ServerSettings, listener: socket.socket, early: Early, *, forks: bool) -> None:
        self._settings, self._listener, self._early, self._forks = settings, listener, early, forks

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stopped)
        try:
            self._start_logging()
            found = self._prepare()
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))  # kept for the supervisor from here on
            unanswered = self._early.stop()
        except _Stopped:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)  # the thread that loads can't be stopped otherwise
        if found is None:
            self._begin_again(unanswered)
        if isinstance(found, BaseException):
            return self._failed(found)
        return self._supervise(found, unanswered)

    def _start_logging(self) -> None:
        import logging

        from deployer_scoring.server.telemetry.access_log import formatter

        handler = logging.StreamHandler()
        handler.setFormatter(formatter(self._settings.log_format))
        logging.basicConfig(level=logging.WARNING, handlers=[handler])
        logging.getLogger("deployer_scoring").setLevel(logging.INFO)
        self._log = logging.getLogger(__name__)
        self._log.info("listening on %s port %d", self._settings.host, self._listener.getsockname()[1])
        if self._settings.grpc_port:
            self._log.info("gRPC is answered on port %d once the model is there", self._settings.grpc_port)

    def _prepare(self) -> Union[Prepared, BaseException, None]:
        """The model, or why it can't be loaded, or None where it doesn't survive a fork.

        It is loaded in a thread that is gone before workers are forked, and OpenMP's pool of threads with it.
        """
        from deployer_scoring.server.processes.preparing import DoesNotForkError, prepared

        found: list[Any] = []

        def prepare() -> None:
            try:
                found.append(prepared(self._settings, self._tell, forks=self._forks))
            except BaseException as error:
                found.append(error)

        thread = threading.Thread(target=prepare, name="model", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(3600)
        if isinstance(found[0], DoesNotForkError) or not (isinstance(found[0], BaseException) or self._survives_a_fork(found[0], thread)):
            return None
        return found[0]  # type: ignore[no-any-return]

    def _tell(self, doing: str) -> None:
        self._early.doing = doing
        self._log.info("%s", doing)

    def _failed(self, error: BaseException) -> int:
        from deployer_scoring.server.processes.worker import say_why

        say_why(error)
        return 1

    def _supervise(self, prepared: Prepared, unanswered: list[Unanswered]) -> int:
        import gc

        from deployer_scoring.server.processes.supervisor import Supervisor
        from deployer_scoring.server.processes.worker import UNFIT, Post, work
        from deployer_scoring.server.telemetry.metrics import Metrics

        metrics = Metrics(workers=prepared.workers)
        metrics.loaded(prepared.seconds)
        posts = [Post(self._settings, self._listener, prepared, metrics, index, []) for index in range(prepared.workers)]
        posts[0] = posts[0]._replace(unanswered=unanswered)

        def begun() -> None:
            for connection, _ in unanswered:
                connection.close()
            posts[0] = posts[0]._replace(unanswered=[])
            model = prepared.model
            what = "no model yet" if model is None else f"{model.framework}, loaded by {model.pyfunc.loader_module}"
            self._log.info("ready: %s, %d worker(s)", what, prepared.workers)

        gc.collect()
        gc.freeze()  # what is here now stays: no worker's collector needs to touch its pages
        supervisor = Supervisor(
            lambda index: work(posts[index]),
            prepared.workers,
            restarted=metrics.restarted,
            stopping=self._listener.close,
            fatal=UNFIT,
            patience=self._settings.stop_seconds,
        )
        return supervisor.run(begun)

    def _survives_a_fork(self, prepared: Prepared, loading: threading.Thread) -> bool:
        """Whether a forked process can predict with the model: tried where its libraries have left threads behind, which it won't have."""
        from deployer_scoring.server.processes.preparing import left_threads, try_once
        from deployer_scoring.server.system import children

        if prepared.loaded is None or not left_threads(ended=loading.native_id, ours=self._early.native_id):
            return True
        pid = children.forked(lambda: try_once(prepared))
        return children.ended_well(pid, _TRIAL_SECONDS)

    def _begin_again(self, unanswered: list[Unanswered]) -> NoReturn:
        """Become a fresh server on the same socket, whose model is loaded by a process of its own; who has begun to ask is told to ask again.

        Who has asked nothing yet is kept: the request may be on its way, and a connection that is closed then takes it along.
        """
        self._log.warning("the model does not survive a fork: it is loaded again, in a process of its own")
        sys.stdout.flush()
        sys.stderr.flush()
        self._listener.set_inheritable(True)
        if self._settings.handover:
            os.set_inheritable(self._settings.handover, True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        os.environ[_LISTENER] = str(self._listener.fileno())
        silent = [connection for connection, received in unanswered if not received]
        for connection in silent:
            connection.set_inheritable(True)
        os.environ[_CONNECTIONS] = " ".join(str(connection.fileno()) for connection in silent)
        for connection, received in unanswered:
            with contextlib.suppress(OSError):
                connection.send(answer(received.partition(b"\r\n")[0], self._early.doing) if received else b"")
        os.execv(sys.executable, [sys.executable, "-m", "deployer_scoring", *sys.argv[1:]])


def _stopped(number: int, _: Optional[object]) -> None:
    raise _Stopped
