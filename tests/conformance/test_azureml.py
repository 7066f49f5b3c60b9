"""Azure ML on the local Azure: the contract, over real sockets, with real processes behind the endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from deployer.conformance import Place, SideBySide, TargetContract, TrafficContract, sampled, waiting_for_its_own
from tests.azureml import AzureMlPlace, BehindAzureEndpoint, running

THREADS = 4

SAMPLE = frozenset(
    {
        "test_round_trip",
        "test_create_again_changes_nothing",
        "test_update_by_model_keeps_one_generation_for_a_way_back",
        "test_update_by_a_live_option_rolls_nothing_out",
        "test_the_old_generation_answers_while_a_broken_one_is_tried",
        "test_a_create_that_fails_leaves_nothing",
        "test_update_killed_anywhere_then_run_again_ends_the_same",
        "test_update_killed_anywhere_then_deleted_leaves_nothing",
        "test_the_slower_of_two_clients_is_told",
        "test_somebody_elses_endpoint_is_refused",
        "test_somebody_elses_endpoint_is_taken_over_when_asked",
        "test_delete_leaves_nothing",
        "test_prune_removes_what_is_kept_for_a_way_back",
        "test_rollback_needs_no_upload",
        "test_rollback_keeps_what_changes_in_place",
        "test_the_history_tells_each_run_and_how_it_ended",
        "test_a_canary_goes_by_its_steps",
        "test_blue_green_keeps_the_old_one_until_it_is_promoted",
    }
)
"""The promises that are tried of each other way to deploy."""


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


IN_PLACE = "never: Azure updates the one deployment in place, and never has two generations of it"


class InPlace(AzureMlPlace):
    """Where the quota can't hold two generations."""

    options: ClassVar[Mapping[str, Any]] = {**AzureMlPlace.options, "in_place": True}

    @contextmanager
    def slow_rollouts(self, seconds: float) -> Iterator[None]:
        with self.here.settings(azure_deployment_seconds=seconds):
            yield


class TestInPlace(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            *(each for each in dir(TrafficContract) if "canary" in each),
            "test_a_pause_that_was_never_told_comes_first",
            "test_blue_green_keeps_the_old_one_until_it_is_promoted",
        ),
        IN_PLACE,
    )

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
        assert isinstance(place, AzureMlPlace)
        return InPlace(place.here, tmp_path_factory.mktemp("models"))


class TestBehindAnEndpoint(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = TestInPlace.gaps

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
        assert isinstance(place, AzureMlPlace)
        behind = BehindAzureEndpoint(place.here, tmp_path_factory.mktemp("models"))
        place.target.create_endpoint(behind.endpoint, place.target.endpoint_options().parse({}, target="azureml"), place.connect())
        return behind


sampled(TestInPlace, SAMPLE)
sampled(TestBehindAnEndpoint, SAMPLE)
waiting_for_its_own(TestAzureMl, alone={"test_every_call_throttled_once", "test_a_rollout_whose_outcome_is_not_known_is_left_alone"})
