"""A Kubernetes beside the local cloud: what is said where none of the programs that make one is installed. (None of them runs in these tests.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.errors import MachineFault
from deployer_localstack import clusters


def test_where_nothing_makes_a_cluster_it_is_said_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineFault, match="no program that makes a Kubernetes") as refused:
        clusters.up(tmp_path)
    assert "https://kind.sigs.k8s.io" in refused.value.advice
    assert clusters.present(tmp_path) is None
    assert not clusters.down(tmp_path)


def test_a_cluster_that_is_there_is_left_as_it_is_and_named_to_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "kubernetes.json").write_text('{"maker": "kind", "name": "deployer-1", "kubeconfig": "/c", "registry": "localhost:5001"}')
    found = clusters.up(tmp_path)
    assert clusters.environment(found) == {"KUBECONFIG": "/c", "DEPLOYER_IMAGE_REPOSITORY": "localhost:5001/scoring"}
    assert clusters.down(tmp_path)
    assert [*tmp_path.iterdir()] == []
