"""The state of an alarm on metrics, evaluated when somebody looks: an alarm here costs nothing while nobody does."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_EXTRA_PERIODS = 2
"""How many periods further back than it evaluates an alarm looks where some have no data."""

_COMPARISONS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "GreaterThanThreshold": ("greater than", operator.gt),
    "GreaterThanOrEqualToThreshold": ("greater than or equal to", operator.ge),
    "LessThanThreshold": ("less than", operator.lt),
    "LessThanOrEqualToThreshold": ("less than or equal to", operator.le),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """When an alarm is on.

    Attributes:
        needed: how many of the `periods` last datapoints must breach.
        missing: what stands for a period without data: missing, ignore, breaching or notBreaching.
    """

    comparison: str
    threshold: float
    periods: int
    needed: int
    missing: str

    @property
    def looked_at(self) -> int:
        """How many datapoints, from now back, are asked for."""
        return self.periods + _EXTRA_PERIODS

    def state(self, datapoints: Sequence[float | None], before: str) -> tuple[str, str]:
        """The state and its reason, from the datapoints, newest first, None for a period without data.

        Periods without data are skipped where enough others are found; else they count as the alarm says. "missing" goes by what there is.
        """
        found = [value for value in datapoints if value is not None][: self.periods]
        lacking = self.periods - len(found)
        words, compare = _COMPARISONS[self.comparison]
        breaching = sum(compare(value, self.threshold) for value in found)
        if self.missing == "breaching":
            on = breaching + lacking >= self.needed
        elif self.missing == "notBreaching":
            on = breaching >= self.needed
        elif not found:
            return ("INSUFFICIENT_DATA", f"Insufficient Data: {self.periods} datapoints were unknown.") if self.missing != "ignore" else (before, "")
        else:
            on = breaching >= min(self.needed, len(found))
            if on and breaching < self.needed and self.missing == "ignore":
                return before, ""
        values = ", ".join(f"{value:.10g}" for value in found) or "no datapoints were received"
        verb = "was" if on else "was not"
        reason = (
            f"Threshold Crossed: {breaching} out of the last {self.periods} datapoints [{values}] {verb} {words} the threshold ({self.threshold})."
        )
        return ("ALARM" if on else "OK"), reason
