"""The target of docs/examples keeps the contract: whole, without a socket, and what our own tests deploy to."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import pytest

from deployer.conformance import Ended, Place, Sample, Stream, TargetContract, TrafficContract, UserCommand
from deployer.conformance.clients import run
from deployer.core.state import DeploymentName, ModelFacts, PackagedModel, digest_of
from deployer.core.target import Payload
from docs.examples import memory_target
from docs.examples.memory_cloud import Cloud, CloudError, Service
from docs.examples.memory_target import OWNER, Client, Memory


class Killed(BaseException):
    """The client is dead."""


class SharedCloud(Cloud):
    """Who watches is asked at each call; `struck`: each distinct call is throttled the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.watchers: list[Callable[[], None]] = []
        self.struck: set[str] | None = None

    def call(self, verb: str, *given: Any) -> Any:
        if verb != "invoke":
            for watcher in list(self.watchers):
                watcher()
        if self.struck is not None and (call := repr((verb, given))) not in self.struck:
            self.struck.add(call)
            raise CloudError("Throttled", "rate exceeded")
        return super().call(verb, *given)


class AtEachCall(Stream):
    """Asks whenever any client calls the cloud: time passes by calls here."""

    def __init__(self, ask: Callable[[], object], watchers: list[Callable[[], None]]) -> None:
        super().__init__(ask)
        self._watchers = watchers

    def __enter__(self) -> AtEachCall:
        self._watchers.append(self.once)
        return self

    def __exit__(self, *_: object) -> None:
        self._watchers.remove(self.once)


class MemoryPlace(Place):
    generation_option: Mapping[str, Any] = {"instance_type": "large"}
    live_option: ClassVar[Mapping[str, Any]] = {"instance_count": 2}
    other_image = "registry/deployer-scoring@sha256:0b"
    question = Payload(b"{}")

    def __init__(self) -> None:
        self.target = Memory()
        self.first, self.second, self.broken = sample("first"), sample("second"), sample("broken").model
        self.cloud = SharedCloud()
        self.cloud.broken.add(self.broken.digest)
        self.failing = sample("failing").model
        self.cloud.failing.add(self.failing.digest)

    def connect(self) -> Client:
        return Client(self.cloud)

    def everything_of_ours(self, name: DeploymentName) -> tuple[str, ...]:
        things = [f"{kind}/{key}" for of, kind, key in self.cloud.things if of == name]
        return tuple(sorted([*things, *(f"service/{each}" for each, made in self.cloud.services.items() if each == name == made.labels.get(OWNER))]))

    def killed(self, command: UserCommand, before: int) -> Ended | None:
        def before_step(number: int) -> None:
            if number == before:
                raise Killed

        try:
            return run(self.target, self.connect(), command, before_step)
        except Killed:
            return None

    def stream(self, name: DeploymentName) -> Stream:
        return AtEachCall(lambda: self.ask(name), self.cloud.watchers)

    @contextmanager
    def everything_struck(self) -> Iterator[None]:
        self.cloud.struck = set()
        with patch("time.sleep", self.cloud.wait):
            yield
        self.cloud.struck = None

    @contextmanager
    def slow_rollouts(self, seconds: float) -> Iterator[None]:
        usual, self.cloud.rollout = self.cloud.rollout, round(seconds * 10)
        yield
        self.cloud.rollout = usual

    @contextmanager
    def foreign(self, name: DeploymentName) -> Iterator[Callable[[], bool]]:
        theirs = Service(name, version="theirs")
        self.cloud.services[name] = theirs
        yield lambda: self.cloud.services[name] == theirs
        self.cloud.services.pop(name, None)


def sample(uri: str) -> Sample:
    digest = digest_of(uri)
    return Sample(PackagedModel(ModelFacts(uri=uri, digest=digest)), {"predictions": digest})


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    yield MemoryPlace()


class TestMemory(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = {
        "test_a_large_model_takes_little_memory": "never: it runs in the tests' own process, and its models have no files",
    }


def test_it_is_small_and_stands_on_the_core_alone() -> None:
    """What a cloud costs: what the page about writing a target says."""
    source = Path(memory_target.__file__).read_text(encoding="utf-8")
    imported = re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)
    assert source.count("\n") < 400
    assert set(imported) - sys.stdlib_module_names == {"deployer", "docs", "pydantic"}


def test_nothing_is_left_once_all_is_deleted(place: MemoryPlace) -> None:
    assert (place.cloud.things, place.cloud.services) == ({}, {})
