"""The options of a strategy: how they are written, which go together, and the course of shares that they come to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from deployer.core.traffic import PARTS, Measured, Strategy
from deployer.words import short_share, short_time

NESTED = WithJsonSchema(
    {
        "anyOf": [
            {"enum": list(map(str, Strategy))},
            {"type": "object", "propertyNames": {"enum": list(map(str, Strategy))}, "minProperties": 1, "maxProperties": 1},
        ]
    }
)
"""A strategy in a file: its name, or its name with its parts below."""

MANUAL = "manual"
STEPS = (10, 50)
PAUSE = "5m"
COPIED = 10
ENOUGH = 10

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def seconds(text: str) -> float:
    """The length of a time as options write it: "200ms", "30s", "10m", "1h"."""
    number, unit = _TIME.fullmatch(text).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


def _time(value: Any) -> Any:
    text = str(value).strip()
    if not _TIME.fullmatch(text):
        raise ValueError(f"{value} is not a time: write it with its unit, as 200ms, 30s, 10m or 1h")
    return text


def _pause(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return f"{value}s"
    text = str(value).strip()
    if text != MANUAL and not _TIME.fullmatch(text):
        raise ValueError(f"{value} is not a pause: write a time with its unit (30s, 10m, 1h), or manual")
    return text


def _percent(value: Any) -> Any:
    """ "1%", or a share of one, 0.01, as "1%"."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        value = f"{value * 100:g}%"
    text = str(value).strip()
    if not re.fullmatch(r"\d+(\.\d+)?%", text) or float(text[:-1]) > 100:
        raise ValueError(f"{value} is not a share: write it in percent, as 1%")
    return text


def _steps(value: Any) -> Any:
    """A list, or text as "10,50"; a last one of 100 says what is so anyway."""
    parts = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else [value]
    found = [part.strip().removesuffix("%") if isinstance(part, str) else part for part in parts]
    numbers = [int(part) if isinstance(part, str) and part.isdigit() else part for part in found]
    if numbers and numbers[-1] == 100:
        numbers.pop()
    if not numbers or any(isinstance(each, bool) or not isinstance(each, int) or not 1 <= each <= 99 for each in numbers):
        raise ValueError("steps are shares of the traffic in percent, each from 1 to 99: 10,50")
    if numbers != sorted(set(numbers)):
        raise ValueError("each step has to be larger than the one before: 10,50")
    return tuple(numbers)


def _mirror(value: Any) -> Any:
    """A share in percent: 20, "20%"."""
    text = str(value).strip().removesuffix("%")
    if not re.fullmatch(r"[1-9]\d?|100", text):
        raise ValueError(f"{value} is no share of the requests: write it in percent, as 20")
    return int(text)


def _batch(value: Any) -> Any:
    """A number of instances, or a share of them: "2", "25%"."""
    text = str(value).strip()
    if not re.fullmatch(r"[1-9]\d*", text) and not (re.fullmatch(r"[1-9]\d?%", text)):
        raise ValueError(f"{value} is not a batch: write a number of instances (2), or a share of them (25%)")
    return text


Time = Annotated[str, BeforeValidator(_time), Field(pattern=f"^{_TIME.pattern}$")]
Pause = Annotated[str, BeforeValidator(_pause)]
Percent = Annotated[str, BeforeValidator(_percent)]
Steps = Annotated[tuple[int, ...], BeforeValidator(_steps)]
Mirror = Annotated[int, BeforeValidator(_mirror)]
Batch = Annotated[str, BeforeValidator(_batch)]


