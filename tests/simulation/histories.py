"""A history: what a cloud is like, which commands are run on it, what strikes them. A value, so that it can be printed and shrunk."""

from __future__ import annotations

import atexit
import functools
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

from deployer import checks
from deployer.artifacts import content_digest, files
from deployer.core.state import DeploymentName, Digest, ModelFacts, PackagedModel
from deployer.core.target import Intent, Target
from deployer.errors import DeployerError
from deployer.events import Event, Noticed, Report, RollbackStarted, StepFailed, StepFinished
from deployer.verbs import lifecycle
from deployer.verbs.lifecycle import Wish
from deployer.verbs.moves import Direction, Move
from tests.simulation.cloud import Behaviour, Cloud, data_of, model_of
from tests.simulation.service import ServiceError
from tests.simulation.wire import Fault, Killed, Wire

NAME = DeploymentName("churn")
HAND = "by hand"


@dataclass(frozen=True, slots=True)
class Command:
    """One command as a user gives it, and what strikes which of its calls."""

    verb: str
    model: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    faults: tuple[tuple[int, Fault], ...] = ()

    def __str__(self) -> str:
        words = [self.verb, self.model, *(f"{key}={value}" for key, value in self.options)]
        return " ".join(filter(None, words)) + "".join(f" [call {number}: {fault}]" for number, fault in self.faults)


@dataclass(frozen=True, slots=True)
class Together:
    """Two clients at once. `turns`: how many calls each makes before the other's turn, the first one's first; then the first runs to its end."""

    first: Command
    second: Command
    turns: tuple[int, ...]

    def __str__(self) -> str:
        return f"({self.first}) beside ({self.second}), turns {self.turns}"


Act = Command | Together


@dataclass(frozen=True, slots=True)
class History:
    """All that happens, in order."""

    acts: tuple[Act, ...]
    behaviour: Behaviour = field(default_factory=Behaviour)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one client ended: "done", "killed", or the error's class. `served`: when, in the cloud's time, it saw the new generation serve."""

    command: Command
    actor: str
    ended: str
    error: BaseException | None
    wire: Wire
    events: tuple[Event, ...] = ()
    served: int | None = None

    @property
    def went_back(self) -> bool:
        """Whether what was made was taken back, to the end: who is denied in both directions is told that it stays."""
        begun = [number for number, event in enumerate(self.events) if isinstance(event, RollbackStarted)]
        denied = self.ended == "PermissionDenied" and any(isinstance(event, StepFailed) for event in self.events[max(begun, default=0) :])
        return bool(begun) and not denied and self.ended not in ("RollbackFailed", "killed")

    @property
    def swept(self) -> bool:
        """Whether no removal was left to the next run."""
        return not any(isinstance(event, Noticed) and "not finished" in event.message for event in self.events)

    @property
    def done(self) -> bool:
        return self.error is None


class Subject(Protocol):
    """A target over the simulated cloud, and how histories speak to it."""

    target: Target[Any, Any]

    def over(self, wire: Wire, run: str) -> Any:
        """The target's own client of the cloud at the other end of the wire."""

    def options(self, command: Command) -> Mapping[str, Any]:
        """The command's options in the target's words."""

    def in_place(self) -> AbstractContextManager[None]:
        """What must hold while it runs."""


@functools.cache
def model_named(uri: str) -> PackagedModel:
    """A model of one file that doesn't shrink; "broken" crashes at load, "failing" answers with errors."""
    path = _models() / uri
    path.mkdir()
    (path / "weights").write_bytes(random.Random(uri).randbytes(700))
    return PackagedModel(ModelFacts(uri=uri, digest=content_digest(files(path))), path)


@functools.cache
def _models() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="simulated-models-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def digest_named(uri: str) -> Digest:
    return model_named(uri).digest


@contextmanager
def virtual_time(cloud: Cloud) -> Iterator[None]:
    """Sleeping lets the cloud's time pass, and takes none of ours; the jitter of retries is the same each time."""
    random.seed(0)
    sleep, monotonic = time.sleep, time.monotonic
    time.sleep, time.monotonic = cloud.wait, lambda: float(cloud.time)  # type: ignore[assignment]
    try:
        yield
    finally:
        time.sleep, time.monotonic = sleep, monotonic


