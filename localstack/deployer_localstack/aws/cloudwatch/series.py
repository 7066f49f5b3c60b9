"""What metrics hold: per series (namespace, name, dimensions) and second, how often which value came. Statistics of it over periods."""

from __future__ import annotations

import math
import re
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

_KEPT_SECONDS = 3 * 3600
"""As long as the real service keeps a metric second by second."""
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{0,10})?|100)")

Values = Counter[float]


@dataclass(frozen=True, slots=True)
class Metric:
    """What a series is found by: all of it, the dimensions in any order."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]] = frozenset()


@dataclass(slots=True)
class _Series:
    unit: str
    seconds: dict[int, Values] = field(default_factory=dict)  # in the order of their time, as far as they come in it


class AllSeries:
    """The metrics of one account and region."""

    def __init__(self) -> None:
        self._series: dict[Metric, _Series] = {}
        self._lock = threading.Lock()

    def add(self, metric: Metric, values: Mapping[float, float], when: float, unit: str = "None") -> None:
        """Add values, each so often, at a time in seconds since the epoch."""
        with self._lock:
            seconds = self._series.setdefault(metric, _Series(unit)).seconds
            at = seconds.setdefault(int(when), Counter())
            for value, count in values.items():
                at[value] += int(count)
            while next(iter(seconds)) < when - _KEPT_SECONDS:
                del seconds[next(iter(seconds))]

    def metrics(self) -> list[Metric]:
        with self._lock:
            return list(self._series)

    def unit(self, metric: Metric) -> str:
        with self._lock:
            found = self._series.get(metric)
            return found.unit if found else "None"

    def periods(self, metric: Metric, bounds: list[float]) -> list[Values]:
        """The values between each bound and the next; bounds rise."""
        found: list[Values] = [Counter() for _ in bounds[1:]]
        with self._lock:
            series = self._series.get(metric)
            for second, values in series.seconds.items() if series else ():
                # A second belongs to where it ends: bounds needn't be whole, and what came just now counts.
                if bounds[0] < second + 1 and second < bounds[-1]:
                    found[min(max(bisect_left(bounds, second + 1) - 1, 0), len(found) - 1)].update(values)
        return found


def statistic(values: Values, name: str) -> float | None:
    """Sum, Average, Minimum, Maximum, SampleCount or a percentile (p99, p99.9); None where there are no values.

    Raises:
        ValueError: there is no such statistic.
    """
    percentile = _PERCENTILE.fullmatch(name)
    if not percentile and name not in _STATISTICS:
        raise ValueError(f"The value {name} for parameter Statistic is not supported.")
    if not values:
        return None
    return _percentile(values, float(percentile[1])) if percentile else _STATISTICS[name](values)


def _sum(values: Values) -> float:
    return math.fsum(value * count for value, count in values.items())


_STATISTICS: Mapping[str, Callable[[Values], float]] = {
    "Sum": _sum,
    "Average": lambda values: _sum(values) / values.total(),
    "Minimum": min,
    "Maximum": max,
    "SampleCount": lambda values: float(values.total()),
}


def _percentile(values: Values, percent: float) -> float:
    """The value that so many percent of all are not above."""
    rank = max(1, math.ceil(values.total() * percent / 100))
    ordered: Iterable[float] = chain.from_iterable([value] * count for value, count in sorted(values.items()))
    return next(value for place, value in enumerate(ordered, 1) if place >= rank)
