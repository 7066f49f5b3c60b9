"""From one state to another: steps, and the plan that orders them. Pure; the engine runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from deployer.events import Report
from deployer.state import Resource

Cloud = TypeVar("Cloud")
Cloud_contra = TypeVar("Cloud_contra", contravariant=True)


class Step(Protocol[Cloud_contra]):
    """One change, safe to run twice. A frozen dataclass: all that it needs is in its fields, so a plan can be printed, compared and sent as JSON.

    It may have two more attributes. `switch`: True where sending it may move traffic. `makes`: the `Resource` that it makes, None where it makes
    none: where that is there already, a plan doesn't show the step.
    """

    def describe(self) -> str:
        """What users call it: "model data", "endpoint config churn-c0de7741aa"."""

    def run(self, cloud: Cloud_contra, report: Report) -> None:
        """Make the change; return at once where the cloud already agrees.

        Raises:
            Refused, RolloutFailed: a definite no; the engine goes back.
            DeployerError: the outcome isn't known or somebody else took over; the engine leaves everything.
        """


@dataclass(frozen=True, slots=True)
class Plan(Generic[Cloud]):
    """What turns what is there into what is wanted.

    Attributes:
        forward: up to the moment when the new generation is seen to serve, whole.
        live: what changes in place: counts, tags, autoscaling bounds.
        back: after a definite no: the traffic given back where the cloud doesn't do it itself, then what only the new generation uses is removed.
        sweep: after success: removes what is there then and not in `keep`.
        keep: what may stay; after success everything else of ours goes.
        removes: of what is there now, what goes: for printing.
    """

    forward: tuple[Step[Cloud], ...] = ()
    live: tuple[Step[Cloud], ...] = ()
    back: tuple[Step[Cloud], ...] = ()
    sweep: tuple[Step[Cloud], ...] = ()
    keep: frozenset[Resource] = frozenset()
    removes: frozenset[Resource] = frozenset()

    @property
    def empty(self) -> bool:
        """True where the cloud is as wanted: nothing to do."""
        return not (self.forward or self.live or self.sweep)
