"""Clients that the contract puts in trouble: killed before a step, held up before a step, watched while they stream requests."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from deployer.core.capabilities import SupportsEndpoints
from deployer.core.state import DeploymentName, PackagedModel
from deployer.core.target import Intent, Target, TargetUri
from deployer.errors import DeployerError
from deployer.events import Event, Report, StepProgressed, StepStarted
from deployer.verbs import lifecycle
from deployer.verbs.lifecycle import Wish
from deployer.verbs.moves import Direction, Move

DELETE = "delete"
PRUNE = "prune"
TO = "to"
"""Of a rollback: the generation, among its options."""

_CHILDREN = threading.Lock()
"""`start` looks after other threads' processes, too; of two who read a process's exit code at once, one gets 255."""


@dataclass(frozen=True, slots=True)
class UserCommand:
    """One command as a user gives it: create, update, apply, delete, prune, promote, abort or rollback."""

    verb: str
    name: DeploymentName
    model: PackagedModel | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    packages: str = "image"
    adopt: bool = False
    endpoint: str | None = None

    def __str__(self) -> str:
        words = [self.verb, self.name, self.model.facts.uri if self.model else "", *(f"{key}={value}" for key, value in self.options.items())]
        return " ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a client ended.

    Attributes:
        code: "done", or the error's stable code ("rollout-failed").
        changed: false where there was nothing to do.
        error: as a user would read it, with its reason and the container's last lines.
        steps: kinds of the steps begun, in order.
        sent_bytes: what uploads reported.
        grown_bytes: how much the client's resident memory grew at most (only of clients that have a process of their own).
    """

    code: str
    changed: bool = True
    error: str = ""
    why: str = ""
    lines: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    sent_bytes: int = 0
    grown_bytes: int = 0

    @property
    def done(self) -> bool:
        return self.code == "done"


@dataclass(frozen=True, slots=True)
class Origin:
    """All that a process of its own needs to reach the same cloud.

    Attributes:
        target: "module:Class".
        uri: as after -t.
        options: what `connect` reads of the target's options.
        environment: variables to set first (endpoints, credentials).
        endpoint: the one that the cloud is seen through, where deployments are behind one.
    """

    target: str
    uri: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    endpoint: str | None = None

    def reach(self) -> tuple[Target[Any, Any], Any]:
        """The target and a client of its cloud."""
        os.environ.update(self.environment)
        module, _, name = self.target.partition(":")
        target: Target[Any, Any] = getattr(importlib.import_module(module), name)()
        cloud = target.connect(TargetUri.parse(self.uri), target.config.parse(self.options, target=target.scheme))
        return target, target.behind(self.endpoint, cloud) if self.endpoint and isinstance(target, SupportsEndpoints) else cloud


def execute(target: Target[Any, Any], cloud: Any, command: UserCommand, report: Report) -> bool:
    """Run a command as the CLI does; whether anything was to be done.

    Raises:
        DeployerError
    """
    config = _config(target, command)
    if command.verb == DELETE:
        return lifecycle.delete(target, cloud, command.name, config, report)
    if command.verb == PRUNE:
        return not lifecycle.prune(target, cloud, command.name, config, report).empty
    return not lifecycle.deploy(target, cloud, wish(target, command), report, timeout_seconds=config.timeout_seconds).plan.empty


def wish(target: Target[Any, Any], command: UserCommand) -> Wish:
    """What a command that brings a generation asks for."""
    moves = command.verb in tuple(Direction)
    return Wish(
        name=command.name,
        intent=Intent.UPDATE if moves else Intent(command.verb),
        move=Move(Direction(command.verb), command.options.get(TO)) if moves else None,
        model=command.model,
        config=_config(target, command),
        packages=command.packages,
        adopt=command.adopt,
        endpoint=command.endpoint,
    )


def _config(target: Target[Any, Any], command: UserCommand) -> Any:
    return target.config.parse({key: value for key, value in command.options.items() if key != TO}, target=target.scheme)


def run(target: Target[Any, Any], cloud: Any, command: UserCommand, before_step: Callable[[int], None] | None = None) -> Ended:
    """Run a command to its end. `before_step` is called as each step begins, with its number from 0."""
    steps: list[str] = []
    sent: dict[str, int] = {}

    def report(event: Event) -> None:
        if isinstance(event, StepProgressed) and event.unit == "bytes":
            sent[event.label] = max(sent.get(event.label, 0), event.done)
        if isinstance(event, StepStarted):
            steps.append(event.step)
            if before_step is not None:
                before_step(len(steps) - 1)

    try:
        changed = execute(target, cloud, command, report)
    except DeployerError as error:
        return Ended(error.code, True, error.message, error.why, error.lines, tuple(steps), sum(sent.values()))
    return Ended("done", changed, steps=tuple(steps), sent_bytes=sum(sent.values()))


def run_apart(origin: Origin, command: UserCommand, *, kill_before: int | None = None) -> Ended | None:
    """Run a command in a process of its own, killed with SIGKILL as step number `kill_before` begins. None where it was killed.

    Raises:
        RuntimeError: the process died of something else.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, origin.target.partition(":")[0]])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_live_apart, args=(origin, command, kill_before, theirs), daemon=True)
    with _CHILDREN:
        process.start()
    theirs.close()
    try:
        ended: Ended | None = ours.recv()
    except EOFError:
        ended = None
    with _CHILDREN:
        process.join()
    if ended is None and process.exitcode != -signal.SIGKILL:
        raise RuntimeError(f"{command} died with exit code {process.exitcode}")
    return ended


def _live_apart(origin: Origin, command: UserCommand, kill_before: int | None, answer: Connection) -> None:
    def before_step(number: int) -> None:
        if number == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)

    target, cloud = origin.reach()
    begin = resident_peak()
    ended = run(target, cloud, command, before_step)
    answer.send(Ended(ended.code, ended.changed, ended.error, ended.why, ended.lines, ended.steps, ended.sent_bytes, resident_peak() - begin))


def resident_peak() -> int:
    """The most memory that this process ever had resident, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class HeldUp:
    """A client in a thread that stands still as step number `before` begins, until `go_on`."""

    def __init__(self, target: Target[Any, Any], cloud: Any, command: UserCommand, before: int) -> None:
        self._ended: list[Ended] = []
        self._reached, self._released = threading.Event(), threading.Event()
        self.stands = False

        def before_step(number: int) -> None:
            if number == before:
                self.stands = True
                self._reached.set()
                self._released.wait()

        def live() -> None:
            try:
                self._ended.append(run(target, cloud, command, before_step))
            finally:
                self._reached.set()

        self._thread = threading.Thread(target=live, name=f"held up: {command}", daemon=True)

    def __enter__(self) -> Self:
        """Started, and standing still or at its end."""
        self._thread.start()
        self._reached.wait()
        return self

    def go_on(self) -> Ended:
        """Let it run to its end."""
        self._released.set()
        self._thread.join()
        return self._ended[0]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._released.set()
        self._thread.join()


class Stream:
    """One request after the other while the block lasts; `ask` gives an answer or raises."""

    def __init__(self, ask: Callable[[], object], pause_seconds: float = 0.02) -> None:
        self._ask, self._pause = ask, pause_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, name="request stream", daemon=True)
        self.answers: list[object] = []
        self.failures: list[str] = []

    def once(self) -> None:
        """One request."""
        try:
            self.answers.append(self._ask())
        except DeployerError as error:
            self.failures.append(str(error))
        except Exception as error:
            self.failures.append(repr(error))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _send(self) -> None:
        while not self._over.is_set():
            self.once()
            self._over.wait(self._pause)
