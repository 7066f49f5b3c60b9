"""Azure ML on the local Azure: the contract, over real sockets, with real processes behind the endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from deployer.conformance import Place, SideBySide, TargetContract, TrafficContract, waiting_for_its_own
from deployer.core.state import DeploymentName
from tests.azureml import AzureHere, running
from tests.local_clouds import ScorerPlace

THREADS = 4


class AzureMlPlace(ScorerPlace):
    options: ClassVar[Mapping[str, Any]] = {"timeout_seconds": 120}
    generation_option: Mapping[str, Any] = {"instance_type": "Standard_F4s_v2"}
    live_option: ClassVar[Mapping[str, Any]] = {"instance_count": 2}
    shortest, longest = "abc", "c" * 32
    stride = 4

    here: AzureHere

    @contextmanager
    def everything_struck(self) -> Iterator[None]:
        control = self.here.control
        called = {
            (entry["service"], entry["operation"]) for entry in control.journal() if entry["service"] in ("arm", "storage", "entra", "metadata")
        }
        for service, operation in sorted(called):
            control.add_fault("throttle", service=service, operation=operation, count=1)
        try:
            yield
            assert sum(fault["hits"] for fault in control.faults()) > 15
        finally:
            control.clear_faults()

    @contextmanager
    def slow_rollouts(self, seconds: float) -> Iterator[None]:
        with self.here.settings(azure_endpoint_seconds=seconds):
            yield

    @contextmanager
    def foreign(self, name: DeploymentName) -> Iterator[Callable[[], bool]]:
        here = self.here
        here.arm("PUT", f"onlineEndpoints/{name}", {"location": "eastus", "properties": {"authMode": "Key"}})
        routes = {route: {"port": 8080, "path": "/ping"} for route in ("livenessRoute", "readinessRoute", "scoringRoute")}
        environment = here.arm("PUT", "environments/theirs/versions/1", {"properties": {"image": self.other_image, "inferenceConfig": routes}})
        path = "LocalUpload/theirs"
        here.put_blob(f"{path}/factor.txt", b"7")
        model = here.arm("PUT", "models/theirs/versions/1", {"properties": {"modelUri": f"azureml://datastores/workspaceblobstore/paths/{path}"}})
        body = {"instanceType": "Standard_F2s_v2", "environmentId": environment["id"], "model": model["id"]}
        here.arm("PUT", f"onlineEndpoints/{name}/deployments/theirs", {"location": "eastus", "properties": body})
        here.wait(f"onlineEndpoints/{name}/deployments/theirs")
        here.arm("PUT", f"onlineEndpoints/{name}", {"location": "eastus", "properties": {"authMode": "Key", "traffic": {"theirs": 100}}})
        here.wait(f"onlineEndpoints/{name}")
        yield lambda: here.arm("GET", f"onlineEndpoints/{name}")["properties"]["traffic"] == {"theirs": 100}
        here.arm("DELETE", f"onlineEndpoints/{name}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("azure")) as here:
        yield AzureMlPlace(here, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def tried(place: Place, request: pytest.FixtureRequest) -> Iterator[SideBySide]:
    with SideBySide(place, request, threads=THREADS) as tried:
        yield tried


class TestAzureMl(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = {}


waiting_for_its_own(TestAzureMl, alone={"test_every_call_throttled_once", "test_a_rollout_whose_outcome_is_not_known_is_left_alone"})
