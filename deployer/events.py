"""What happens while a plan runs, told to one `report` callback: the CLI draws these, `-o jsonl` prints them, `on_event=` receives them.

def report(event: Event) -> None: ...
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import TypedDict

from deployer.errors import DeployerError
from deployer.words import rfc3339
from deployer_scoring.masking import masked


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base: when it happened (UTC). Secrets in its texts are masked."""

    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, str) and (shown := masked(value)) != value:
                object.__setattr__(self, each.name, shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved(Event):
    """What is wanted is known in full: the generation that is to serve, the one that it `replaces`, the model and the image.

    `model` is its URI, `size` in bytes; `where` is the target in full ("sagemaker us-west-2, account 123456789012") if its URI isn't that
    already; `changes` is false where all of it serves already.
    """

    deployment: str
    generation: str
    model: str
    digest: str
    image: str
    framework: str = ""
    python_version: str = ""
    size: int = 0
    where: str = ""
    replaces: str = ""
    changes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    """A step begins. `step` is its kind ("upload_model"), `label` what users call it ("model data"), `resource` what it makes or changes.

    `effect` is read, create, update, switch or delete, of the steps of a plan.
    """

    step: str
    label: str
    effect: str = ""
    resource: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgressed(Event):
    """`done` of `total` in `unit` ("bytes", "layers"), or, where no total is known, just a `note` ("Creating, container loads the model")."""

    step: str
    label: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(Event):
    """A step is done. `changed` is false where the cloud already agreed, and of what only looks; `detail` is one phrase ("2.1 MB to s3://…")."""

    step: str
    label: str
    effect: str = ""
    resource: str = ""
    changed: bool = True
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(Event):
    step: str
    label: str
    effect: str = ""
    resource: str = ""
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackStarted(Event):
    """The cloud said a definite no; what only the new generation uses is being removed."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed(Event):
    """Something the user should know that stops nothing. `level` is "info" or "warning"."""

    message: str
    level: str = "info"


Report = Callable[[Event], None]


@dataclass(slots=True)
class Outcome:
    """What a step came to, for its StepFinished."""

    resource: str = ""
    changed: bool = True
    detail: str = ""


@contextmanager
def stepping(report: Report, step: str, label: str, resource: str = "", effect: str = "") -> Iterator[Outcome]:
    """Report the block as one step; it fills in what the step came to. A block that raises has failed, and why is told."""
    begun, outcome, named = time.monotonic(), Outcome(resource), _Named(step=step, label=label, effect=effect)
    report(StepStarted(**named, resource=resource))
    try:
        yield outcome
    except BaseException as error:
        report(StepFailed(**named, resource=outcome.resource, reason=_reason(error), seconds=time.monotonic() - begun))
        raise
    seconds = time.monotonic() - begun
    report(StepFinished(**named, resource=outcome.resource, changed=outcome.changed, detail=outcome.detail, seconds=seconds))


class _Named(TypedDict):
    """What all events of one step have in common."""

    step: str
    label: str
    effect: str


def _reason(error: BaseException) -> str:
    if isinstance(error, DeployerError):
        return error.message
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return (str(error) if isinstance(error, OSError) else "") or type(error).__name__


def silent(_: Event) -> None:
    """A report for who doesn't listen."""


def document(event: Event) -> dict[str, object]:
    """The event as one JSON-ready mapping: its kind in snake case under `event`, its time in RFC 3339, empty fields left out."""
    fields = {key: value for key, value in asdict(event).items() if value not in ("", None) and key != "time"}
    return {"time": rfc3339(event.time), "event": _snake(type(event).__name__), **fields}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() and index else letter.lower() for index, letter in enumerate(name))
