"""From one state to another: steps, and the plan that orders them. Pure; the engine runs it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from deployer.core.state import Resource
from deployer.events import Noticed, Report, StepProgressed

Cloud = TypeVar("Cloud")
Cloud_contra = TypeVar("Cloud_contra", contravariant=True)


class Effect(StrEnum):
    """What a step does to the cloud."""

    READ = "read"
    """Looks, or waits; changes nothing."""
    CREATE = "create"
    UPDATE = "update"
    SWITCH = "switch"
    """May move traffic: from the moment that it is sent an interrupt undoes nothing."""
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step tells while it runs, under its own name: who makes the step's events decides what it is called in them, not the step."""

    step: str
    label: str
    report: Report

    def note(self, text: str) -> None:
        """How far it is, in a phrase: "Creating, container loads the model"."""
        self.report(StepProgressed(step=self.step, label=self.label, note=text))

    def moved(self, done: int, total: int | None = None, *, unit: str = "bytes") -> None:
        """`done` of `total`."""
        self.report(StepProgressed(step=self.step, label=self.label, done=done, total=total, unit=unit))

    def warn(self, message: str) -> None:
        """Something that the user should know and that stops nothing."""
        self.report(Noticed(level="warning", message=message))


class Step(Protocol[Cloud_contra]):
    """One change, safe to run twice. A frozen dataclass: all that it needs is in its fields, so a plan can be printed, compared and sent as JSON."""

    __slots__ = ()

    @property
    def effect(self) -> Effect:
        """What it does to the cloud; a class says `effect = Effect.CREATE`."""

    @property
    def makes(self) -> Resource | None:
        """The one thing that it makes, if there is one: where that is there already, a plan doesn't show the step."""
        return None

    def describe(self) -> str:
        """What users call it: "model data", "endpoint config churn-c0de7741aa"."""

    def run(self, cloud: Cloud_contra, progress: Progress) -> bool:
        """Make the change; whether it changed anything. Returns at once where the cloud already agrees.

        Raises:
            DeployerError: where it is `definite`, what was asked for had no effect, and the engine goes back. Anything else says that the
                outcome isn't known, or that somebody else took over: the engine leaves everything.
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
        pauses_at: where it ends in the middle of a rollout, until somebody goes on or back: the share that the new generation has by then.
    """

    forward: tuple[Step[Cloud], ...] = ()
    live: tuple[Step[Cloud], ...] = ()
    back: tuple[Step[Cloud], ...] = ()
    sweep: tuple[Step[Cloud], ...] = ()
    keep: frozenset[Resource] = frozenset()
    removes: frozenset[Resource] = frozenset()
    pauses_at: int | None = None

    @property
    def empty(self) -> bool:
        """True where the cloud is as wanted: nothing to do."""
        return not (self.forward or self.live or self.sweep)


def kind_of(step: object) -> str:
    """A step's class name in snake case: its name in events."""
    return _snake(type(step).__name__)


@functools.cache
def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() and index else letter.lower() for index, letter in enumerate(name))
