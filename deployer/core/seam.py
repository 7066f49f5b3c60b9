"""The one way to call a cloud, whichever it is: asked again while the fault passes, credentials renewed once, faults said in our errors.

Beside it what all clients of clouds need: to look until something is so (`poll`), and to get over a lost answer (`ensure`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from deployer.core.interruption import pause
from deployer.core.retry import DEADLINE_SECONDS, FIRST_CONTACT_SECONDS, retried
from deployer.errors import DeployerError

Result = TypeVar("Result")


class FaultTable(Protocol):
    """A cloud's table: what its client library raises, and what that means. Who inherits it says only what there is."""

    def transient(self, error: BaseException) -> bool:
        """Whether the same call may well go through a moment later."""
        return False

    def unreached(self, error: BaseException) -> bool:
        """Whether nobody was there to ask: no such host, nothing that listens, no way to it."""
        return False

    def expired(self, error: BaseException) -> bool:
        """Whether the credentials are what was refused, and others may do."""
        return False

    def translated(self, error: Exception, operation: str) -> DeployerError | None:
        """Our error for what `operation` came to; None for what is none of the cloud's faults."""


class Seam:
    """Calls one cloud. Safe for several threads.

    Who has never answered is asked again for seconds only: a wrong address or a missing network is likelier then than a fault that passes.
    """

    def __init__(
        self, faults: FaultTable, *, renew: Callable[[BaseException], None] = lambda _: None, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        """Make a seam; nothing is asked yet.

        Args:
            renew: given what the cloud refused as expired, gets other credentials.
            deadline_seconds: how long transient faults are retried.
        """
        self._faults, self._renew, self.deadline_seconds = faults, renew, deadline_seconds
        self._reached = False

    def call(self, action: Callable[[], Result], operation: str, *, guard: Callable[[], None] | None = None, retry: bool = True) -> Result:
        """The result of `action`; `operation` names it in errors.

        Args:
            guard: looks before each further try whether this run may still do it: whether it holds its claim.
            retry: false for what can't be sent twice.

        Raises:
            DeployerError: what the cloud's table says.
        """
        try:
            try:
                return self._retried(action, guard, retry)
            except Exception as error:
                if not self._faults.expired(error):
                    raise
                self._retried(partial(self._renew, error), None, retry)
                return self._retried(action, guard, retry)
        except Exception as error:
            ours = self._faults.translated(error, operation)
            if ours is None:
                raise
            raise ours from error

    def _retried(self, action: Callable[[], Result], guard: Callable[[], None] | None, retry: bool) -> Result:
        begin = time.monotonic()

        def asked() -> Result:
            result = action()
            self._reached = True
            return result

        def worth_asking_again(error: BaseException) -> bool:
            self._reached = self._reached or not self._faults.unreached(error)
            return self._faults.transient(error) and (self._reached or time.monotonic() - begin < FIRST_CONTACT_SECONDS)

        return retried(asked, worth_asking_again, deadline_seconds=self.deadline_seconds if retry else 0, before_retry=guard)


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long to wait between two looks: `share` of the time waited so far, in bounds. What takes long is looked at less often."""

    shortest: float = 0.2
    longest: float = 15.0
    share: float = 0.1

    def after(self, waited: float) -> float:
        return min(max(self.shortest, waited * self.share), self.longest)


STEADY = Pauses()
AT_ONCE = Pauses(shortest=0.0, longest=0.0)
"""For looks that wait by themselves."""
DOUBLING = Pauses(longest=5.0, share=1.0)
"""For what is nearly always so at once, and else soon."""


def poll(
    look: Callable[[], Result],
    *,
    seconds: float,
    late: Callable[[Result], DeployerError] | None = None,
    pauses: Pauses = STEADY,
    sleep: Callable[[float], None] | None = None,
) -> Iterator[Result]:
    """What `look` sees, again and again, until the caller has seen enough or the time is over; once at least.

    Args:
        late: the error that ends it where the time is over, given what was seen last; without one it just ends.
        sleep: instead of `interruption.pause`.
    """
    begin = time.monotonic()
    while True:
        seen = look()
        yield seen
        waited = time.monotonic() - begin
        rest = pauses.after(waited)
        if waited + rest > seconds:
            if late is not None:
                raise late(seen)
            return
        (sleep or pause)(rest)


def ensure(send: Callable[[], object], agreed: Callable[[], bool]) -> None:
    """Send; a no is none where the cloud is as wanted all the same: the answer to an earlier try was lost, or a rival wanted the same.

    Raises:
        DeployerError: what `send` raises, where the cloud isn't as wanted, and what `agreed` raises.
    """
    try:
        send()
    except DeployerError as no:
        if not no.definite or not agreed():
            raise
