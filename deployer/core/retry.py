"""The one retry policy: transient faults again with jitter until a deadline; what isn't transient, never."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from deployer.core.interruption import pause

Result = TypeVar("Result")

DEADLINE_SECONDS = 120.0
FIRST_CONTACT_SECONDS = 5.0
"""How long who has never answered is asked again: a wrong address or a missing network is likelier then than a fault that passes."""


def retried(
    call: Callable[[], Result],
    transient: Callable[[BaseException], bool],
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    before_retry: Callable[[], None] | None = None,
) -> Result:
    """The result of `call`, asked again while `transient` says so of what it raises, at most `deadline_seconds` long; then its last error.

    `before_retry` runs before each further try: a client looks there whether it still holds its claim.
    """
    try:
        return call()
    except BaseException as error:
        if not transient(error):
            raise
        failed = [error]

    # Loaded and set up only now: a call that goes well at once, as nearly all do, costs nothing more.
    import tenacity

    def again() -> Result:
        if failed:
            raise failed.pop()
        return call()

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(transient),
        wait=tenacity.wait_exponential(multiplier=0.1, max=10) + tenacity.wait_random(0, 0.2),
        stop=tenacity.stop_after_delay(deadline_seconds),
        before=lambda state: before_retry() if before_retry and state.attempt_number > 1 else None,
        sleep=pause,
        reraise=True,
    )
    return retrying(again)
