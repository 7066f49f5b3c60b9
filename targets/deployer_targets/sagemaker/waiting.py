"""Waiting for SageMaker: until it is done with an endpoint, and until what is wanted is seen to serve."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deployer.core.plan import Effect, Progress, Step
from deployer.core.seam import poll
from deployer.core.state import DeploymentName
from deployer.errors import DeployerError, RollbackFailed, RolloutFailed, TimedOut
from deployer.events import Report
from deployer_targets.sagemaker import logs
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.observe import Endpoint, describe
from deployer_targets.sagemaker.steps import changed_by_another

_ON_THE_WAY = frozenset({"Creating", "Updating"})
_PHASES = {
    "Creating": "container loads the model",
    "Updating": "container loads the model",
    "ActivatingTraffic": "traffic moves to it",
    "Baking": "the new one is watched before the old one goes",
}
"""A variant's own status (AWS: ProductionVariantStatus) in our words."""

_EXCEPTION = re.compile(r"^\s*((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|NotFound)): (.+)$")
_MISSING = re.compile(r"No module named '([\w]+)")


@dataclass(frozen=True, slots=True)
class AwaitServing(Step[Aws]):
    """The endpoint in service on the new config. In service on the old one with a reason means that SageMaker rolled back.

    Attributes:
        before: the generation that serves meanwhile, None where none does.
    """

    name: DeploymentName
    config: str
    before: str | None = None
    timeout_seconds: float = 1200
    effect = Effect.READ

    def describe(self) -> str:
        return f"endpoint {self.name} in service"

    def run(self, cloud: Aws, progress: Progress) -> bool:
        for endpoint in looks(self.name, cloud, self.timeout_seconds):
            if endpoint is None:
                raise changed_by_another(self.name, "it is gone", self.config)
            if self._serves(endpoint, cloud):
                break
            progress.note(progress_of(endpoint))
        return False

    def _serves(self, endpoint: Endpoint, cloud: Aws) -> bool:
        """True once it serves, False while it is on the way.

        Raises:
            RolloutFailed: it won't; the old one serves, or nothing does.
            RollbackFailed: and SageMaker's own way back failed.
            Conflict: somebody else changed the endpoint.
        """
        if endpoint.status == "Deleting":
            raise changed_by_another(self.name, "it is being deleted", self.config)
        if endpoint.busy or endpoint.status == "OutOfService":
            return False
        if endpoint.status == "UpdateRollbackFailed":
            raise RollbackFailed(
                f"{self.name} could not be updated, and SageMaker's way back failed too: it serves with a mix of both generations",
                why=endpoint.reason,
                advice="deploy apply the generation that is wanted; SageMaker's support can help where that fails",
                lines=self._last_lines(cloud),
            )
        if endpoint.carried == self.config:
            if endpoint.status == "Failed":
                raise self._failure(endpoint, cloud)
            return endpoint.incoming is None
        if endpoint.status == "Failed":
            raise RollbackFailed(
                f"{self.name} could not be updated, and nothing serves any more",
                why=endpoint.reason,
                advice="run the same command again: it makes the endpoint anew",
                lines=self._last_lines(cloud),
            )
        if self.config == endpoint.incoming:
            return False
        if endpoint.reason:
            raise self._failure(endpoint, cloud)
        raise changed_by_another(self.name, f"it is {endpoint.status} on {endpoint.carried}", self.config)

    def _failure(self, endpoint: Endpoint, cloud: Aws) -> RolloutFailed:
        lines = self._last_lines(cloud)
        cause, advice = explained(lines)
        said = endpoint.reason or "SageMaker gives no reason"
        still = f"was not updated; generation {self.before} still serves" if self.before else "was not created: its container can't serve"
        return RolloutFailed(
            f"{self.name} {still}",
            why=f"{cause} ({said})" if cause else said,
            advice=advice or f"deploy logs -n {self.name} has all that the container wrote; deploy run-local tries the same on this machine",
            lines=lines,
        )

    def _last_lines(self, cloud: Aws) -> tuple[str, ...]:
        try:
            return logs.last_words(self.name, cloud)
        except DeployerError:
            return ()


def settle(name: DeploymentName, cloud: Aws, report: Report, timeout_seconds: float) -> None:
    """Wait until SageMaker is done with what it does to the endpoint; at once where it is at rest or absent.

    Raises:
        TimedOut: it isn't done yet.
    """
    progress = Progress("settle", f"endpoint {name}", report)
    for endpoint in looks(name, cloud, timeout_seconds):
        if endpoint is None or not endpoint.busy:
            return
        progress.note(progress_of(endpoint))


def looks(name: str, cloud: Aws, timeout_seconds: float) -> Iterator[Endpoint | None]:
    """The endpoint again and again, with longer pauses as time goes by.

    Raises:
        TimedOut: the time is over and the caller still asks.
    """

    def late(endpoint: Endpoint | None) -> TimedOut:
        return TimedOut(
            f"{name} is still {endpoint.status if endpoint else 'absent'} after {timeout_seconds:.0f} s, and SageMaker goes on with it",
            advice="the same command follows it; --timeout gives it longer",
        )

    return poll(lambda: describe(name, cloud), seconds=timeout_seconds, late=late, sleep=cloud.connection.sleep)


def progress_of(endpoint: Endpoint) -> str:
    """One phrase: the status, and what the variants say of themselves."""
    if endpoint.status not in _ON_THE_WAY:
        return endpoint.status
    pending = endpoint.description.get("PendingDeploymentSummary") or endpoint.description
    said = [
        state.get("StatusMessage") or _PHASES.get(state["Status"], state["Status"])
        for variant in pending.get("ProductionVariants") or ()
        for state in variant.get("VariantStatus") or ()
    ]
    return ", ".join(dict.fromkeys((endpoint.status, *said)))


def explained(lines: tuple[str, ...]) -> tuple[str, str]:
    """The exception that the container's lines end with, and what would help; empty where they tell of none."""
    for line in reversed(lines):
        if match := _EXCEPTION.match(line):
            missing = _MISSING.search(line)
            advice = (
                f"add {missing[1]} to the model's requirements, or build an image that has it: deploy build-and-push-container --with {missing[1]}"
                if missing
                else ""
            )
            return f"{match[1]}: {match[2]}", advice
    return "", ""
