"""Azure ML on an attached cluster, on the local Azure: a sample of the contract, whose code is that of managed endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from deployer.conformance import Place, SideBySide, TargetContract, TrafficContract, sampled, waiting_for_its_own
from tests.azureml import AzureMlPlace, running


class ClusterPlace(AzureMlPlace):
    options: ClassVar[Mapping[str, Any]] = {"timeout_seconds": 120, "compute": "aks", "compute_target": "aks"}
    generation_option: Mapping[str, Any] = {"resources": {"requests": {"cpu": "200m", "memory": "1Gi"}}}

    def theirs_is_on(self) -> dict[str, str]:
        return {"compute": f"{self.connect().workspace.id}/computes/aks"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("azure")) as here:
        yield ClusterPlace(here, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def tried(place: Place, request: pytest.FixtureRequest) -> Iterator[SideBySide]:
    with SideBySide(place, request, threads=4) as tried:
        yield tried


class TestAzureMlOnACluster(TargetContract, TrafficContract):
    gaps: ClassVar[Mapping[str, str]] = {}


waiting_for_its_own(TestAzureMlOnACluster, alone={"test_every_call_throttled_once", "test_a_rollout_whose_outcome_is_not_known_is_left_alone"})
sampled(
    TestAzureMlOnACluster,
    {
        "test_round_trip",
        "test_create_again_changes_nothing",
        "test_update_by_an_option_alone_uploads_nothing",
        "test_update_by_a_live_option_rolls_nothing_out",
        "test_the_old_generation_answers_while_a_broken_one_is_tried",
        "test_update_killed_anywhere_then_run_again_ends_the_same",
        "test_a_canary_goes_by_its_steps",
        "test_rollback_needs_no_upload",
        "test_somebody_elses_endpoint_is_refused",
        "test_delete_leaves_nothing",
    },
)
