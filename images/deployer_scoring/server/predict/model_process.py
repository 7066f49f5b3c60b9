"""The model's own process, from inside: it takes jobs from a socket and predicts, so that what a model does to its process costs no one else.

Its threads take turns at the socket: who has read a job does it, and the next thread reads on. So a job changes hands but once, and a model
that waits for something (another service, a database) is asked by as many threads at a time as MLflow's server would use.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any, Callable

from deployer_scoring.errors import LoadError, ModelFailure, ScoringError
from deployer_scoring.loaders.loading import Loaded, one_line
from deployer_scoring.loaders.threads import allow_threads
from deployer_scoring.model.mlmodel import MLModel
from deployer_scoring.scorer import Scorer
from deployer_scoring.server.predict import ipc

_AHEAD = 2  # pieces of a stream that may be made before one is taken


class ModelProcess:
    """The process's state. `run` never returns."""

    def __init__(self, connection: socket.socket, scorer: Callable[[], Scorer], *, threads: int, library_threads: int) -> None:
        """Prepare it.

        Args:
            connection: The other end is the event loop's.
            scorer: Gives each thread that asks a scorer of its own; the first call may load the model.
            threads: How many predicts may run at once.
            library_threads: How many threads BLAS and OpenMP may use in each.
        """
        self._connection, self._scorer = connection, scorer
        self._most = threads + 1  # one reads while the others predict: a stream must hear when its client leaves
        self._library_threads = library_threads
        self._pid = os.getpid()
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._count = threading.Lock()
        self._threads, self._waiting = 1, 0
        self._streams: dict[int, _Stream] = {}

    def run(self, *, joins: Callable[[Loaded], bool]) -> None:
        """Load, say so, and work until the other end is closed; then the process is gone."""
        try:
            scorer = self._scorer()
        except ScoringError as error:
            self._say((ipc.UNFIT, 0, error))
            os._exit(1)
        except BaseException as error:
            self._say((ipc.UNFIT, 0, LoadError(one_line(error))))
            os._exit(1)
        self._say((ipc.READY, 0, scorer.streams, joins(scorer.loaded)))
        self._work(scorer)

    def _work(self, scorer: Scorer) -> None:
        if self._library_threads > 1:
            allow_threads(self._library_threads)
        while True:
            with self._count:
                self._waiting += 1
            with self._reading:
                message = self._received()
                with self._count:
                    self._waiting -= 1
                    if not self._waiting and self._threads < self._most:
                        self._threads += 1
                        threading.Thread(target=self._join_in, name=f"model-{self._threads}", daemon=True).start()
            self._do(message, scorer)

    def _join_in(self) -> None:
        self._work(self._scorer())

    def _received(self) -> tuple[Any, ...]:
        """The next job; what is said about streams is done on the way."""
        while True:
            message = ipc.receive(self._connection)
            if message is None:
                os._exit(0)
            if message[0] not in {ipc.TAKEN, ipc.LEAVE}:
                if message[0] == ipc.ITERATE:
                    self._streams[message[1]] = _Stream()
                return message
            stream = self._streams.get(message[1])
            if stream is not None:
                stream.left = stream.left or message[0] == ipc.LEAVE
                stream.room.release()

    def _do(self, message: tuple[Any, ...], scorer: Scorer) -> None:
        kind, job, *rest = message
        try:
            if kind == ipc.ANSWERS:
                self._say((ipc.DONE, job, scorer.answers(*rest)))
            elif kind == ipc.RUN:
                function, arguments = rest
                self._say((ipc.DONE, job, function(scorer, *arguments)))
            else:
                function, arguments = rest
                self._feed(job, function(scorer, *arguments))
        except Exception as error:
            self._say((ipc.FAILED, job, error))
        except BaseException as error:  # a predict that calls sys.exit
            self._say((ipc.FAILED, job, ModelFailure(one_line(error))))
        finally:
            self._streams.pop(job, None)

    def _feed(self, job: int, pieces: Iterator[Any]) -> None:
        stream = self._streams[job]
        for piece in pieces:
            stream.room.acquire()
            if stream.left:
                close = getattr(pieces, "close", None)
                if close is not None:
                    close()
                break
            self._say((ipc.PIECE, job, piece))
        self._say((ipc.END, job))

    def _say(self, message: tuple[Any, ...]) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # the model forked: the answer is its parent's to give
        sys.stdout.flush()
        data = ipc.packed(message)
        try:
            with self._writing:
                self._connection.sendall(data)
        except OSError:
            os._exit(0)


class _Stream:
    """How far a stream's taker is behind."""

    def __init__(self) -> None:
        self.room = threading.Semaphore(_AHEAD)
        self.left = False


def scorers(model: MLModel, loaded: Loaded, most_rows: int) -> Callable[[], Scorer]:
    """Gives scorers of a model that is loaded already."""
    return lambda: Scorer(model, loaded, most_rows=most_rows)
