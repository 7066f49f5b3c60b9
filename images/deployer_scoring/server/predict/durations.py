"""How long the model takes for a request of so many bytes, learned from the requests before it."""

from __future__ import annotations

from typing import Optional

_SIZES = 48  # powers of two of bytes
# Of the newest measure: what took less tells more of the model, what took more often of a busy machine. So it is nearer to the shortest times.
_WEIGHT_OF_LESS, _WEIGHT_OF_MORE = 0.3, 0.05
_SURPRISE = 2.0  # times what is known: a measure over it counts as that much, however long it was


class Durations:
    """A moving measure for each power of two of bytes."""

    def __init__(self) -> None:
        self._known: list[Optional[float]] = [None] * _SIZES

    def learn(self, size: int, seconds: float) -> None:
        """Take in a measure.

        Args:
            size: Bytes of the request, or of those that were joined.
            seconds: What they took together, from bytes to bytes.
        """
        at = min(size.bit_length(), _SIZES - 1)
        known = self._known[at]
        if known is None:
            self._known[at] = seconds
        elif seconds < known:
            self._known[at] = known + _WEIGHT_OF_LESS * (seconds - known)
        else:
            self._known[at] = known + _WEIGHT_OF_MORE * (min(seconds, known * _SURPRISE) - known)

    def expected(self, size: int) -> Optional[float]:
        """Seconds for so many bytes; None where nothing is known yet.

        Of sizes not yet seen, the nearest smaller one tells, as if time grew with size; else the nearest larger one.
        """
        at = min(size.bit_length(), _SIZES - 1)
        known = self._known[at]
        if known is not None:
            return known
        for smaller in range(at - 1, -1, -1):
            known = self._known[smaller]
            if known is not None:
                return known * float(1 << (at - smaller))
        return next((seconds for seconds in self._known[at:] if seconds is not None), None)
