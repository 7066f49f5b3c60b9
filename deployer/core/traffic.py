"""How traffic goes from one generation to the next: the strategies, and what is measured on the way. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from deployer.words import short_share, short_time


class Strategy(StrEnum):
    """How traffic goes from one generation to the next."""

    ALL_AT_ONCE = "all_at_once"
    BLUE_GREEN = "blue_green"
    """All at once, and the old one stays at full size until it is promoted, or for a time."""
    ROLLING = "rolling"
    """Some instances after the other."""
    CANARY = "canary"
    """Some of the traffic after the other."""
    SHADOW = "shadow"
    """A copy of some of the requests, whose answers nobody gets, until it is promoted, or for a time; then all at once."""


PARTS: Mapping[str, frozenset[Strategy]] = {
    "steps": frozenset({Strategy.CANARY}),
    "pause": frozenset({Strategy.CANARY, Strategy.BLUE_GREEN, Strategy.ROLLING, Strategy.SHADOW}),
    "mirror": frozenset({Strategy.SHADOW}),
    "checks": frozenset(Strategy),
    "batch": frozenset({Strategy.ROLLING}),
    "allow_gap": frozenset({Strategy.ALL_AT_ONCE}),
}
"""The options that say more of a strategy, and the strategies that each goes with."""


PERCENTILES = (50, 90, 99)


def by_percentile(times: Counter[float]) -> dict[int, float]:
    """Of each percentile the smallest time that so many percent of all are not above; empty where there are none.

    Args:
        times: how often each came.
    """
    ranks = {percentile: math.ceil(times.total() * percentile / 100) for percentile in PERCENTILES}
    found: dict[int, float] = {}
    seen = 0
    for time, count in sorted(times.items()):
        seen += count
        found |= {percentile: time for percentile, rank in ranks.items() if percentile not in found and seen >= rank}
    return found


@dataclass(frozen=True, slots=True)
class Measured:
    """What a generation answered over a window.

    Attributes:
        errors: of the requests, those that it failed itself (5xx).
        latencies: seconds, by percentile: 50, 90, 99; those that are not known are left out.
    """

    requests: int = 0
    errors: int = 0
    latencies: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, answers: Collection[tuple[bool, float]]) -> Measured:
        """Of single answers: whether each went well, and how many seconds it took."""
        return cls(len(answers), sum(not well for well, _ in answers), by_percentile(Counter(took for _, took in answers)))

    @property
    def error_rate(self) -> float:
        return self.errors / self.requests if self.requests else 0.0

    def __str__(self) -> str:
        slow = self.latencies.get(99)
        return f"{self.requests} requests, {short_share(self.error_rate)} errors" + (f", p99 {short_time(slow)}" if slow is not None else "")
