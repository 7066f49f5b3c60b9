"""How a generation comes to have the traffic: by which shares, what is waited for at each, and where a plan ends for somebody to decide.

A target gives one thing, the steps that take the traffic from one state to another; the way through them is the same on every target.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from deployer.core.capabilities import SupportsStrategies
from deployer.core.generations import Succession
from deployer.core.options import TargetConfig
from deployer.core.plan import Effect, Plan, Progress, Step
from deployer.core.seam import Pauses, poll
from deployer.core.state import DeploymentName, Observed, Share
from deployer.core.strategy_options import Checks, Course, misplaced
from deployer.core.target import DeploymentSpec
from deployer.core.traffic import Strategy
from deployer.errors import ConfigInvalid, RolloutFailed, TimedOut
from deployer.words import duration

Cloud = TypeVar("Cloud")
Cloud_contra = TypeVar("Cloud_contra", contravariant=True)
Traffic = tuple[Share, ...]


class Shift(Protocol[Cloud_contra]):
    """What a target gives: the steps to a state of the traffic from the one before it, at whose end it is seen to be so."""

    def __call__(self, to: Traffic, now: Traffic, *, back: bool = False) -> tuple[Step[Cloud_contra], ...]:
        """`back`: given back by the generation that `now` has last, and only where that has a share."""


@dataclass(frozen=True, slots=True)
class Way(Generic[Cloud]):
    """From the traffic as it is to a generation.

    Attributes:
        steps: `first` is how many of them take it to its first share.
        back: gives back what share it has.
        stops_at: the share at which the plan stops on the way, until somebody goes on or back; None: it has all of the traffic at the end, alone.
    """

    steps: tuple[Step[Cloud], ...]
    first: int
    back: tuple[Step[Cloud], ...] = ()
    stops_at: int | None = None

    @property
    def ends(self) -> bool:
        return self.stops_at is None

    def plan(
        self,
        spec: DeploymentSpec[Any],
        succession: Succession,
        observed: Observed | None,
        *,
        make: tuple[Step[Cloud], ...],
        live: tuple[Step[Cloud], ...],
        back: tuple[Step[Cloud], ...],
        sweep: Step[Cloud] | None,
        fenced: bool = False,
    ) -> Plan[Cloud]:
        """The plan that goes this way. As soon as the generation has a share what was made is looked at once more: by then nobody removes it.

        Args:
            sweep: None where there can be nothing to sweep.
            fenced: nobody removes it before, either: what an older run would still remove is marked by this one.
        """
        waits = spec.config.synchronous
        steps = (*make, *self.steps[: self.first], *(make if waits and not fenced else ()), *self.steps[self.first :])
        forward = () if succession.whole else steps
        goes = observed.resources - succession.keep if observed and self.ends else frozenset()
        sweeps = self.ends and (succession.whole or waits) and (forward or live or goes)
        return Plan(forward, live, (*self.back, *back), (sweep,) if sweep and sweeps else (), succession.keep, goes, pauses_at=self.stops_at)


def way(
    spec: DeploymentSpec[Any], observed: Observed | None, shift: Shift[Cloud], meter: SupportsStrategies[Cloud], course: Course | None = None
) -> Way[Cloud]:
    """The way to the generation of a spec, from the share that it has already, by the strategy of its options. Pure.

    Args:
        course: the strategy, where a target knows more of it than the options say: the shares that batches come to.
    """
    generation, course, now = spec.generation, course or spec.config.course, observed.traffic if observed else ()
    tried = observed is not None and observed.candidate == generation
    if not now or now[0].generation == generation or not (course.splits or tried):
        steps = shift((Share(generation),), now)
        return Way(steps, len(steps))
    before, alone = now[0].generation, (Share(generation),)
    back = shift((Share(before),), (Share(before), Share(generation)), back=True)

    def hold(share: int, *, decided: bool) -> Step[Cloud]:
        seconds, timeout_seconds = (0.0, 0.0) if decided else (course.pause or 0.0, spec.config.timeout_seconds)
        return Hold(spec.name, generation, share, seconds, course.checks, timeout_seconds, meter)

    share = now[1].percent if tried else None
    if share is not None and spec.rests:
        return Way((), 0, back, stops_at=share)
    steps = () if share is None else (hold(share, decided=spec.made or course.manual),)
    first = 0
    for step in course.after(share):
        then = (Share(before, 100 - step), Share(generation, step))
        steps += shift(then, now)
        now, first = then, first or len(steps)
        if course.manual or not spec.config.synchronous:
            return Way(steps, first, back, stops_at=step)
        steps += (hold(step, decided=False),)
    steps += shift(alone, now)
    return Way(steps, first or len(steps), back)


@dataclass(frozen=True, slots=True)
class Hold(Step[Any]):
    """The traffic stays as it is for a while, and the new generation is held to the checks.

    Attributes:
        seconds: how long at least.
        timeout_seconds: how much longer it may take until there are requests enough to judge by; 0: judged by what there is.
    """

    name: DeploymentName
    generation: str
    share: int
    seconds: float
    checks: Checks
    timeout_seconds: float
    meter: SupportsStrategies[Any] = field(repr=False, compare=False)
    effect = Effect.READ

    def describe(self) -> str:
        return f"{self.generation} {self._where}"

    @property
    def _where(self) -> str:
        return f"at {self.share} %" if self.share else "with a copy"

    def run(self, cloud: Any, progress: Progress) -> bool:
        begin = time.monotonic()
        pauses = Pauses(longest=min(15.0, max(0.2, self.seconds / 10)))
        for measured in poll(
            lambda: self.meter.measure(self.name, self.generation, cloud), seconds=self.seconds + self.timeout_seconds, pauses=pauses
        ):
            if failed := self.checks.failed(measured):
                raise RolloutFailed(
                    f"{self.generation} failed a check {self._where} of the traffic",
                    why=failed,
                    advice=f"deploy logs -n {self.name} has what its container wrote; correct the model, or the limit",
                )
            left = self.seconds - (time.monotonic() - begin)
            if left <= 0 and (self.checks.enough(measured) or not self.timeout_seconds):
                return False
            progress.note(f"{measured}, {duration(left)} left" if left > 0 else f"{measured}: {self.checks.min_requests} are needed")
        raise TimedOut(
            f"{self.generation} of {self.name} stays {self._where} of the traffic: fewer than {self.checks.min_requests} requests reached it, "
            "too few to judge by",
            advice=f"deploy update -n {self.name} --promote goes on without, --abort goes back; the same command waits again",
        )


def refuse_what_is_not_there(target: object, scheme: str, config: TargetConfig) -> None:
    """Refuse a strategy, or a part of it, that a target hasn't.

    Raises:
        ConfigInvalid: what it has.
    """
    course, given = config.course, config.parts
    has = target.strategies() if isinstance(target, SupportsStrategies) else {Strategy.ALL_AT_ONCE: frozenset[str]()}
    alarms = ("alarms",) if course.checks.alarms else ()
    checks = ("checks",) if course.checks.measured else ()
    wanted = (*(part for part, value in given.items() if value and part != "checks"), *checks, *alarms)
    wrong = misplaced(config.strategy, given)
    if not wrong and config.strategy not in has:
        wrong = f"{scheme} can't do strategy {config.strategy}: it has {', '.join(has)}"
    if not wrong and (lacking := [part for part in wanted if part not in has[config.strategy]]):
        wrong = f"{scheme} has no {' and no '.join(lacking)} for strategy {config.strategy}"
    if wrong:
        origin = config.origin("strategy")
        raise ConfigInvalid(
            wrong + (f" ({origin})" if origin else ""), advice=f"deploy help -t {scheme} lists the options; leave it out, or choose another strategy"
        )
