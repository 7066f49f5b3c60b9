"""The model process: `python -m deployer_scoring.spark.process`, one for each model on an executor, started by a worker (see `client`).

It loads the model once and forks itself for each connection, so that the workers' batches are predicted side by side on the same pages.
A model whose libraries run threads of their own can't be forked: then threads answer the connections, and take turns at predicting.
It ends with the Python daemon of its executor, and after some time without a connection.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from deployer_scoring.errors import ScoringError, kind_of

_pidfd_open: Optional[Callable[[int], int]] = getattr(os, "pidfd_open", None)  # since Python 3.9
_CLOCK = 2.0  # seconds between looks at the executor, where the system doesn't tell of its end
_SETTLING = 0.3  # seconds that threads which loading has joined may take to end
_GRACE = 5.0  # seconds that a child may go on predicting for a worker that has gone


def main() -> int:
    """Load the model that the JSON on stdin names, report on the descriptor named there, and serve until the executor ends.

    Returns:
        The exit code: 0 done, 1 the model can't be loaded.
    """
    faulthandler.enable()
    order = json.load(sys.stdin)
    listener = socket.socket(socket.AF_UNIX)
    with os.fdopen(order["report"], "w") as report:
        try:
            scorer, forkable = _load(Path(order["model"]))
            listener.bind(order["socket"])
            listener.listen(128)
        except BaseException as error:
            report.write(json.dumps(_refusal(error)))
            return 1
        report.write(json.dumps({"type": "ready"}))
    host = _Host(scorer, forkable, listener, order)
    try:
        host.run()
    finally:
        _leave(Path(order["socket"]), for_good=host.orphaned)
    return 0


def _load(directory: Path) -> tuple[Any, bool]:
    """The model, and whether the process can be forked now.

    It can where loading has started no thread, not even one of a library's own; that of pyarrow's allocator is made for forks. What the
    answers need is imported here, to be shared by what is forked.
    """
    import deployer_scoring.spark.answering  # noqa: F401
    from deployer_scoring.scorer import Scorer

    before = _threads()
    scorer = Scorer.load(directory)
    deadline = time.monotonic() + _SETTLING
    while not _threads() <= before and time.monotonic() < deadline:
        time.sleep(0.01)  # the system lists a thread for a moment after it was joined
    return scorer, scorer.loaded.forks and _threads() <= before


def _threads() -> set[str]:
    tasks = Path("/proc/self/task")
    return {task.name for task in tasks.iterdir()} if tasks.exists() else {str(thread.ident) for thread in threading.enumerate()}


def _leave(place: Path, *, for_good: bool) -> None:
    """Remove the socket; or the executor's whole directory, where no worker will look for anything in it again."""
    if for_good:
        shutil.rmtree(place.parent, ignore_errors=True)
    place.unlink(missing_ok=True)


def _refusal(error: BaseException) -> dict[str, str]:
    from deployer_scoring.loaders.loading import one_line

    known = isinstance(error, ScoringError)
    return {"type": kind_of(error) if known else "LoadError", "message": str(error) if known else one_line(error)}


@dataclass
class _Child:
    """A forked process and its connection, of which the host keeps a copy to see the worker's end."""

    connection: socket.socket
    deadline: Optional[float] = None
    """When it is killed, for its worker has gone."""


class _Host:
    """The listening process and what answers its connections."""

    def __init__(self, scorer: Any, forkable: bool, listener: socket.socket, order: Mapping[str, Any]) -> None:
        self._scorer, self._forks, self._listener = scorer, forkable, listener
        self._idle, self._openmp = order["idle"], order["threads"]
        self._parent = _Parent(order["parent"])
        self._children: dict[int, _Child] = {}
        self._threads: list[threading.Thread] = []
        self._turn = threading.Lock()
        self._deaths: dict[int, str] = {}

    @property
    def orphaned(self) -> bool:
        """Whether the executor is gone."""
        return not self._parent.alive()

    def run(self) -> None:
        """Answer connections until the executor is gone, or nobody has been connected for long."""
        wake = _signals_of_children()
        gc.collect()
        gc.freeze()
        last = time.monotonic()
        while self._parent.alive() and time.monotonic() - last < self._idle:
            if self._wait(wake):
                self._accept()
            self._bury()
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if self._children or self._threads:
                last = time.monotonic()
        for pid in self._children:
            _kill(pid)

    def _wait(self, wake: int) -> bool:
        """Wait for something to happen; whether it is a connection."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(wake, select.POLLIN)
        self._parent.register(poll)
        watched = {child.connection.fileno(): child for child in self._children.values() if child.deadline is None}
        for descriptor in watched:
            poll.register(descriptor, 0)  # the end of the other side is told unasked
        happened = dict(poll.poll(_CLOCK * 1000))
        if wake in happened:
            os.read(wake, 4096)
        for descriptor in watched.keys() & happened.keys():
            watched[descriptor].deadline = time.monotonic() + _GRACE
        return self._listener.fileno() in happened

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if self._forks:
            pid = os.fork()
            if pid == 0:
                self._be_child(connection)
            self._children[pid] = _Child(connection)
        else:
            thread = threading.Thread(target=self._answer, args=(connection, self._turn), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _be_child(self, connection: socket.socket) -> None:
        """Answer one connection in a process of its own, and end."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._listener.close()
            for other in self._children.values():
                other.connection.close()
            self._answer(connection, contextlib.nullcontext())
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _answer(self, connection: socket.socket, turn: Any) -> None:
        from deployer_scoring.loaders.threads import allow_threads
        from deployer_scoring.spark.answering import answer

        if self._openmp != 1:
            allow_threads(self._openmp)
        with connection, contextlib.suppress(OSError):  # the worker is gone, and with it whoever asked
            signature = self._scorer.model.signature
            answer(connection, self._scorer.predict, signature.inputs if signature else None, turn, self._deaths)

    def _bury(self) -> None:
        """Take note of children that ended, and end those that nobody waits for."""
        for pid, child in [*self._children.items()]:
            if child.deadline is not None and time.monotonic() > child.deadline:
                _kill(pid)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                if status:
                    self._deaths[pid] = _cause(status)
                    sys.stderr.write(f"deployer: a model process (pid {pid}) {self._deaths[pid]}\n")
                del self._children[pid]
                # Only now does the worker see the end, so that it can ask for the cause.
                child.connection.close()


class _Parent:
    """The process to end with: the executor's Python daemon."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._descriptor: Optional[int] = None
        with contextlib.suppress(OSError):  # Linux before 5.3
            self._descriptor = _pidfd_open(pid) if _pidfd_open else None

    def register(self, poll: Any) -> None:
        """Wake a poll at its end, where the system can."""
        if self._descriptor is not None:
            poll.register(self._descriptor, select.POLLIN)

    def alive(self) -> bool:
        """Whether it runs."""
        if self._descriptor is not None:
            return not select.select([self._descriptor], [], [], 0)[0]
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True


def _signals_of_children() -> int:
    """A descriptor that can be read when a child has ended."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def _cause(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"was killed by {signal.Signals(number).name}" + (" (out of memory?)" if number == signal.SIGKILL else "")
    return f"ended with exit code {os.WEXITSTATUS(status)}"


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
