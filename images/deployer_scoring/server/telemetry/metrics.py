"""What the server counts, readable at /metrics as Prometheus text.

The workers are forks of one process, and a scraper reaches whichever of them takes its connection. So the counters live in one piece of
anonymous shared memory, made before the first fork: each worker writes to its own slot, without locks, and any of them answers for all by
summing the slots. A worker that takes a dead one's place goes on in its slot, so that counters never fall.

prometheus_client is not used. In its mode for several processes every metric of every process is a file that is mapped and merged again at
each reading, labels are looked up by lock and dictionary at each observation (some 2 µs; a slot takes a fifth), a dead worker's files must
be cleared by hand, and it would be one more dependency inside every model's own environment. What it gives for that, the text form, is
forty lines.
"""

from __future__ import annotations

import mmap
import os
import platform
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Union

from deployer_scoring.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer")
PATHS = (
    "/invocations",
    "/ping",
    "/health",
    "/version",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/execution-parameters",
    "/v1/models",
    "/v1/models/{name}",
    "/v1/models/{name}:predict",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models",
    "/v2/models/{name}",
    "/v2/models/{name}/ready",
    "/v2/models/{name}/infer",
    "/v2/repository/index",
    "/models",
    "/models/{name}",
    "/models/{name}/invoke",
    *(f"/inference.GRPCInferenceService/{method}" for method in _METHODS),
    "other",
)
"""The values of the label `path`; a name in a path is one value, whatever it is: what clients send must not make new series."""
STATUSES = (200, 400, 404, 405, 408, 409, 411, 413, 414, 415, 417, 422, 429, 431, 499, 500, 501, 503, 504, 505, 507)
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536)

_PATHS = {path: number for number, path in enumerate(PATHS)}
_STATUSES = {status: number for number, status in enumerate(STATUSES)}
_OTHER_PATH, _OTHER_STATUS = len(PATHS) - 1, len(STATUSES)
_STATUS_CELLS = len(STATUSES) + 1
_SECONDS_CELLS, _SIZES_CELLS = len(SECONDS) + 2, len(SIZES) + 2  # a cell a bucket, one for what is past the last, one for the sum

