"""The last lines that a deployment's containers wrote, kept in memory and followed by who asks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number since the supervisor started, when it came (RFC 3339, UTC), which generation wrote it."""

    number: int
    time: str
    source: str
    text: str


class Lines:
    """A ring of lines. `writer` may be called from any thread; the rest belongs to the event loop."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._loop = asyncio.get_running_loop()
        self._kept: deque[Line] = deque(maxlen=capacity)
        self._count = 0
        self._more = asyncio.Event()

    def writer(self, source: str) -> Callable[[bytes], None]:
        """A function that adds one line of `source`."""

        def write(line: bytes) -> None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self.add, source, line.decode(errors="replace"))

        return write

    def add(self, source: str, text: str) -> None:
        """Add one line; the oldest goes where the ring is full."""
        self._count += 1
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._kept.append(Line(self._count, time, source, text))
        self._more.set()
        self._more = asyncio.Event()

    def last(self, source: str, count: int) -> tuple[str, ...]:
        """The last `count` lines of one source, oldest first."""
        return tuple(line.text for line in self._kept if line.source == source)[-count:]

    async def read(self, *, tail: int, follow: bool) -> AsyncIterator[Line]:
        """The last `tail` lines (0: all), then, if `follow`, those that come. Who reads too slowly misses what the ring has dropped."""
        seen = self._count - tail if tail else 0
        while True:
            more = self._more
            for line in [line for line in self._kept if line.number > seen]:
                seen = line.number
                yield line
            if not follow:
                return
            if self._count == seen:
                await more.wait()
