"""MLflow is pointed at a server for the whole process: threads that ask different ones take turns, and find it as it was afterwards."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployer.artifacts import registry
from deployer.artifacts.uri import parse

HERE, THERE = "http://here.example.com", "http://there.example.com"
URI = parse("models:/churn/1")


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)


def test_threads_that_ask_one_server_go_side_by_side() -> None:
    together = threading.Barrier(3)

    def ask(_: int) -> str:
        with registry.session(URI, HERE) as mlflow:
            together.wait(10)
            return str(mlflow.get_tracking_uri())

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(ask, range(3))) == [HERE] * 3
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_each_asks_its_own_server_to_the_end() -> None:
    def ask(server: str) -> set[tuple[str, str]]:
        with registry.session(URI, server) as mlflow:
            return {(str(mlflow.get_tracking_uri()), os.environ["MLFLOW_TRACKING_URI"]) for _ in range(200)}

    asked = [HERE, THERE] * 10
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, asked)) == [{(server, server)} for server in asked]
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_what_fails_leaves_the_way_free() -> None:
    for server in (HERE, THERE):
        with pytest.raises(ValueError, match="no"), registry.session(URI, server):
            raise ValueError("no")
    assert "MLFLOW_TRACKING_URI" not in os.environ