# A slot, in cells of eight bytes: all of it is doubles, which count exactly up to 2**53.
_REQUESTS = 0
_DURATIONS = _REQUESTS + len(PATHS) * _STATUS_CELLS
_PREDICTS = _DURATIONS + len(PATHS) * _SECONDS_CELLS
_BATCH_REQUESTS = _PREDICTS + _SECONDS_CELLS
_BATCH_ROWS = _BATCH_REQUESTS + _SIZES_CELLS
_QUEUE = _BATCH_ROWS + _SIZES_CELLS
_IN_FLIGHT = _QUEUE + 1
_SLOT = -(-(_IN_FLIGHT + 1) // 8) * 8  # whole lines of cache: no two workers write to one

# The cells before the slots, written by the process that forks the others.
_STARTED, _LOAD_SECONDS, _RESTARTS = 0, 1, 2
_HEAD = 8


class Recorder:
    """One worker's slot. For one thread: an increment reads and writes, and another thread's could fall in between."""

    __slots__ = ("_cells",)

    def __init__(self, cells: memoryview[float]) -> None:
        self._cells = cells
        cells[_QUEUE] = cells[_IN_FLIGHT] = 0.0  # what a dead predecessor held is gone with it

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request: its decoded path, and how long it took from its first byte to the last of its answer."""
        cells, route = self._cells, _PATHS.get(path, -1)
        if route < 0:
            route = _PATHS[label(path)]
        cells[_REQUESTS + route * _STATUS_CELLS + _STATUSES.get(status, _OTHER_STATUS)] += 1.0
        first = _DURATIONS + route * _SECONDS_CELLS
        cells[first + bisect_left(SECONDS, seconds)] += 1.0
        cells[first + _SECONDS_CELLS - 1] += seconds

    def batch(self, requests: int, rows: int, seconds: float) -> None:
        """Count one predict of the model: how many requests it answered, their rows together, and how long it took."""
        cells = self._cells
        cells[_PREDICTS + bisect_left(SECONDS, seconds)] += 1.0
        cells[_PREDICTS + _SECONDS_CELLS - 1] += seconds
        cells[_BATCH_REQUESTS + bisect_left(SIZES, requests)] += 1.0
        cells[_BATCH_REQUESTS + _SIZES_CELLS - 1] += requests
        cells[_BATCH_ROWS + bisect_left(SIZES, rows)] += 1.0
        cells[_BATCH_ROWS + _SIZES_CELLS - 1] += rows

    def queue(self, depth: int) -> None:
        """Say how many requests wait for the model in this worker."""
        self._cells[_QUEUE] = depth

    def in_flight(self, number: int) -> None:
        """Say how many requests this worker has taken and not answered yet."""
        self._cells[_IN_FLIGHT] = number


class Metrics:
    """The memory that the workers share. Made before they are forked."""

    def __init__(self, workers: int = 1) -> None:
        """Make it, with a slot for each worker and one for the process that forks them.

        Args:
            workers: How many there will be at once.
        """
        self._workers = workers
        self._slots = workers + 1
        self._memory = mmap.mmap(-1, 8 * (_HEAD + self._slots * _SLOT))  # shared with what is forked; zeros
        self._cells = memoryview(self._memory).cast("d")
        self._cells[_STARTED] = time.time() - _age()

    @property
    def supervisor(self) -> int:
        """The slot of the process that forks the workers."""
        return self._workers

    def recorder(self, slot: int) -> Recorder:
        """The slot of a worker, from 0; a worker that is forked in place of a dead one takes the same."""
        if not 0 <= slot < self._slots:
            raise IndexError(f"there is no slot {slot}: there are {self._workers} workers")
        first = _HEAD + slot * _SLOT
        return Recorder(self._cells[first : first + _SLOT])

    def loaded(self, seconds: float) -> None:
        """Say how long the model took to load, the imports of its libraries included."""
        self._cells[_LOAD_SECONDS] = seconds

    def restarted(self) -> None:
        """Count a worker that died and was replaced; for the one process that forks them."""
        self._cells[_RESTARTS] += 1.0

    def text(self) -> bytes:
        """All of it in Prometheus' text form; series that never counted anything are left out."""
        return ("\n".join(self._lines()) + "\n").encode()

    def _lines(self) -> Iterator[str]:
        total = self._summed()
        yield from _head("deployer_requests_total", "counter", "Requests answered, by path and status.")
        for path, first in _each(PATHS, _REQUESTS, _STATUS_CELLS):
            for status, number in zip((*STATUSES, "other"), total[first : first + _STATUS_CELLS]):
                if number:
                    yield f'deployer_requests_total{{path="{path}",status="{status}"}} {_number(number)}'
        yield from _head("deployer_request_duration_seconds", "histogram", "Time from a request's first byte to its answer's last, by path.")
        for path, first in _each(PATHS, _DURATIONS, _SECONDS_CELLS):
            if any(total[first : first + _SECONDS_CELLS - 1]):
                yield from _histogram("deployer_request_duration_seconds", SECONDS, total[first : first + _SECONDS_CELLS], f'path="{path}",')
        for name, said, bounds, first in _HISTOGRAMS:
            yield from _head(name, "histogram", said)
            yield from _histogram(name, bounds, total[first : first + len(bounds) + 2])
        for name, kind, said, value in (
            ("deployer_queue_depth", "gauge", "Requests that wait for the model.", total[_QUEUE]),
            ("deployer_requests_in_flight", "gauge", "Requests taken and not answered yet.", total[_IN_FLIGHT]),
            ("deployer_model_load_seconds", "gauge", "How long the model took to load; 0 until it has.", self._cells[_LOAD_SECONDS]),
            ("deployer_workers", "gauge", "Processes that answer requests.", float(self._workers)),
            ("deployer_worker_restarts_total", "counter", "Workers that died and were replaced.", self._cells[_RESTARTS]),
            ("process_start_time_seconds", "gauge", "When the server started, in seconds since 1970.", self._cells[_STARTED]),
        ):
            yield from _head(name, kind, said)
            yield f"{name} {_number(value)}"
        yield from _head("deployer_build_info", "gauge", "The runtime's version and the Python under it.")
        yield f'deployer_build_info{{python="{platform.python_version()}",version="{__version__}"}} 1'

    def _summed(self) -> list[float]:
        slots = (self._cells[first : first + _SLOT].tolist() for first in range(_HEAD, len(self._cells), _SLOT))
        return [sum(cells) for cells in zip(*slots)]


_HISTOGRAMS: tuple[tuple[str, str, Sequence[float], int], ...] = (
    ("deployer_predict_duration_seconds", "Time that the model took for one predict.", SECONDS, _PREDICTS),
    ("deployer_batch_requests", "Requests that were joined into one predict.", SIZES, _BATCH_REQUESTS),
    ("deployer_batch_rows", "Rows of one predict.", SIZES, _BATCH_ROWS),
)


def label(path: str) -> str:
    """The value of the label `path` for a path as it came."""
    if path in _PATHS:
        return path
    parts = path.split("/")[1:]
    if parts[:2] == ["v2", "models"] and len(parts) > 2:
        action = parts[3:] if parts[3:4] != ["versions"] else parts[5:]
        path = "/".join(["/v2/models/{name}", *action])
    elif parts[:2] == ["v1", "models"] and len(parts) == 3:
        path = "/v1/models/{name}:predict" if parts[2].endswith(":predict") else "/v1/models/{name}"
    elif parts[:1] == ["models"] and len(parts) > 1:
        path = "/".join(["/models/{name}", *parts[2:]])
    return path if path in _PATHS else PATHS[_OTHER_PATH]


def _age() -> float:
    """For how many seconds this process has run; 0 where the system doesn't say."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - started
    except (OSError, ValueError, IndexError):
        return 0.0


def _each(labels: Sequence[str], first: int, cells: int) -> Iterator[tuple[str, int]]:
    return ((each, first + number * cells) for number, each in enumerate(labels))


def _head(name: str, kind: str, said: str) -> tuple[str, str]:
    return f"# HELP {name} {said}", f"# TYPE {name} {kind}"


def _histogram(name: str, bounds: Sequence[float], cells: Sequence[float], labels: str = "") -> Iterator[str]:
    """The lines of a histogram: in the cells each bucket counts alone, in the text it counts all below it too."""
    count = 0.0
    for bound, number in zip((*map(_number, bounds), "+Inf"), cells):
        count += number
        yield f'{name}_bucket{{{labels}le="{bound}"}} {_number(count)}'
    braced = f"{{{labels.rstrip(',')}}}" if labels else ""
    yield f"{name}_sum{braced} {_number(cells[-1])}"
    yield f"{name}_count{braced} {_number(count)}"


def _number(value: Union[int, float]) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
