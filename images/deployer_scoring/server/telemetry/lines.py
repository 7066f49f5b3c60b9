"""Log lines on their way to standard output: written together, soon, so that none costs its request a system call."""

from __future__ import annotations

import asyncio
import contextlib
import sys

_LATE = 0.1  # seconds
_MANY = 500


class LineBuffer:
    """A buffer of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: list[str] = []

    def write(self, line: str) -> None:
        """Have a line (with its end) written within a tenth of a second."""
        self._lines.append(line)
        if len(self._lines) == 1:
            self._loop.call_later(_LATE, self.flush)
        elif len(self._lines) >= _MANY:
            self.flush()

    def flush(self) -> None:
        """Write what is there."""
        if self._lines:
            text, self._lines = "".join(self._lines), []
            with contextlib.suppress(OSError):  # nobody reads the log any more: requests are answered all the same
                sys.stdout.write(text)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
