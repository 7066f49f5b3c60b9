"""Which generation the next request goes to while several share the traffic, and what each has answered since. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from deployer.core.traffic import by_percentile

_DIGITS = 3
"""Of a latency: times that differ by less than a thousandth count as one, so that a busy day takes little room."""


class Turns:
    """Requests go by turns, each generation's spread as evenly as can be: of any hundred in a row it takes its percent, not about that many."""

    def __init__(self, shares: Mapping[str, int]) -> None:
        self._shares = {generation: percent for generation, percent in shares.items() if percent}
        self._behind = dict.fromkeys(self._shares, 0)

    def next(self) -> str:
        """The generation whose turn it is: who is furthest behind what it is to have had by now."""
        for generation, percent in self._shares.items():
            self._behind[generation] += percent
        chosen = max(self._behind, key=lambda generation: self._behind[generation])
        self._behind[chosen] -= sum(self._shares.values())
        return chosen


class Answers:
    """What one generation has answered."""

    def __init__(self) -> None:
        self._errors = 0
        self._times: Counter[float] = Counter()

    def add(self, *, well: bool, took: float) -> None:
        """Count an answer, and how many seconds it took; `well` where it is no fault of the generation."""
        self._errors += not well
        self._times[_rounded(took)] += 1

    def measured(self) -> dict[str, object]:
        """Requests, errors, and the latencies by percentile."""
        return {
            "requests": self._times.total(),
            "errors": self._errors,
            "latencies": {str(percentile): took for percentile, took in by_percentile(self._times).items()},
        }


def _rounded(seconds: float) -> float:
    return 0.0 if seconds <= 0 else round(seconds, _DIGITS - 1 - math.floor(math.log10(seconds)))
