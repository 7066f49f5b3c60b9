"""One client's wire to the cloud: where faults strike, where a client is killed, and where another gets its turn. Nothing else may fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.simulation.cloud import Cloud
from tests.simulation.service import Answer, LostAnswer, ServiceError


class Fault(StrEnum):
    """What can happen to one call."""

    THROTTLED = "throttled"  # once, without effect
    REFUSED = "refused"  # a definite no, without effect
    LOST = "lost"  # the effect is there, the answer isn't
    DOWN = "down"  # this call and all after it: no effect, no answer
    LOST_THEN_DOWN = "lost, then down"  # this call has its effect; nothing comes back any more
    KILLED = "killed before"  # kill -9 before the call
    KILLED_AFTER = "killed after"  # kill -9 once the call has had its effect
    INTERRUPTED = "interrupted before"  # Ctrl-C
    INTERRUPTED_AFTER = "interrupted after"


class Killed(BaseException):
    """The client is dead. Whatever its `finally` still tries has no effect."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A call as the client sent it."""

    time: int
    api: str
    parameters: Answer


@dataclass(slots=True)
class Wire:
    """Carries the calls of `actor`, numbered from 0. `turn` runs before each: there a scheduler lets others go first.

    Attributes:
        faults: by the number of the call.
        sent: all calls that reached the cloud.
        refused: the APIs whose calls a fault refused.
    """

    cloud: Cloud
    actor: str
    faults: Mapping[int, Fault] = field(default_factory=dict)
    turn: Callable[[int], None] = lambda _: None
    calls: int = 0
    dead: bool = False
    down: bool = False
    sent: list[Sent] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def call(self, api: str, **parameters: Any) -> Answer:
        """One call of an API.

        Raises:
            ServiceError, LostAnswer, Killed, KeyboardInterrupt
        """
        if self.dead:
            raise Killed
        number, self.calls = self.calls, self.calls + 1
        self.turn(number)
        fault = self.faults.get(number)
        if fault is not None:
            self._strike_before(fault, api)
        if self.down:
            self.cloud.wait(1)
            raise LostAnswer("no answer")
        self.sent.append(Sent(self.cloud.time, api, parameters))
        answer = self.cloud.call(self.actor, api, parameters)
        if fault is not None:
            self._strike_after(fault)
        return answer

    def wait(self, seconds: float) -> None:
        """Sleep: time passes, and others get their turn."""
        if self.dead:
            raise Killed
        self.cloud.wait(seconds)

    def _strike_before(self, fault: Fault, api: str) -> None:
        if fault is Fault.KILLED:
            self.dead = True
            raise Killed
        if fault is Fault.INTERRUPTED:
            raise KeyboardInterrupt
        if fault is Fault.THROTTLED:
            raise ServiceError("ThrottlingException", "Rate exceeded")
        if fault is Fault.REFUSED:
            self.refused.append(api)
            raise ServiceError("AccessDeniedException", f"not authorized to perform {api}")
        if fault is Fault.DOWN:
            self.down = True

    def _strike_after(self, fault: Fault) -> None:
        if fault is Fault.KILLED_AFTER:
            self.dead = True
            raise Killed
        if fault is Fault.INTERRUPTED_AFTER:
            raise KeyboardInterrupt
        if fault in (Fault.LOST, Fault.LOST_THEN_DOWN):
            self.down = fault is Fault.LOST_THEN_DOWN
            raise LostAnswer("the connection was closed")
