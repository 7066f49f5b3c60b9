"""Which generation the next request goes to while several share the traffic, and what each has answered of late. Pure."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

PERCENTILES = (50, 90, 99)

_KEPT_SECONDS = 3600
_DIGITS = 3
"""Of a latency: times that differ by less than a thousandth count as one, so that a busy hour takes little room."""


class Turns:
    """Requests go by turns, each generation's spread as evenly as can be: of any hundred in a row it takes its percent, not about that many."""

    def __init__(self, shares: Mapping[str, int]) -> None:
        self._shares = dict(shares)
        self._behind = dict.fromkeys(shares, 0)

    def next(self) -> str:
        """The generation whose turn it is: who is furthest behind what it is to have had by now."""
        for generation, percent in self._shares.items():
            self._behind[generation] += percent
        chosen = max(self._behind, key=lambda generation: self._behind[generation])
        self._behind[chosen] -= sum(self._shares.values())
        return chosen


@dataclass(slots=True)
class _Second:
    errors: int = 0
    times: Counter[float] = field(default_factory=Counter)


class Answers:
    """What one generation answered in the last hour, second by second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: dict[int, _Second] = {}

    def add(self, *, well: bool, took: float) -> None:
        """Count an answer, and how many seconds it took; `well` where it is no fault of the generation."""
        now = int(self._clock())
        second = self._seconds.setdefault(now, _Second())
        second.errors += not well
        second.times[_rounded(took)] += 1
        while next(iter(self._seconds)) < now - _KEPT_SECONDS:
            del self._seconds[next(iter(self._seconds))]

    def measured(self, seconds: float) -> dict[str, object]:
        """Over the last so many seconds: requests, errors, and the latencies by percentile."""
        since = self._clock() - seconds
        found = [second for when, second in self._seconds.items() if when + 1 > since]
        times = sum((second.times for second in found), Counter[float]())
        return {
            "requests": times.total(),
            "errors": sum(second.errors for second in found),
            "latencies": {str(each): _percentile(times, each) for each in PERCENTILES} if times else {},
        }


def _percentile(times: Counter[float], percent: int) -> float:
    rank, seen = math.ceil(times.total() * percent / 100), 0
    for value, count in sorted(times.items()):
        seen += count
        if seen >= rank:
            return value
    raise ValueError("there are no times")


def _rounded(seconds: float) -> float:
    return 0.0 if seconds <= 0 else round(seconds, _DIGITS - 1 - math.floor(math.log10(seconds)))