def hollow_models() -> AbstractContextManager[object]:
    """Nobody looks into the models, which have nothing in them. Around whole histories: clients run in threads."""
    return patch.object(checks, "look_before_upload", lambda *_: None)


def run(subject: Subject, command: Command, cloud: Cloud, actor: str, turn: Callable[[int], None] | None = None) -> Outcome:
    """One client's run from start to end."""
    wire = Wire(cloud, actor, dict(command.faults), turn or _no_turn)
    if command.verb == "delete":
        cloud.may_delete.add(actor)
    events: list[Event] = []
    served: list[int] = []

    def report(event: Event) -> None:
        events.append(event)
        if isinstance(event, StepFinished) and event.step == "await_serving":
            served.append(cloud.time)

    ended, error = "done", None  # type: tuple[str, BaseException | None]
    try:
        _execute(subject, command, wire, actor, report)
    except Killed as death:
        ended, error = "killed", death
    except (DeployerError, KeyboardInterrupt) as failure:
        ended, error = type(failure).__name__, failure
    return Outcome(command, actor, ended, error, wire, tuple(events), served[-1] if served else None)


def _no_turn(_: int) -> None:
    return


def _execute(subject: Subject, command: Command, wire: Wire, actor: str, report: Report) -> None:
    if command.verb == HAND:
        _point_by_hand(command, wire)
        return
    target, cloud, options = subject.target, subject.over(wire, actor), subject.options(command)
    if command.verb in ("delete", "prune"):
        config = target.config.parse(options, target=target.scheme)
        verb: Callable[..., object] = lifecycle.delete if command.verb == "delete" else lifecycle.prune
        verb(target, cloud, NAME, config, report)
        return
    moves = command.verb in tuple(Direction)
    wish = Wish(
        name=NAME,
        intent=Intent.UPDATE if moves else Intent(command.verb),
        move=Move(Direction(command.verb)) if moves else None,
        model=model_named(command.model) if command.model else None,
        config=target.config.parse(options, target=target.scheme),
        packages="image",
    )
    lifecycle.deploy(target, cloud, wish, report, timeout_seconds=600)


def _point_by_hand(command: Command, wire: Wire) -> None:
    """Somebody in the console: no claim, no look. To a config that leads to this model, if there is one."""
    digest = digest_named(command.model).removeprefix("sha256:")[:10]
    models = {name for name, model in wire.cloud.models.items() if digest in data_of(model)}
    for name, config in list(wire.cloud.configs.items()):
        if model_of(config) in models:
            with suppress(ServiceError):
                wire.call("update_endpoint", EndpointName=NAME, EndpointConfigName=name)
            return


def run_together(subject: Subject, both: Together, cloud: Cloud, actors: tuple[str, str]) -> tuple[Outcome, Outcome]:
    """Two clients, each in a thread, of which exactly one runs at any time: who holds the baton."""
    baton = Baton(both.turns)
    found: dict[int, Outcome] = {}

    def client(who: int, command: Command) -> None:
        baton.wait_for(who)
        try:
            found[who] = run(subject, command, cloud, actors[who], turn=lambda _: baton.spend(who))
        finally:
            baton.leave(who)

    other = threading.Thread(target=client, args=(1, both.second))
    other.start()
    client(0, both.first)
    other.join()
    return found[0], found[1]


class Baton:
    """Who may run: the first for turns[0] calls, the second for turns[1], and so on; after that who is first and not done yet."""

    def __init__(self, turns: tuple[int, ...]) -> None:
        self._turns = iter(turns)
        self._left: int | None = next(self._turns, None)
        self._present = [True, True]
        self._locks = (threading.Lock(), threading.Lock())
        self._locks[1].acquire()

    def wait_for(self, who: int) -> None:
        self._locks[who].acquire()

    def spend(self, who: int) -> None:
        """Before a call of `who`: hands over if its turn is used up."""
        while self._left == 0 and self._present[1 - who]:
            self._left = next(self._turns, None)
            self._locks[1 - who].release()
            self._locks[who].acquire()
        if self._left:
            self._left -= 1

    def leave(self, who: int) -> None:
        self._present[who] = False
        self._left = None
        if self._present[1 - who]:
            self._locks[1 - who].release()
