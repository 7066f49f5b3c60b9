"""The last lines that a deployment's containers wrote, kept in memory and followed by who asks.

A server under load writes tens of thousands a second, on the processors that it answers with: what is done for each is little, and the rest is
done for many together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

CAPACITY = 10_000


class Line(NamedTuple):
    """One line: its number since the supervisor started, when it came (RFC 3339, UTC), which generation wrote it."""

    number: int
    time: str
    source: str
    text: str


class LineRing:
    """A ring of lines. `writer` may be called from any thread; the rest belongs to the event loop."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._loop = asyncio.get_running_loop()
        self._kept: deque[Line] = deque(maxlen=capacity)
        self._count = 0
        self._more = asyncio.Event()

    def writer(self, source: str) -> Callable[[bytes], None]:
        """A function that adds one line of `source`."""
        waiting: deque[bytes] = deque()

        def take() -> None:
            lines = []
            while waiting:
                lines.append(waiting.popleft().decode(errors="replace"))
            self.add(source, lines)

        def write(line: bytes) -> None:
            waiting.append(line)
            if len(waiting) == 1:  # who finds others waiting leaves it to who was first
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(take)

        return write

    def add(self, source: str, texts: Iterable[str]) -> None:
        """Add lines that came just now; the oldest go where the ring is full."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for text in texts:
            self._count += 1
            self._kept.append(Line(self._count, time, source, text))
        self._more.set()
        self._more = asyncio.Event()

    def last(self, source: str, count: int) -> tuple[str, ...]:
        """The last `count` lines of one source, oldest first."""
        return tuple(islice((line.text for line in reversed(self._kept) if line.source == source), count))[::-1]

    async def read(self, *, tail: int, follow: bool) -> AsyncIterator[list[Line]]:
        """The last `tail` lines (0: all), then, if `follow`, those that come, many at once. Who reads too slowly misses what the ring has dropped."""
        seen = self._count - tail if tail else 0
        while True:
            more = self._more
            new = list(islice(reversed(self._kept), self._count - seen))[::-1]
            seen = self._count
            if new:
                yield new
            if not follow:
                return
            if self._count == seen:
                await more.wait()
