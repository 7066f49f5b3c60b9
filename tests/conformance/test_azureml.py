"""Azure ML on the local Azure: the contract, over real sockets, with real processes behind the endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from deployer.conformance import Place, SideBySide, TargetContract, TrafficContract, waiting_for_its_own
from tests.azureml import AzureMlPlace, running

THREADS = 4


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
