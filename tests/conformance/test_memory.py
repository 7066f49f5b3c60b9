"""The in-memory target of tests/simulation: a whole target without a socket, the first to keep the contract."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest

from deployer.conformance import Command, Ended, Place, Sample, Stream, TargetContract
from deployer.conformance.clients import run
from deployer.state import DeploymentName, Model, ModelFacts, digest_of
from deployer.target import Payload
from tests.simulation.client import Client
from tests.simulation.cloud import Behaviour, Cloud, Endpoint
from tests.simulation.service import Answer, ServiceError
from tests.simulation.target import Memory
from tests.simulation.wire import Killed, Wire


class Everybody(set[str]):
    """Who may delete: the contract's clients are told apart by what they do, not by name."""

    def __contains__(self, _: object) -> bool:
        return True


class SharedCloud(Cloud):
    """One call at a time: clients of the contract are threads."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(behaviour, may_delete=Everybody())
        self._lock = threading.RLock()

    def call(self, actor: str, api: str, parameters: Answer) -> Answer:
        with self._lock:
            return super().call(actor, api, parameters)

    def wait(self, seconds: float) -> None:
        with self._lock:
            super().wait(seconds)


@dataclass(slots=True)
class StruckWire(Wire):
    """Each distinct call is throttled the first time."""

    seen: set[str] = field(default_factory=set)

    def call(self, api: str, **parameters: Any) -> Answer:
        call = repr((api, parameters))
        if call not in self.seen:
            self.seen.add(call)
            raise ServiceError("ThrottlingException", "Rate exceeded")
        return Wire.call(self, api, **parameters)


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
    other_image = "scoring:2"
    question = Payload(b"{}")

    def __init__(self) -> None:
        self.target = Memory()
        self.first, self.second, self.broken = sample("first"), sample("second"), sample("broken").model
        self.cloud = SharedCloud(Behaviour(broken=frozenset({self.broken.digest[7:17]})))
        self._clients = itertools.count()
        self._watchers: list[Callable[[], None]] = []
        self._struck = False

    def connect(self) -> Client:
        return self._client(self._watch)

    def everything_of_ours(self, name: DeploymentName) -> tuple[str, ...]:
        cloud, ours = self.cloud, {"Key": "deployer:name", "Value": name}
        objects = [f"{key.split('/')[2]}/{key}" for key in cloud.objects if key.startswith(f"deployer/{name}/")]
        uploads = [f"upload/{key}" for key, _ in cloud.uploads.values() if key.startswith(f"deployer/{name}/")]
        models = [f"model/{each}" for each, made in cloud.models.items() if ours in made["Tags"]]
        configs = [f"config/{each}" for each, made in cloud.configs.items() if ours in made["Tags"]]
        endpoints = [f"endpoint/{each}" for each, made in cloud.endpoints.items() if each == name and ("deployer:name", name) in made.tags]
        return tuple(sorted([*objects, *uploads, *models, *configs, *endpoints]))

    def killed(self, command: Command, before: int) -> Ended | None:
        client = self.connect()

        def before_step(number: int) -> None:
            if number == before:
                client.wire.dead = True
                raise Killed

        try:
            return run(self.target, client, command, before_step)
        except Killed:
            return None

    def stream(self, name: DeploymentName) -> Stream:
        client = self._client(lambda _: None)
        return AtEachCall(lambda: self.read(self.target.predict(name, self.question, client)), self._watchers)

    @contextmanager
    def everything_struck(self) -> Iterator[None]:
        self._struck = True
        yield
        self._struck = False

    @contextmanager
    def slow_rollouts(self, seconds: float) -> Iterator[None]:
        usual = self.cloud.behaviour
        self.cloud.behaviour = replace(usual, rollout=round(seconds * 10))
        yield
        self.cloud.behaviour = usual

    @contextmanager
    def foreign(self, name: DeploymentName) -> Iterator[Callable[[], bool]]:
        theirs = Endpoint(name, "InService", serving="theirs")
        self.cloud.endpoints[name] = theirs
        yield lambda: self.cloud.endpoints[name] == theirs
        self.cloud.endpoints.pop(name, None)

    def _client(self, turn: Callable[[int], None]) -> Client:
        run_id = f"client-{next(self._clients)}"
        wire = StruckWire(self.cloud, run_id, turn=turn) if self._struck else Wire(self.cloud, run_id, turn=turn)
        return Memory.over(wire, run_id)

    def _watch(self, _: int) -> None:
        for watcher in list(self._watchers):
            watcher()


def sample(uri: str) -> Sample:
    digest = digest_of(uri)
    return Sample(Model(ModelFacts(uri=uri, digest=digest)), {"predictions": digest})


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    yield MemoryPlace()


class TestMemory(TargetContract):
    gaps: ClassVar[Mapping[str, str]] = {
        "test_a_large_model_takes_little_memory": "never: it runs in the tests' own process, and its models have no files",
    }


def test_nothing_is_left_once_all_is_deleted(place: MemoryPlace) -> None:
    cloud = place.cloud
    assert not cloud.violations
    assert (cloud.objects, cloud.uploads, cloud.models, cloud.configs, cloud.endpoints) == ({}, {}, {}, {}, {})
