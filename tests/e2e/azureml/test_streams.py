"""Answers in pieces on the local Azure: each piece comes as the container makes it, and an answer that breaks off is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import deployer
from deployer.errors import ConfigInvalid, DeploymentNotFound, TargetUnavailable
from tests.azureml import PULLER, AzureHere, AzureMlPlace

COMPUTES: dict[str, dict[str, Any]] = {
    "managed": {},
    "aks": {"compute": "aks", "compute_target": "aks"},
    "aci": {"compute": "aci", "pull_identity": PULLER},
}


@pytest.fixture(scope="module")
def here(here: AzureHere) -> AzureHere:
    here.control.settings(azure_backoff_seconds=0.2)
    return here


@pytest.fixture(params=COMPUTES)
def client(request: pytest.FixtureRequest, here: AzureHere, tmp_path: Path) -> Iterator[Any]:
    place = AzureMlPlace(here, tmp_path)
    made = deployer.get_deploy_client("azureml")
    made.create_deployment("churn", str(place.first.model.path), config=COMPUTES[request.param])
    yield made
    made.delete_deployment("churn")


def test_answers_come_in_pieces_as_the_model_makes_them(client: Any) -> None:
    came, pieces = [], []
    for piece in client.predict_stream("churn", b'{"stream": 3, "seconds": 0.4}'):
        came.append(time.monotonic())
        pieces.append(piece)
    assert pieces == [b"piece 0\n", b"piece 1\n", b"piece 2\n"]
    assert came[-1] - came[0] > 0.5
    with pytest.raises(ConfigInvalid, match="refuses the request"):
        next(client.predict_stream("churn", b'{"dataframe_split": {"columns": [], "data": []}}'))


def test_an_answer_that_breaks_off_is_told(client: Any) -> None:
    pieces = client.predict_stream("churn", b'{"stream": 3, "breaks": true}')
    assert next(pieces) == b"piece 0\n"
    with pytest.raises(TargetUnavailable, match="broke off"):
        list(pieces)


def test_what_is_not_there_is_told_before_the_first_piece(here: AzureHere) -> None:
    with pytest.raises(DeploymentNotFound):
        next(deployer.get_deploy_client("azureml").predict_stream("nobody", b"{}"))
