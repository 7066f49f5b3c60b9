"""Load on a server: closed loops by wrk, and an open loop whose arrivals don't wait for answers."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import cast
from urllib.parse import urlsplit

import uvloop

# What wrk calls at its end; microseconds and counts, so that nothing is read from text meant for people.
_REPORT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\nJSON{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"failed":%d}\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"""


_SPIN = 0.002
"""Seconds before a request is due in which the loop's own timers, of whole milliseconds, are too coarse to sleep by."""
_NAP = 0.0001
"""So long it naps then where there is time: one that only spun would take a core from what it measures."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Requests a second, latencies in milliseconds, and how many requests failed."""

    rate: float
    p50: float
    p99: float
    failed: int


def closed(
    url: str, body: bytes, content_type: str = "application/json", *, connections: int = 1, seconds: float = 4, method: str = "POST"
) -> Figures:
    """So many connections, each asking again once it is answered.

    Raises:
        FileNotFoundError: wrk isn't here (`apt-get install wrk`).
        subprocess.CalledProcessError: wrk failed.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise FileNotFoundError("the load comes from wrk, which is not here: apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        head = f'wrk.method = "{method}"\nwrk.headers["Content-Type"] = {json.dumps(content_type)}\n'
        long = body.decode("ascii")
        script.write(f"{head}wrk.body = [==[{long}]==]\n{_REPORT}")
        script.flush()
        command = [wrk, "--threads", "1", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s", "--timeout", "60s"]
        said = subprocess.run([*command, "--script", script.name, url], check=True, capture_output=True, text=True).stdout
    found = json.loads(said.rpartition("JSON")[2])
    return Figures(found["requests"] / found["microseconds"] * 1e6, found["p50"] / 1000, found["p99"] / 1000, found["failed"])


def repeated(turns: list[Figures]) -> Figures:
    """The medians of several turns, and all of their failures."""
    return Figures(median(t.rate for t in turns), median(t.p50 for t in turns), median(t.p99 for t in turns), sum(t.failed for t in turns))


def opened(url: str, body: bytes, *, rate: float, seconds: float = 6, connections: int = 64) -> Figures:
    """Requests that arrive at a fixed rate, whether or not earlier ones are answered; latency counts from when a request was due."""
    return uvloop.run(_Arrivals(url, body, rate).sent(connections, lambda number: number >= int(rate * seconds)))


def opened_until(url: str, body: bytes, over: Callable[[], bool], *, rate: float, connections: int = 64) -> Figures:
    """The same, until it is over."""
    return uvloop.run(_Arrivals(url, body, rate).sent(connections, lambda _: over()))


class _Arrivals:
    """Requests on a loop that sleeps no longer than until the next is due; whoever finds no free connection waits for one."""

    def __init__(self, url: str, body: bytes, rate: float) -> None:
        self._place = urlsplit(url)
        head = (
            f"POST {self._place.path} HTTP/1.1\r\nHost: {self._place.netloc}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.request, self._rate = head.encode() + body, rate
        self.latencies: list[float] = []
        self.failed = 0
        self.free: deque[_Asking] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._over = False

    async def sent(self, connections: int, last: Callable[[int], bool]) -> Figures:
        """`last`: whether none comes after so many."""
        for _ in range(connections):
            await self._connected()
        begin = time.perf_counter()
        number, over = 0, False
        while not over or len(self.latencies) < number:
            over = over or last(number)
            now = time.perf_counter()
            while not over and self.free and begin + number / self._rate <= now:
                self.free.popleft().ask(begin + number / self._rate)
                number += 1
                over = last(number)
            early = begin + number / self._rate - time.perf_counter() if self.free else 0
            await asyncio.sleep(max(0, early - _SPIN))
            if 2 * _NAP < early <= _SPIN:
                time.sleep(_NAP)  # which answers come later by at most
        taken, self._over = time.perf_counter() - begin, True
        for asking in self.free:
            asking.transport.close()
        ordered = sorted(self.latencies)
        return Figures(number / taken, ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000, self.failed)

    def lost(self, asking: _Asking) -> None:
        """The server has closed a connection: another in its place."""
        if self._over:
            return
        if asking in self.free:
            self.free.remove(asking)
        task = asyncio.get_running_loop().create_task(self._connected())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connected(self) -> None:
        host, port = cast(str, self._place.hostname), cast(int, self._place.port)
        while True:
            try:
                _, asking = await asyncio.get_running_loop().create_connection(lambda: _Asking(self), host, port)
            except OSError:
                self.failed += 1
                await asyncio.sleep(0.1)
            else:
                self.free.append(asking)
                return


class _Asking(asyncio.Protocol):
    """A connection with at most one request under way. Answers are JSON objects: one is whole with its last brace."""

    transport: asyncio.Transport

    def __init__(self, arrivals: _Arrivals) -> None:
        self._arrivals, self._due, self._answer = arrivals, 0.0, b""
        self._asks = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, due: float) -> None:
        self._due, self._asks = due, True
        self.transport.write(self._arrivals.request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if data.endswith(b"}"):
            self._answered(failed=not self._answer.startswith(b"HTTP/1.1 200"))
            if b"connection: close" in self._answer[: self._answer.find(b"\r\n\r\n")].lower():
                self.transport.close()
            else:
                self._arrivals.free.append(self)
            self._answer = b""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._asks:
            self._answered(failed=True)
        self._arrivals.lost(self)

    def _answered(self, *, failed: bool) -> None:
        self._asks = False
        self._arrivals.latencies.append(time.perf_counter() - self._due)
        self._arrivals.failed += failed