class Checks(BaseModel):
    """Limits that the new generation is held to while it has a share of the traffic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error_rate: Annotated[Percent | None, Field(description="At most so many of its answers are errors of its own (5xx): 1%.")] = None
    latency_p50: Annotated[Time | None, Field(description="Half of its answers take no longer: 200ms.")] = None
    latency_p90: Annotated[Time | None, Field(description="Nine of ten of its answers take no longer.")] = None
    latency_p99: Annotated[Time | None, Field(description="99 of 100 of its answers take no longer.")] = None
    min_requests: Annotated[int, Field(ge=1, description="From so many requests on it is judged; until then the rollout waits.")] = ENOUGH
    alarms: Annotated[tuple[str, ...], Field(description="Alarms of the cloud's own that take the rollout back, where it has them.")] = ()

    @property
    def latencies(self) -> Mapping[int, float]:
        """The limits in seconds, by percentile."""
        named = {50: self.latency_p50, 90: self.latency_p90, 99: self.latency_p99}
        return {percentile: seconds(limit) for percentile, limit in named.items() if limit is not None}

    @property
    def measured(self) -> bool:
        """Whether requests must be counted to judge by these."""
        return self.error_rate is not None or bool(self.latencies)

    def enough(self, measured: Measured) -> bool:
        """Whether there were requests enough to judge by."""
        return not self.measured or measured.requests >= self.min_requests

    def failed(self, measured: Measured) -> str:
        """Which check failed, with its figure and its limit; "" where all hold, or where too little is known."""
        if not self.measured or measured.requests < self.min_requests:
            return ""
        if self.error_rate is not None and measured.error_rate > float(self.error_rate[:-1]) / 100:
            counted = f"{measured.errors} of {measured.requests} requests"
            return f"error_rate is {short_share(measured.error_rate)}, and the limit is {self.error_rate} ({counted})"
        for percentile, limit in self.latencies.items():
            found = measured.latencies.get(percentile)
            if found is not None and found > limit:
                return f"latency_p{percentile} is {short_time(found)}, and the limit is {short_time(limit)} (of {measured.requests} requests)"
        return ""


NO_CHECKS = Checks()


@dataclass(frozen=True, slots=True)
class Course:
    """A strategy with all its parts, what isn't said filled in.

    Attributes:
        steps: the shares that the new generation takes, one after the other, before the old one goes.
        pause: how many seconds each lasts; None: until somebody promotes.
        mirror: at a share of 0, of how many requests in percent the new generation gets a copy.
    """

    strategy: Strategy = Strategy.ALL_AT_ONCE
    steps: tuple[int, ...] = ()
    pause: float | None = 0.0
    checks: Checks = NO_CHECKS
    batch: str = ""
    allow_gap: bool = False
    mirror: int = 0

    @property
    def splits(self) -> bool:
        """Whether both generations stay, each with a share, for a while."""
        return bool(self.steps)

    @property
    def manual(self) -> bool:
        return self.splits and self.pause is None

    def after(self, share: int | None) -> tuple[int, ...]:
        """The steps that are left for a generation with this share; None: it has none yet. One that has all of the traffic is at the last."""
        return tuple(step for step in self.steps if share is None or step > share)


def course(
    strategy: Strategy,
    *,
    steps: tuple[int, ...] | None,
    pause: str | None,
    checks: Checks | None,
    batch: str | None,
    allow_gap: bool,
    mirror: int | None,
) -> Course:
    """A strategy and its parts as options have them."""
    held = checks or NO_CHECKS
    match strategy:
        case Strategy.CANARY:
            return Course(strategy, steps or STEPS, _length(pause or PAUSE), held)
        case Strategy.BLUE_GREEN:
            return Course(strategy, (100,), _length(pause or MANUAL), held)
        case Strategy.SHADOW:
            return Course(strategy, (0,), _length(pause or MANUAL), held, mirror=mirror or COPIED)
        case Strategy.ROLLING:
            return Course(strategy, (), _length(pause or "0s"), held, batch or "25%")
        case _:
            return Course(strategy, checks=held, allow_gap=allow_gap)


def nested(value: Any) -> dict[str, Any] | None:
    """`strategy: {canary: {steps: [10, 50]}}` as a file may write it, as the options that it stands for; None where it isn't of this form.

    Raises:
        ValueError: it is, and names what no strategy has.
    """
    if not isinstance(value, Mapping):
        return None
    if len(value) != 1:
        raise ValueError(f"strategy names one strategy, with its parts below it: {', '.join(Strategy)}")
    (name, parts), *_ = value.items()
    parts = {} if parts is None else parts
    if not isinstance(parts, Mapping) or parts.keys() - PARTS.keys():
        odd = ", ".join(map(str, parts.keys() - PARTS.keys())) if isinstance(parts, Mapping) else parts
        raise ValueError(f"{odd} is no part of a strategy: {', '.join(PARTS)}")
    return {"strategy": name, **parts}


def misplaced(strategy: Strategy, given: Mapping[str, Any]) -> str:
    """What of these options doesn't go with the strategy, in words; "" where all does."""
    for part, goes_with in PARTS.items():
        if given.get(part) and strategy not in goes_with:
            return f"{part} goes with strategy {' or '.join(sorted(goes_with))}, not with {strategy}"
    checks = given.get("checks")
    if isinstance(checks, Checks) and checks.measured and strategy not in PARTS["steps"] | PARTS["pause"] - {Strategy.ROLLING}:
        return f"checks of errors and latency go with strategy blue_green or canary, which keep both generations for a while, not with {strategy}"
    if given.get("pause") == MANUAL and strategy is Strategy.ROLLING:
        return "pause is a time where the strategy is rolling: the instances before are gone, and nobody could go back"
    return ""


def _length(pause: str) -> float | None:
    return None if pause == MANUAL else seconds(pause)
