"""Load on a server: closed loops by wrk, and an open loop whose arrivals don't wait for answers."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

# What wrk calls at its end; microseconds and counts, so that nothing is read from text meant for people.
_REPORT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\nJSON{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"failed":%d}\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"""


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
    return asyncio.run(_opened(url, body, rate, seconds, connections))


async def _opened(url: str, body: bytes, rate: float, seconds: float, connections: int) -> Figures:
    place = urlsplit(url)
    head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request, due = head.encode() + body, asyncio.Queue[float]()
    latencies: list[float] = []
    failed = 0

    async def client() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        while (when := await due.get()) >= 0:
            writer.write(request)
            status = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in status.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - when)
            failed += not status.startswith(b"HTTP/1.1 200")
        writer.close()

    clients = [asyncio.create_task(client()) for _ in range(connections)]
    begin, count = time.perf_counter(), int(rate * seconds)
    for number in range(count):
        when = begin + number / rate
        if (wait := when - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due.put_nowait(when)
    for _ in clients:
        due.put_nowait(-1)
    await asyncio.gather(*clients)
    ordered = sorted(latencies)
    taken = time.perf_counter() - begin
    return Figures(count / taken, ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000, failed)
