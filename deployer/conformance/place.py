"""What a target's own tests give to the contract: a cloud to try it on, and what must be seen and done there beside the target's own verbs."""

from __future__ import annotations

import itertools
import json
import secrets
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from deployer.conformance.clients import Ended, HeldUp, Origin, Stream, UserCommand, run, run_apart
from deployer.conformance.sampling import whole
from deployer.core.state import DeploymentName, Observed, PackagedModel
from deployer.core.target import Payload, Target


@dataclass(frozen=True, slots=True)
class Sample:
    """A model, and what it answers to the place's question."""

    model: PackagedModel
    answer: object


class Place(ABC):
    """A cloud to try a target on. What can't be done there raises NotImplementedError, and its promise is named in the class's `gaps`.

    Attributes:
        options: what every command names (a role, a bucket).
        generation_option: one option and a value other than its default, whose change takes a new generation.
        live_option: one option and a value other than its default, which changes in place; empty where the target has none.
        failing: one that comes to serve, and answers the question with an error (needed where a target gives shares of the traffic).
        other_image: an image that serves as well as the usual one, under another reference.
        question: a request that `first` and `second` answer differently.
        shortest, longest: valid names at both limits; the suite makes them unique by nothing, and deletes what they name.
        stride: more than one where a rollout takes long: a client is killed at one step of each kind, and, where only what comes afterwards differs,
            at every so many of these. DEPLOYER_CONFORMANCE=whole: at all.
        packages: how strictly images must fit: what `--packages` says.
        endpoint: the one that all deployments are behind, where that is tried.
    """

    target: Target[Any, Any]
    first: Sample
    second: Sample
    broken: PackagedModel
    failing: PackagedModel
    question: Payload
    other_image: str
    options: ClassVar[Mapping[str, Any]] = {}
    generation_option: Mapping[str, Any]
    live_option: ClassVar[Mapping[str, Any]] = {}
    shortest: str = "c"
    longest: str = "c" * 63
    packages: str = "image"
    endpoint: str | None = None
    stride: int = 1

    _numbers = itertools.count()

    @abstractmethod
    def connect(self) -> Any:
        """A client of the cloud, its own at each call."""

    @abstractmethod
    def everything_of_ours(self, name: DeploymentName) -> tuple[str, ...]:
        """All that is in the cloud because of this deployment, "kind/name", unfinished uploads too; found without the target's help.

        What stays on purpose (log groups, captured data) is left out.
        """

    def origin(self) -> Origin:
        """How a process of its own reaches the same cloud."""
        raise NotImplementedError

    def everything_struck(self) -> AbstractContextManager[object]:
        """While it lasts, each API of the cloud that was ever called here is throttled the first time it is called again."""
        raise NotImplementedError

    def slow_rollouts(self, seconds: float) -> AbstractContextManager[object]:
        """While it lasts, a rollout takes that long at least."""
        raise NotImplementedError

    def foreign(self, name: DeploymentName) -> AbstractContextManager[Callable[[], bool]]:
        """An endpoint of that name that somebody else made, gone when the block ends; what it gives tells whether it stands untouched."""
        raise NotImplementedError

    def model_at(self, path: Path) -> PackagedModel:
        """The model in a directory."""
        from deployer.artifacts import fetch

        return fetch(str(path))

    def read(self, answer: Payload) -> object:
        """An answer's meaning."""
        return json.loads(answer.body)

    # What follows is made of the above; a place that isn't reached by sockets replaces some of it.

    def fresh_name(self) -> DeploymentName:
        return DeploymentName(f"conformance-{secrets.token_hex(3)}-{next(self._numbers)}")

    def command(self, verb: str, name: DeploymentName, model: PackagedModel | None = None, /, **options: Any) -> UserCommand:
        return UserCommand(verb, name, model, {**self.options, **options}, self.packages, endpoint=self.endpoint)

    def run(self, command: UserCommand) -> Ended:
        """A client that nothing happens to."""
        return run(self.target, self.connect(), command)

    def killed(self, command: UserCommand, before: int) -> Ended | None:
        """A client killed with SIGKILL as its step number `before` begins. None where it was; its end, where it has fewer steps."""
        return run_apart(self.origin(), command, kill_before=before)

    def apart(self, command: UserCommand) -> Ended:
        """A client with a process of its own, so that its memory can be measured."""
        ended = run_apart(self.origin(), command)
        assert ended is not None
        return ended

    def held_up(self, command: UserCommand, before: int) -> HeldUp:
        """A client that stands still as its step number `before` begins."""
        return HeldUp(self.target, self.connect(), command, before)

    def stream(self, name: DeploymentName) -> Stream:
        """The question, again and again."""
        cloud = self.connect()
        return Stream(lambda: self.ask(name, cloud))

    def ask(self, name: DeploymentName, cloud: Any = None) -> object:
        """The answer to the question. `cloud`: a client to ask with, instead of a new one."""
        return self.read(self.target.predict(name, self.question, cloud or self.connect()))

    def observe(self, name: DeploymentName) -> Observed | None:
        return self.target.observe(name, self.connect())

    def real_share(self, percent: int) -> int:
        """What a share of the traffic comes to here, in percent of the requests of one client."""
        return percent

    def shape(self, name: DeploymentName) -> Counter[str]:
        """How much of each kind is there: the same for two deployments that went the same way."""
        return Counter(each.partition("/")[0] for each in self.everything_of_ours(name))

    def boundaries(self, steps: Sequence[str], *, strided: bool = False) -> tuple[int, ...]:
        """The numbers of the steps at which a client that goes through these kinds of them is killed."""
        if self.stride == 1 or whole():
            return tuple(range(len(steps)))
        first = tuple(number for number, kind in enumerate(steps) if kind not in steps[:number])
        return first[:: self.stride] if strided else first
