"""The parent of the workers: forks them, forks them again when they die, and passes on the signal to stop.

It holds the model as it was loaded, which all workers share, and does nothing itself: so a new worker is there in some milliseconds, with
everything that the dead one had.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from typing import Callable

from deployer_scoring.server.system import children

_log = logging.getLogger(__name__)
_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGALRM}
_YOUNG_SECONDS = 1.0
_MOST_FALSE_STARTS = 8  # in a row


class Supervisor:
    """One run over a number of workers."""

    def __init__(
        self, work: Callable[[int], None], workers: int, *, restarted: Callable[[], None], stopping: Callable[[], None], fatal: int, patience: float
    ) -> None:
        """Prepare it.

        Args:
            work: What worker `index` runs; doesn't return.
            workers: How many.
            restarted: Told of each worker that died and was replaced.
            stopping: Called when the workers are told to stop: what they alone should hold is to be closed.
            fatal: The exit code of a worker whose death is the server's.
            patience: Seconds that workers have to end when they are told to; then they are killed.
        """
        self._work, self._restarted, self._stopped, self._fatal = work, restarted, stopping, fatal
        self._workers, self._patience = workers, patience
        self._pids: dict[int, tuple[int, float]] = {}
        self._false_starts = 0
        self._stopping = False
        self._code = 0

    def run(self, begun: Callable[[], None]) -> int:
        """Fork the workers and stay until all have ended.

        Args:
            begun: Called once they are forked.

        Returns:
            The exit code: 0 after a signal, 1 where they can't live.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for index in range(self._workers):
            self._fork(index)
        begun()
        while self._pids:
            number = signal.sigwait(_SIGNALS)
            if number == signal.SIGCHLD:
                self._bury()
            elif number == signal.SIGALRM:
                self._tell(signal.SIGKILL)
            else:
                self._stop()
        return self._code

    def _fork(self, index: int) -> None:
        pid = children.forked(lambda: self._work(index))
        self._pids[pid] = index, time.monotonic()

    def _bury(self) -> None:
        while self._pids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if pid in self._pids:  # else a process that the model had started
                self._replace(*self._pids.pop(pid), status)

    def _replace(self, index: int, since: float, status: int) -> None:
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == self._fatal:
            self._code = 1
            self._stop()
        if self._stopping:
            return
        _log.error("worker %d ended by itself (%s) and is started again", index, _ending(status))
        self._false_starts = self._false_starts + 1 if time.monotonic() - since < _YOUNG_SECONDS else 0
        if self._false_starts > _MOST_FALSE_STARTS:
            _log.error("workers end as soon as they are started: giving up")
            self._code = 1
            self._stop()
            return
        if self._false_starts > 2:
            time.sleep(0.05 * 2**self._false_starts / 8)
        self._restarted()
        self._fork(index)

    def _stop(self) -> None:
        """Have the workers drain and end; asked again, end as soon as what they have begun is answered."""
        if not self._stopping:
            self._stopping = True
            self._stopped()
            signal.setitimer(signal.ITIMER_REAL, self._patience)
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _ending(status: int) -> str:
    said = children.ending(status)
    hung = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
    return f"{said}: a predict in its event loop took longer than a request may" if hung else said
