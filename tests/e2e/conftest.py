"""Fixtures that several modules here share; each starts what it needs when it is first asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.e2e.stranger import stranger, untouched

__all__ = ["stranger", "untouched"]

_LONGEST = (
    "tests/e2e/documentation/",
    "tests/conformance/test_kubernetes.py",
    "tests/conformance/test_sagemaker.py",
    "tests/conformance/test_azureml.py",
    "tests/e2e/test_main_line.py",
    "tests/e2e/test_images_layers.py",
    "tests/conformance/test_local.py",
    "tests/e2e/localstack/test_scoring_containers.py",
    "tests/e2e/test_spark_udf.py",
    "tests/e2e/test_scoring_on_pythons.py",
    "tests/e2e/kubernetes/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take minutes: the last one runs alone, while every other process has nothing to do."""
    items.sort(key=lambda item: next((place for place, module in enumerate(_LONGEST) if item.nodeid.startswith(module)), len(_LONGEST)))


@pytest.fixture(autouse=True)
def mlflow_of_each_test() -> Iterator[None]:
    """A server that a test names to MLflow in this process is forgotten after it; of the environment, monkeypatch takes care."""
    yield
    if (mlflow := sys.modules.get("mlflow")) is not None and hasattr(mlflow, "set_tracking_uri"):
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
